// The edge has several gates; each is by-passed in turn, and the next one holds [P7.5-1, CL-03].
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { startChild, waitReady, type Child } from "../../demo/child.ts";
import { DEMO_CREDENTIAL, startLab, type Lab } from "../../demo/lab.ts";
import { freePort, freePorts, type Ports } from "../../demo/ports.ts";
import { destinationOf, directRoute } from "../../src/authz/destination.ts";
import { encodeCheckResponse } from "../../src/envoy/encode-check-response.ts";
import { createGrpcServer } from "../../src/envoy/grpc/server.ts";
import type { GrpcServer } from "../../src/envoy/grpc/grpc-server.ts";
import { requireTool } from "../../src/files/program.ts";
import { startEraServer, type EraServer } from "../fakes/mcp-server.ts";
import { legacy, reasonOf } from "./client.ts";
import { startEnvoyAlone, type EnvoyAlone } from "./envoy-alone.ts";
import { http2Post, rawBytes, rawRequest } from "./raw-http.ts";

const CALL = { name: "whoami", arguments: {} };
const BODY = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: CALL });
const temporary = (name: string) => mkdtempSync(join(tmpdir(), `mcp-authz-gates-${name}-`));

describe("the whole demo", () => {
  const folder = temporary("lab");
  let lab: Lab;
  let ports: Ports;
  let alice: string;
  beforeAll(async () => {
    ports = await freePorts();
    lab = await startLab({ folder, ports, policyFolder: null, progress: () => {} });
    alice = await lab.idp.mint("alice");
  });
  afterAll(async () => {
    await lab.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it("through all gates she is served", async () => {
    expect((await legacy(lab.gateway, "tools/call", CALL, { token: alice })).status).toBe(200);
  });

  it.each<[string, () => Record<string, string>]>([
    ["no wristband", () => ({})],
    ["her token", () => ({ authorization: `Bearer ${alice}` })],
    ["her token for a wristband", () => ({ "x-authorized-tools": alice, "x-mcp-server": "demo" })],
    ["a forged wristband", () => ({ "x-authorized-tools": forged(), "x-mcp-server": "demo" })],
  ])("ext_authz by-passed, to the broker with %s: refused there", async (_, headers) => {
    const credential = { "x-upstream-authorization": `Bearer ${DEMO_CREDENTIAL}` };
    const before = lab.demo.arrivals.length;
    const reply = await legacy(`http://127.0.0.1:${ports.broker}`, "tools/call", CALL, {
      headers: { ...credential, ...headers() },
    });
    expect([reply.status, reasonOf(reply), lab.demo.arrivals.length - before]).toEqual([403, "wristband_invalid", 0]);
  });

  it.each<[string, () => Record<string, string>]>([
    ["nothing", () => ({})],
    ["her token", () => ({ authorization: `Bearer ${alice}` })],
    ["a forged wristband", () => ({ "x-authorized-tools": forged() })],
    ["a credential of her own", () => ({ authorization: "Bearer guessed" })],
  ])("the gateway by-passed, to the server with %s: refused there", async (_, headers) => {
    const reply = await legacy(lab.demo.url.replace("/mcp", ""), "tools/call", CALL, {
      path: "/mcp",
      headers: headers(),
    });
    expect([reply.status, reply.message?.["result"]]).toEqual([401, undefined]);
  });

  describe("Envoy without ext_authz", () => {
    let envoy: Child;
    let port: number;
    beforeAll(async () => {
      const [ops, own] = [await freePort(), await freePort()];
      port = own;
      const text = readFileSync(join(folder, "envoy.yaml"), "utf8")
        .replaceAll(`port_value: ${ports.gateway}`, `port_value: ${port}`)
        .replaceAll(`port_value: ${ports.envoyOps}`, `port_value: ${ops}`)
        .replaceAll("envoy-admin.sock", "envoy-admin-2.sock");
      const file = join(folder, "run/without-authz.yaml");
      writeFileSync(file, stringify(withoutAuthz(parse(text))));
      const args = ["-c", file, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"];
      const logFile = join(folder, "run/without-authz.log");
      envoy = startChild({ name: "envoy", command: requireTool("envoy"), args, cwd: folder, logFile });
      await waitReady(envoy, `http://127.0.0.1:${ops}/ready`);
    });
    afterAll(() => envoy.stop());

    it.each(["/servers/demo/mcp", "/mcp"])("finds no route to anybody: %s", async (path) => {
      const before = lab.demo.arrivals.length;
      const headers = { "x-mcp-route": "server:demo", "x-authorized-tools": forged() };
      const reply = await legacy(`http://127.0.0.1:${port}`, "tools/call", CALL, { token: alice, path, headers });
      expect([reply.status, lab.demo.arrivals.length - before]).toEqual([404, 0]);
    });
  });
});

function forged(): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "ES256", kid: "demo", typ: "wristband+jwt" })}.${part({ sub: "alice", use: "call" })}.${"A".repeat(86)}`;
}

interface Filter {
  readonly name: string;
}

/** The printed configuration as somebody has it who forgets a filter. */
function withoutAuthz(value: unknown): unknown {
  if (Array.isArray(value))
    return value
      .filter((each) => (each as Filter | null)?.name !== "envoy.filters.http.ext_authz")
      .map((each) => withoutAuthz(each));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([key]) => key !== "envoy.filters.http.ext_authz");
  return Object.fromEntries(entries.map(([key, each]) => [key, withoutAuthz(each)]));
}

describe("MS-08: a Check that removes nothing", () => {
  const folder = temporary("envoy");
  let authz: GrpcServer;
  let envoy: EnvoyAlone;
  let server: EraServer;
  beforeAll(async () => {
    server = await startEraServer("legacy");
    const port = await freePort();
    const allow = encodeCheckResponse({
      kind: "ok",
      set: new Map([["x-key", "ours"]]),
      remove: [],
      responseHeaders: new Map(),
      metadata: [
        ["route", directRoute("demo", destinationOf(server.url))],
        ["decision", "allow"],
        ["subject", "alice"],
      ],
    });
    authz = createGrpcServer({
      address: { kind: "tcp", host: "127.0.0.1", port },
      tls: null,
      handler: () => Promise.resolve(allow),
      unknownClientResponse: () => allow,
      checkTimeoutMs: 1000,
    });
    await authz.listen();
    const credential = [{ static: { file: "secret", header: "x-key" } }, { none: {} }];
    const headers = { headers: { "x-fixed": "f" }, passHeaders: ["x-tenant"] };
    writeFileSync(join(folder, "secret"), "s", { mode: 0o600 });
    const demo = { url: server.url, callRouting: "direct", credential, ...headers };
    envoy = await startEnvoyAlone(folder, { authz: port, config: { servers: { demo } } });
  });
  afterAll(async () => {
    await envoy.child.stop();
    await authz.drain(100);
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const SENT = {
    "x-mcp-user": "evil",
    "x-vault-tokens": "evil",
    "x-api-key": "evil",
    cookie: "evil=1",
    sudo: "evil",
    "x-forwarded-for": "6.6.6.6",
    "x-forwarded-host": "evil",
    "user-agent": "evil",
    "mcp-session-id": "evil",
    "!#$%&'*+.^`|~": "evil",
    "x-tenant": "t",
    "mcp-later": "l",
  };
  const ARRIVE = ["x-tenant", "mcp-later"];

  it("Envoy removes what is on no list itself, by HTTP/1.1 and HTTP/2, in any case, and trailers", async () => {
    const lines = Object.entries(SENT).map(
      ([name, value], i) => `${i % 2 === 0 ? name.toUpperCase() : name}: ${value}`,
    );
    const chunk = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\nsudo: evil\r\nX-Tenant: evil\r\n\r\n`;
    const framed = ["Transfer-Encoding: chunked", "Content-Type: application/json", "Authorization: Bearer evil"];
    const one = rawBytes({ body: chunk, contentLength: null, headers: [...framed, ...lines] });
    expect((await rawRequest(envoy.port, one)).status).toBe(200);
    expect((await http2Post(envoy.port, { authorization: "Bearer evil", ...SENT }, [Buffer.from(BODY)])).status).toBe(
      200,
    );
    expect(server.requests).toHaveLength(2);
    for (const { headers, rawHeaders } of server.requests) {
      expect(rawHeaders.join(" ")).not.toMatch(/evil|6\.6\.6\.6/);
      expect(headers["x-key"]).toBe("ours");
      const known = ["accept", "connection", "content-length", "content-type", "host"];
      const others = Object.keys(headers).filter(
        (name) => ![...known, "transfer-encoding", "x-request-id"].includes(name),
      );
      expect(others.filter((name) => name !== "x-key").sort()).toEqual([...ARRIVE].sort());
    }
  });
});
