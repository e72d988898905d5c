// Refusals on the way to a stream of HTTP+SSE: what goes to the broker, and what never does.
import { describe, expect, it } from "vitest";
import {
  ALICE,
  allowingPorts,
  checkSettings,
  MANAGED,
  ORIGIN,
  requestOf,
  type RequestParts,
} from "../../test/fakes/authz.ts";
import { createCheck } from "./check.ts";
import { endpointTable } from "./endpoint.ts";
import { newCheckFacts } from "./facts.ts";
import { Grant } from "./grant.ts";
import type { Ports } from "./ports.ts";
import { pass, refuse } from "./step.ts";
import type { Visible, WristbandUse } from "./types.ts";

const MESSAGE = "/servers/t/sse/1.abc";

async function run(parts: RequestParts, ports: Partial<Ports> = {}, signal = new AbortController().signal) {
  const signed: [Visible, WristbandUse][] = [];
  const endpoints = endpointTable({
    ...{ publicOrigin: ORIGIN, hosts: [], virtualServers: {}, search: false, hasSessions: () => true },
    servers: { s: { allowQuery: false, legacySse: true }, t: { allowQuery: false, legacySse: true } },
  });
  const check = createCheck(
    checkSettings({ endpoints }),
    allowingPorts({
      signWristband: (_, visible, use) => (
        signed.push([visible, use]),
        pass({ jws: "wrist.band.jws", jti: "j1", leftOut: [] })
      ),
      ...ports,
    }),
  );
  const facts = newCheckFacts("req-1", Date.now());
  return { outcome: await check(requestOf({ path: MESSAGE, ...parts }), facts, signal), signed, facts };
}

const NOTHING = { tools: {}, prompts: {}, resources: {} };
const DENIED: Partial<Ports> = {
  decide: () => pass({ allow: false, requiredScopes: null, revision: "r", note: "NOTE" }) as never,
};

describe("CF-32: a refused message of HTTP+SSE goes to the broker, which tells it on the stream", () => {
  it.each<[string, RequestParts, Partial<Ports>, object]>([
    ["by policy", {}, DENIED, { reason: "policy_denied" }],
    [
      "a name that nobody has",
      { message: { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "a b" } } },
      {},
      { reason: "policy_denied" },
    ],
    [
      "without a credential",
      {},
      { fetchCredential: () => ({ ...refuse("credential_missing", "SECRET"), help: "Ask" }) },
      { reason: "credential_missing", help: "Ask" },
    ],
    [
      "undecided",
      {},
      { fetchCredential: () => refuse("credential_unavailable", "SECRET") },
      { reason: "credential_unavailable" },
    ],
    ["an unknown method", { message: { jsonrpc: "2.0", id: 1, method: "x/y" } }, {}, { reason: "method_unknown" }],
    [
      "wrong params",
      { message: { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: 1 } } },
      {},
      { reason: "params_invalid", about: "name is not a string" },
    ],
    [
      "a large integer",
      {
        body: {
          kind: "bytes",
          bytes: Buffer.from(
            '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"n":12345678901234567890}}}',
          ),
        },
      },
      {},
      { reason: "body_malformed", about: "an integer beyond 2^53 - 1: send it as text" },
    ],
  ])("%s", async (_, parts, ports, refusal) => {
    const { outcome, signed, facts } = await run(parts, ports);
    if (!outcome.ok || !Grant.is(outcome.value)) throw new Error("no grant");
    const { refused, route, set, remove } = outcome.value;
    expect([refused, route]).toMatchObject([{ ok: false, reason: (refusal as { reason: string }).reason }, "broker"]);
    expect(signed.at(-1)).toMatchObject([NOTHING, { use: "refusal", refusal: { ...refusal, requestId: "req-1" } }]);
    expect([...set.keys()]).toEqual(["x-authorized-tools"]);
    expect(new Set([...set.keys(), ...remove])).toEqual(new Set(MANAGED));
    expect(facts.wristband).toBe("j1");
    expect(JSON.stringify(signed)).not.toMatch(/SECRET|NOTE/);
  });

  it.each<[string, RequestParts, Partial<Ports>]>([
    ["a token that fails", { token: "other" }, {}],
    ["a token of somebody known that is over", {}, { identify: () => ({ ...refuse("token_expired"), caller: ALICE }) }],
    [
      "more scopes",
      {},
      { decide: () => pass({ allow: false, requiredScopes: ["w"], revision: "r", note: null }) as never },
    ],
    ["a body that is none", { body: { kind: "bytes", bytes: Buffer.from("{") } }, DENIED],
    ["a batch", { body: { kind: "bytes", bytes: Buffer.from("[]") } }, DENIED],
    ["a body that is not whole", { body: { kind: "missing" } as never }, DENIED],
    ["another media type", { headers: [["content-encoding", "gzip"]] }, DENIED],
    ["a header that is malformed", { headers: [["mcp-method", "tools/list"]] }, DENIED],
    ["another HTTP method", { method: "PUT" }, DENIED],
    ["no key to sign with", {}, { ...DENIED, signWristband: () => refuse("internal") }],
    ["streamable HTTP", { path: "/servers/t/mcp" }, DENIED],
    ["the stream itself", { path: "/servers/t/sse" }, DENIED],
  ])("%s is refused by HTTP", async (_, parts, ports) => {
    const { outcome, signed } = await run(parts, ports);
    expect(outcome.ok).toBe(false);
    expect(signed.filter(([, { use }]) => use === "refusal")).toEqual([]);
  });

  it("without time left it is refused by HTTP", async () => {
    const { outcome } = await run({}, DENIED, AbortSignal.abort());
    expect(outcome).toMatchObject({ ok: false });
  });

  it("what is allowed is no refusal", async () => {
    const { outcome, signed } = await run({});
    expect(outcome.ok && Grant.is(outcome.value) && outcome.value.refused).toBe(null);
    expect(signed.at(-1)?.[1].use).toBe("call");
  });
});
