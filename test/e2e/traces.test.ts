// One trace of a relayed call through the real Envoy, serve, OpenBao, the broker and a server, as a collector gets it.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { findTool } from "../../src/files/program.ts";
import { ATTRIBUTE_NAMES } from "../../src/telemetry/attributes.ts";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePort, freePorts } from "../../demo/ports.ts";
import { startVault, type VaultLab } from "../../demo/vault.ts";
import { startOtlpReceiver, treeOf, type OtlpReceiver } from "../fakes/otlp-receiver.ts";
import { legacy, reasonOf } from "./client.ts";

const PAT = "pat-of-alice-c4n4ry";
const CLIENT = "00f067aa0ba902b7";
const EXPORTED = { timeout: 15_000, interval: 100 };
let traces = 0;
/** A trace of a client's. @param flags 01: the client says that it is recorded */
function trace(flags = "00"): { readonly id: string; readonly headers: Readonly<Record<string, string>> } {
  traces += 1;
  const id = `${"c".repeat(24)}${String(traces).padStart(8, "0")}`;
  return { id, headers: { traceparent: `00-${id}-${CLIENT}-${flags}`, tracestate: "vendor=value" } };
}

describe.skipIf(findTool("bao") === null || findTool("opa") === null)("traces", () => {
  const folder = mkdtempSync(join(tmpdir(), "mcp-authz-e2e-traces-"));
  let receiver: OtlpReceiver;
  let vault: VaultLab;
  let lab: Lab;
  let alice: string;

  beforeAll(async () => {
    receiver = await startOtlpReceiver();
    vault = await startVault({ port: await freePort(), folder });
    await vault.put("alice/demo", { token: PAT });
    const policyFolder = join(folder, "policies");
    cpSync(resolve(import.meta.dirname, "../../policies/demo"), policyFolder, { recursive: true });
    const tools = "{tool: [whoami]}";
    writeFileSync(
      join(policyFolder, "data.yaml"),
      `grants: {engineering: {demo: ${tools}, straight: ${tools}}}\nlimits: {transfer: 1}\n`,
    );
    const options = { folder, ports: await freePorts(), policyFolder, alsoKnown: [PAT], progress: () => {} };
    lab = await startLab({ ...options, config: (config) => configure(config) });
    alice = await lab.idp.mint("alice");
  });
  afterAll(async () => {
    await lab.stop();
    await vault.stop();
    await receiver.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function configure(config: Record<string, unknown>): void {
    const approle = { roleId: { file: vault.roleIdFile }, secretId: { file: vault.secretIdFile } };
    config["vault"] = { address: vault.address, auth: { approle }, timeoutMs: 2000 };
    config["checkTimeoutMs"] = 5000; // on a loaded machine
    writeFileSync(join(folder, "secrets/collector"), "Bearer of-the-collector-c4n4ry", { mode: 0o600 });
    const headers = { authorization: { file: "secrets/collector" } };
    config["traces"] = { endpoint: receiver.endpoint, sample: 1, headers };
    const own = [{ vault: { mount: "secret", path: "{username}/demo" } }];
    const { demo } = config["servers"] as { demo: { url: string } };
    config["servers"] = {
      demo: { url: demo.url, callRouting: "broker", credential: own },
      straight: { url: demo.url, callRouting: "direct", credential: [{ static: { file: "secrets/demo" } }] },
    };
  }

  const call = (name: string, server: string, headers: Readonly<Record<string, string>>) =>
    legacy(
      lab.gateway,
      "tools/call",
      { name, arguments: { q: "argument-c4n4ry" } },
      { token: alice, path: `/servers/${server}/mcp`, headers },
    );
  const spansOf = (id: string) => receiver.spans.filter(({ traceId }) => traceId === id);
  const CHECK = "envoy.service.auth.v3.Authorization/Check";

  it("TR-07, P8.3-1: one call is one trace, whose spans nest from the client's through the Check to the server", async () => {
    const { id, headers } = trace();
    const reply = await call("whoami", "demo", headers);
    expect([reply.status, reply.text]).toEqual([200, expect.stringContaining(PAT)]);
    await vi.waitFor(
      () =>
        expect(treeOf(spansOf(id), CLIENT)).toEqual([
          [
            CHECK,
            ["audit"],
            ["credential", ["GET vault"]],
            ["decide"],
            ["identify"],
            ["tools/call whoami", ["POST demo"]], // the question for its era, and the call
            ["wristband"],
          ],
        ]),
      EXPORTED,
    );
    // The server goes on with the span of its own request, and gets the client's state.
    const posts = spansOf(id).filter(({ name }) => name === "POST demo");
    const { traceparent, tracestate } = lab.demo.arrivals.at(-1)?.headers ?? {};
    expect(posts.map(({ spanId }) => `00-${id}-${spanId}-01`)).toContain(traceparent);
    expect(tracestate).toBe(headers["tracestate"]);
    const audit = readFileSync(lab.auditFile, "utf8").trim().split("\n").at(-1) ?? "";
    const check = spansOf(id).find(({ name }) => name === CHECK);
    expect(JSON.parse(audit)).toMatchObject({ trace_id: id, request_id: check?.attributes["mcp_authz.request_id"] });
    expect(check?.attributes).toMatchObject({ "mcp_authz.decision": "allow", "gen_ai.tool.name": "whoami" });
  });

  it("a direct server goes on with the Check's own span, and a refusal's span has its reason", async () => {
    const straight = trace();
    expect((await call("whoami", "straight", straight.headers)).status).toBe(200);
    const arrived = lab.demo.arrivals.at(-1)?.headers;
    await vi.waitFor(() => expect(spansOf(straight.id).length).toBeGreaterThan(3), EXPORTED);
    const check = spansOf(straight.id).find(({ name }) => name === CHECK);
    expect(arrived).toMatchObject({ traceparent: `00-${straight.id}-${check?.spanId}-01`, tracestate: "vendor=value" });
    const refused = trace();
    expect(reasonOf(await call("delete_repo", "demo", refused.headers))).toBe("policy_denied");
    const ended = { name: CHECK, isError: false };
    const attributes: unknown = expect.objectContaining({ "mcp_authz.reason": "policy_denied" });
    await vi.waitFor(
      () => expect(spansOf(refused.id)).toContainEqual(expect.objectContaining({ ...ended, attributes })),
      EXPORTED,
    );
  });

  it("P6: spans have attributes of the closed list alone, and none has a token, a credential or an argument", async () => {
    await vi.waitFor(() => expect(new Set(receiver.spans.map(({ service }) => service)).size).toBe(2), EXPORTED);
    const names = new Set(receiver.spans.flatMap(({ attributes }) => Object.keys(attributes)));
    expect([...names].filter((name) => !(ATTRIBUTE_NAMES as readonly string[]).includes(name))).toEqual([]);
    const bodies = receiver.requests.map(({ body }) => body).join();
    for (const secret of [PAT, alice, "c4n4ry", "alice", "secret/data", "eyJ"]) expect(bodies).not.toContain(secret);
    expect(receiver.requests.at(-1)?.headers).toMatchObject({
      authorization: "Bearer of-the-collector-c4n4ry",
      "content-type": "application/json",
    });
    expect(receiver.requests.some(({ headers }) => "traceparent" in headers)).toBe(false);
  });
});
