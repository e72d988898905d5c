// Both wire stacks behind the real Envoy: an allow, refusals, and the end, alike.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { DEMO_CREDENTIAL, startLab, type Lab } from "../../demo/lab.ts";
import { freePorts } from "../../demo/ports.ts";
import { legacy, post, reasonOf } from "./client.ts";

describe.each(["http2", "grpc-js"])("listen.authzStack: %s", (authzStack) => {
  const folder = mkdtempSync(join(tmpdir(), "mcp-authz-wire-"));
  let lab: Lab;
  let token: string;
  beforeAll(async () => {
    const config = (whole: Record<string, unknown>) => {
      whole["listen"] = { ...(whole["listen"] as object), authzStack };
    };
    lab = await startLab({ folder, ports: await freePorts(), policyFolder: null, config, progress: () => {} });
    token = await lab.idp.mint("alice");
  });
  afterAll(async () => {
    await lab.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const lastLine = () =>
    JSON.parse(readFileSync(lab.auditFile, "utf8").trim().split("\n").at(-1) ?? "{}") as Record<string, unknown>;

  it("an allowed call arrives with the configured credential and without the caller's token", async () => {
    const reply = await legacy(lab.gateway, "tools/call", { name: "whoami", arguments: {} }, { token });
    expect(reply.status).toBe(200);
    expect(reply.text).toContain(`Bearer ${DEMO_CREDENTIAL}`);
    expect(JSON.stringify(lab.demo.arrivals.at(-1))).not.toContain(token);
    expect(lastLine()).toMatchObject({ decision: "allow", server: "demo", name: "whoami", subject: "alice" });
  });

  it("thirty calls at one time are all allowed", async () => {
    const calls = Array.from({ length: 30 }, () =>
      legacy(lab.gateway, "tools/call", { name: "whoami", arguments: {} }, { token }),
    );
    expect((await Promise.all(calls)).filter(({ status }) => status !== 200)).toEqual([]);
  });

  it("without a token: the challenge; a withheld tool: the refusal in JSON-RPC; a wrong body: 400", async () => {
    const body = { name: "delete_repo", arguments: {} };
    const unknown = await legacy(lab.gateway, "tools/call", body);
    expect([unknown.status, unknown.headers.get("www-authenticate")]).toEqual([401, expect.stringMatching(/^Bearer /)]);
    const denied = await legacy(lab.gateway, "tools/call", body, { token });
    expect([denied.status, reasonOf(denied), denied.message?.["id"]]).toEqual([200, "policy_denied", 1]);
    const malformed = await post(lab.gateway, '{"jsonrpc":"2.0","id":1,"id":2}', { token });
    expect([malformed.status, reasonOf(malformed)]).toEqual([400, "body_malformed"]);
    await vi.waitFor(() => expect(lastLine()).toMatchObject({ decision: "deny", reason: "body_malformed" }));
  });
});
