// The adoption page's configurations on the real Envoy: a gateway that is there already, with mcp-authz in shadow mode and
// then in front of its server.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { requireTool } from "../../src/files/program.ts";
import { startChild, type Child } from "../../demo/child.ts";
import { DEMO_CREDENTIAL, startLab, type Lab } from "../../demo/lab.ts";
import { freePorts, type Ports } from "../../demo/ports.ts";
import { legacy, post, reasonOf, type CallOptions } from "./client.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const PAGE = readFileSync(join(ROOT, "docs/adopt.md"), "utf8");
const SHADOW = readFileSync(join(ROOT, "deploy/envoy/shadow.yaml"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-e2e-"));
const started: Child[] = [];
let lab: Lab;
let ports: Ports;
let alice: string;

beforeAll(async () => {
  ports = await freePorts();
  const config = (tree: Record<string, unknown>) => {
    tree["clientAddress"] = "x-envoy-external-address";
    tree["envoy"] = { ...(tree["envoy"] as object), trustedHops: 1 };
  };
  // Beside the traffic: its callers bring what the server knows already, here their own tokens.
  lab = await startLab({ folder, ports, policyFolder: null, alsoKnown: "everybody", progress: () => {}, config });
  alice = await lab.idp.mint("alice");
});
afterAll(async () => {
  for (const child of started) await child.stop();
  await lab.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A fenced block of the page, by the mark before it. */
function snippet(mark: string): string {
  const found = new RegExp(`<!-- ${mark} -->\n\`\`\`yaml\n([^\`]*)\`\`\``).exec(PAGE)?.[1];
  if (found === undefined) throw new Error(`docs/adopt.md has no ${mark}`);
  return found;
}

/** Starts the page's Envoy with this lab's addresses in place of its own, and gives its URL. */
async function startGateway(name: string, change: (yaml: string) => string): Promise<string> {
  const [gateway, shadow] = [await freePort(), await freePort()];
  const yaml = change(SHADOW)
    .replaceAll("port_value: 8080", `port_value: ${gateway}`)
    .replaceAll("port_value: 8082", `port_value: ${shadow}`)
    .replaceAll("port_value: 9100", `port_value: ${ports.demo}`)
    .replaceAll("port_value: 9001", `port_value: ${ports.authz}`)
    .replaceAll("gw.example.com", "127.0.0.1");
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, yaml);
  const args = ["-c", file, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warn"];
  const logFile = join(folder, `${name}.log`);
  started.push(startChild({ name, command: requireTool("envoy"), args, cwd: folder, logFile }));
  const url = `http://127.0.0.1:${gateway}`;
  await vi.waitFor(async () => expect((await fetch(url)).status).toBe(404), 20_000);
  return url;
}

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => done(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

interface Line {
  readonly decision: string;
  readonly reason: string | null;
  readonly mesh_request_id: string;
  readonly source_ip: string;
  readonly name: string | null;
}

/** The audit line of a request, which may come after the answer. */
function lineOf(requestId: unknown): Promise<Line> {
  return vi.waitFor(() => {
    const lines = readFileSync(lab.auditFile, "utf8").trim().split("\n");
    const found = lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Line);
    const line = found.find((one) => one.mesh_request_id === requestId);
    if (line === undefined) throw new Error("no line yet");
    return line;
  }, 5000);
}

const lastArrival = () => lab.demo.arrivals.at(-1)?.headers ?? {};

function call(gateway: string, tool: string, options: CallOptions = {}) {
  const params = { name: tool, arguments: { name: "x" } };
  return legacy(gateway, "tools/call", params, { token: alice, path: "/tools/demo", ...options });
}

describe("shadow mode", () => {
  let gateway: string;
  beforeAll(async () => {
    gateway = await startGateway("shadow", (yaml) => yaml);
  });

  it("the page shows the route of deploy/envoy/shadow.yaml", () => expect(SHADOW).toContain(snippet("shadow-route")));

  it("what would be refused reaches its server untouched, and the audit log says deny, with the same request id", async () => {
    const headers = { cookie: "a=b", "mcp-session-id": "s-1" };
    const reply = await call(gateway, "delete_repo", { headers });
    expect([reply.status, reply.text]).toEqual([200, expect.stringContaining("deleted x")]);
    expect(lastArrival()).toMatchObject({ authorization: `Bearer ${alice}`, ...headers });
    expect(await lineOf(lastArrival()["x-request-id"])).toMatchObject({
      decision: "deny",
      reason: "policy_denied",
      server: "demo",
      name: "delete_repo",
    });
  });

  it("what would be allowed keeps the client's own token, and comes once", async () => {
    const before = lab.demo.arrivals.length;
    expect((await call(gateway, "whoami")).status).toBe(200);
    expect(lab.demo.arrivals).toHaveLength(before + 1);
    expect(lastArrival().authorization).toBe(`Bearer ${alice}`);
    expect(await lineOf(lastArrival()["x-request-id"])).toMatchObject({ decision: "allow", name: "whoami" });
  });

  it("a body above our limit goes on, and counts as too large", async () => {
    const big = "x".repeat(1_500_000);
    const body = JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: "tools/call",
      params: { name: "echo", arguments: { text: big } },
    });
    expect((await post(gateway, body, { token: alice, path: "/tools/demo" })).text).toContain(big);
    expect(await lineOf(lastArrival()["x-request-id"])).toMatchObject({ decision: "deny", reason: "body_too_large" });
  });

  it("nobody notices when serve is gone", async () => {
    await lab.children.serve.stop();
    try {
      expect((await call(gateway, "whoami")).status).toBe(200);
    } finally {
      await lab.restartServe();
    }
  });
});

describe("the filter's own shadow_mode", () => {
  /** In the gateway's own chain, without a mirror. */
  const inline = (rules: string) => (yaml: string) =>
    yaml
      .replace("path: /tools/demo", "path: /servers/demo/mcp")
      .replace(/ *request_mirror_policies:\n(?:.*\n)*? *# <<<\n/, "")
      .replace("                http_filters:\n", () =>
        [
          "                http_filters:",
          "                  - name: envoy.filters.http.ext_authz",
          "                    typed_config:",
          '                      "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz',
          "                      transport_api_version: V3",
          "                      shadow_mode: true",
          `                      ${rules}`,
          "                      grpc_service: {envoy_grpc: {cluster_name: mcp_authz}, timeout: 1.2s}",
          "                      with_request_body: {max_request_bytes: 1048576, allow_partial_message: true, pack_as_bytes: true}",
          "                      encode_raw_headers: true",
          "",
        ].join("\n"),
      );
  const at = { path: "/servers/demo/mcp", headers: { cookie: "a=b" } };

  it("refuses nothing, but carries out what an allow says", async () => {
    const gateway = await startGateway("own", inline(""));
    expect((await call(gateway, "delete_repo", at)).text).toContain("deleted x");
    expect((await call(gateway, "whoami", at)).status).toBe(200);
    expect(lastArrival().authorization).toBe(`Bearer ${DEMO_CREDENTIAL}`);
    expect(lastArrival().cookie).toBeUndefined();
  });

  it("leaves requests alone with disallow_all beside it", async () => {
    const gateway = await startGateway("alone", inline("decoder_header_mutation_rules: {disallow_all: true}"));
    expect((await call(gateway, "whoami", at)).status).toBe(200);
    expect(lastArrival()).toMatchObject({ authorization: `Bearer ${alice}`, cookie: "a=b" });
  });
});

describe("enforced for one route, by the printed Envoy behind the gateway", () => {
  let gateway: string;
  beforeAll(async () => {
    const cluster = [
      "  clusters:",
      "    - name: mcp_gateway",
      "      load_assignment:",
      "        cluster_name: mcp_gateway",
      `        endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${ports.gateway}}}}}]}]`,
    ].join("\n");
    gateway = await startGateway("enforce", (yaml) =>
      yaml
        .replace(/ *- match: \{ path: \/tools\/demo \}\n(?:.*\n)*? *# <<<\n/, () => snippet("enforce-route"))
        .replace("  clusters:", cluster),
    );
    // serve was ended and started before: Envoy asks it again after its next health check.
    const challenged = async () => expect((await call(gateway, "whoami", { token: null })).status).toBe(401);
    await vi.waitFor(challenged, { timeout: 10_000, interval: 100 });
  });

  it("alice's call arrives with the gateway's credential, and what policy withholds does not", async () => {
    expect((await call(gateway, "whoami")).text).toContain(DEMO_CREDENTIAL);
    expect(lastArrival().authorization).toBe(`Bearer ${DEMO_CREDENTIAL}`);
    const before = lab.demo.arrivals.length;
    expect(reasonOf(await call(gateway, "delete_repo"))).toBe("policy_denied");
    expect((await call(gateway, "whoami", { token: null })).status).toBe(401);
    expect(lab.demo.arrivals).toHaveLength(before);
  });

  it("policy and audit see the client's address, not the gateway's", async () => {
    const reply = await call(gateway, "whoami", { headers: { "x-forwarded-for": "203.0.113.9" } });
    expect(await lineOf(reply.headers.get("x-request-id"))).toMatchObject({ source_ip: "203.0.113.9" });
  });
});

it("the dashboard and the alerts ask Envoy for statistics that it has", async () => {
  const stats = await (await fetch(`http://127.0.0.1:${ports.envoyOps}/stats/prometheus`)).text();
  const text = ["deploy/grafana/mcp-authz.json", "deploy/prometheus/alerts.yaml"]
    .map((name) => readFileSync(join(ROOT, name), "utf8"))
    .join("\n");
  const names = new Set([...text.matchAll(/\benvoy_\w+/g)].map(([name]) => name));
  expect(names.size).toBeGreaterThan(0);
  const known = [...stats.matchAll(/^(\w+)\{/gm)].map(([, name]) => name);
  expect(
    [...names].filter((name) => !known.includes(name)),
    known.filter((name) => name?.includes("ext_authz")).join(),
  ).toEqual([]);
});
