import { describe, expect, it } from "vitest";
import { allowingPorts, checkSettings, requestOf, THERE, type RequestParts } from "../../test/fakes/authz.ts";
import { createCheck } from "./check.ts";
import { newCheckFacts } from "./facts.ts";
import { Grant } from "./grant.ts";
import type { Ports } from "./ports.ts";
import { pass, refuse } from "./step.ts";
import type { TokenlessIdentity, Visible } from "./types.ts";

const JOB: TokenlessIdentity = {
  ...{ method: "api_key", issuer: "urn:mcp-authz:api-key", subject: "job", username: null, groups: [], scopes: [] },
  ...{ kind: "machine", amr: [], acr: null, authTime: null, actors: [], claims: {}, expiresAt: 2_000_000_000 },
  opens: new Set(["s"]),
};
const SETTINGS = checkSettings({
  presents: { keyHeaders: new Set(["x-key"]), basic: false, dpop: false, proxyHeaders: new Set() },
});
const TOOLS: Visible = { tools: { s: ["read"], t: ["read"] }, prompts: { t: ["p"] }, resources: { t: ["a://b"] } };

async function run(parts: RequestParts, more: Partial<Ports> = {}) {
  const shown: Visible[] = [];
  const ports = allowingPorts({
    identifyKey: ({ by, key }) => (key === "secret" ? pass(JOB) : by === "bearer" ? null : refuse("token_invalid")),
    visible: () => pass({ revision: "r", names: TOOLS }),
    signWristband: (_, visible) => {
      shown.push(visible);
      return pass({ jws: "a.b.c", jti: "j", leftOut: [] });
    },
    ...more,
  });
  const facts = newCheckFacts("req", 1_790_000_000_000);
  const request = requestOf({ token: null, headers: [["x-key", "secret"]], ...parts });
  const outcome = await createCheck(SETTINGS, ports)(request, facts, AbortSignal.timeout(1000));
  const route = outcome.ok ? (Grant.is(outcome.value) ? outcome.value.route : "public") : outcome.reason;
  return { route, outcome, facts, shown: shown[0] };
}

const call = (name: string) => ({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: {} } });
const list = (method: string) => ({ jsonrpc: "2.0", id: 1, method });

describe("AP-02: a server takes keys and tokens, one at a time", () => {
  it.each<[string, RequestParts, string]>([
    ["a key", {}, `server:s:${THERE}`],
    ["a token", { token: "token", headers: [] }, `server:s:${THERE}`],
    ["a key as bearer", { token: "secret", headers: [] }, `server:s:${THERE}`],
    ["both", { token: "token" }, "header_malformed"],
    ["nothing", { headers: [] }, "token_missing"],
    ["a wrong key", { headers: [["x-key", "other"]] }, "token_invalid"],
    ["a wrong token", { token: "other", headers: [] }, "token_invalid"],
  ])("%s: %s", async (_, parts, expected) => expect((await run(parts)).route).toBe(expected));

  it("the audit's facts name the key's caller, and policy sees a machine", async () => {
    const inputs: unknown[] = [];
    const decide: Ports["decide"] = ({ identity }) => {
      inputs.push(identity);
      return pass({ allow: true, revision: "r", note: null });
    };
    const { facts } = await run({}, { decide });
    expect(facts.identity).toBe(JOB);
    expect(inputs).toMatchObject([{ method: "api_key", kind: "machine", subject: "job" }]);
  });

  it("the key reaches no server", async () => {
    const { outcome } = await run({});
    if (!outcome.ok || !Grant.is(outcome.value)) throw new Error("no grant");
    expect([...outcome.value.set.values()].join()).not.toContain("secret");
    expect(outcome.value.remove).toContain("x-key");
  });
});

describe("a key opens its servers alone, whatever policy says", () => {
  it.each<[string, RequestParts, string]>([
    ["a call at another server's endpoint", { path: "/servers/t/mcp" }, "token_invalid"],
    ["a list there", { path: "/servers/t/mcp", message: list("tools/list") }, "token_invalid"],
    ["a handshake there", { path: "/servers/t/mcp", message: list("ping") }, "token_invalid"],
    ["a stream there", { path: "/servers/t/mcp", method: "GET", body: { kind: "none" } }, "token_invalid"],
    ["another server's tool on /mcp", { path: "/mcp", message: call("t_read") }, "policy_denied"],
    ["another server's tool on a virtual server", { path: "/servers/v/mcp", message: call("t_read") }, "policy_denied"],
    ["its own tool on /mcp", { path: "/mcp", message: call("s_read") }, "broker"],
  ])("%s: %s", async (_, parts, expected) => expect((await run(parts)).route).toBe(expected));

  it.each(["tools/list", "prompts/list", "resources/list"])(
    "%s of all servers names nothing of others",
    async (method) => {
      const { shown } = await run({ path: "/mcp", message: list(method) });
      expect(JSON.stringify(shown)).not.toContain('"t"');
    },
  );

  it("a stream tells of no resource of others", async () => {
    const notifications = { resourceSubscriptions: ["s+docs://b", "t+docs://b"] };
    const meta = {
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientCapabilities": {},
    };
    const message = { ...list("subscriptions/listen"), params: { notifications, _meta: meta } };
    const headers = [
      ["x-key", "secret"],
      ["mcp-method", "subscriptions/listen"],
      ["mcp-protocol-version", "2026-07-28"],
    ] as const;
    const { shown } = await run({ path: "/mcp", message, headers });
    expect(shown?.resources).toEqual({ s: ["docs://b"] });
  });

  it("what it does open is there", async () => {
    const { shown } = await run({ path: "/mcp", message: list("tools/list") });
    expect(shown?.tools).toEqual({ s: ["read"] });
  });
});

describe("a public server, and no other endpoint", () => {
  const anonymous: TokenlessIdentity = { ...JOB, method: "anonymous", subject: "anonymous" };
  const identifyTokenless: Ports["identifyTokenless"] = (asked) =>
    asked.by === "nothing" && asked.server === "s" ? pass(anonymous) : refuse("token_missing");
  it.each<[string, RequestParts, string]>([
    ["its endpoint", {}, `server:s:${THERE}`],
    ["with a token that does not hold", { token: "other" }, "token_invalid"],
    ["with a key that does not hold", { headers: [["x-key", "other"]] }, "token_invalid"],
    ["another server's endpoint", { path: "/servers/t/mcp" }, "token_missing"],
    ["/mcp", { path: "/mcp", message: call("s_read") }, "token_missing"],
    ["a virtual server", { path: "/servers/v/mcp", message: call("s_read") }, "token_missing"],
  ])("%s: %s", async (_, parts, expected) => {
    expect((await run({ headers: [], ...parts }, { identifyTokenless })).route).toBe(expected);
  });
});
