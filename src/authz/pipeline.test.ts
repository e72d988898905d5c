// The pipeline through its other doors: the same answers as a Check's, and a permit that nothing else can make.
import { describe, expect, it } from "vitest";
import { ALICE, allowingPorts, checkSettings, headersOf, requestOf } from "../../test/fakes/authz.ts";
import { readOperation } from "../mcp/read-operation.ts";
import type { CheckSettings } from "./check.ts";
import { newCheckFacts, type CheckFacts } from "./facts.ts";
import { ANONYMOUS_ISSUER } from "./own-issuers.ts";
import { Permit, permits } from "./permit.ts";
import { createPipeline } from "./pipeline.ts";
import type { Ports } from "./ports.ts";
import { pass, refuse } from "./step.ts";

const signal = new AbortController().signal;

async function asked(
  message: { method: string; params?: object },
  overrides: { ports?: Partial<Ports>; settings?: Partial<CheckSettings>; server?: string; padding?: number } = {},
) {
  const pipeline = createPipeline(checkSettings(overrides.settings), allowingPorts(overrides.ports));
  const facts = newCheckFacts("r", 0);
  const request = requestOf({ message: { jsonrpc: "2.0", id: 1, ...message } });
  const endpoint = pipeline.endpointOf(overrides.server ?? "s");
  if (!endpoint.ok) return { decided: endpoint, facts };
  const identified = await pipeline.identify({ request, endpoint: endpoint.value }, facts, signal);
  if (!identified.ok) return { decided: identified, facts };
  const read = readOperation("bytes" in request.body ? request.body.bytes : Buffer.alloc(0), request.headers);
  if (!read.ok) throw new Error("no operation");
  const of = { endpoint: endpoint.value, identity: identified.value, read: () => pass(read.operation) };
  const decided = await pipeline.decide({ ...of, request, bytes: overrides.padding ?? 100 }, facts, signal);
  return { decided, facts };
}

describe("a door's decision", () => {
  it("is a permit for the call, with its credential, and the facts of an audit line", async () => {
    const { decided, facts } = await asked({ method: "tools/call", params: { name: "read" } });
    expect(decided).toMatchObject({
      ok: true,
      value: {
        credential: { kind: "static" },
        permit: { what: { kind: "call", target: { server: "s", name: "read" } } },
      },
    });
    expect(facts).toMatchObject({
      ...{ server: "s", method: "tools/call", kind: "tool", name: "read", credential: "static", policy: "r1" },
      ...{ identity: ALICE, sourceIp: "192.0.2.7", path: "/servers/s/mcp" },
    });
  });

  it("is a permit for a list, with the visible names", async () => {
    const { decided } = await asked({ method: "tools/list" });
    expect(decided).toMatchObject({ value: { permit: { what: { kind: "list", names: { tools: { s: ["read"] } } } } } });
  });

  it.each<[string, Partial<Ports>, string]>([
    [
      "policy",
      { decide: () => ({ ok: true, value: { allow: false, revision: "r", note: null, requiredScopes: null } }) },
      "policy_denied",
    ],
    ["no policy", { decide: () => refuse("policy_unavailable") }, "policy_unavailable"],
    ["the credential", { fetchCredential: () => refuse("credential_missing") }, "credential_missing"],
    ["the token", { identify: () => refuse("token_expired") }, "token_expired"],
  ])("is refused by %s", async (_, ports, reason) => {
    const { decided } = await asked({ method: "tools/call", params: { name: "read" } }, { ports });
    expect(decided).toMatchObject({ ok: false, reason });
  });

  it("with a large message: of callers who present nothing each source has turns of its own, for calls and for lists", async () => {
    const pipeline = createPipeline(checkSettings({ largeBodiesPerCaller: 3 }), allowingPorts());
    const endpoint = pipeline.endpointOf("s");
    const request = requestOf({ message: { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "read" } } });
    const read = readOperation("bytes" in request.body ? request.body.bytes : Buffer.alloc(0), request.headers);
    if (!endpoint.ok || !read.ok) throw new Error("no operation");
    const identity = { ...ALICE, issuer: ANONYMOUS_ISSUER, subject: "anonymous" };
    const of = { endpoint: endpoint.value, request, bytes: 40_000 };
    const list = {
      kind: "tool" as const,
      names: ["read"],
      version: "2025-11-25",
      caller: { ...identity, auth_time: null },
      opens: null,
    };
    const doors = [
      (facts: CheckFacts) => pipeline.decide({ ...of, identity, read: () => pass(read.operation) }, facts, signal),
      (facts: CheckFacts) => pipeline.visibleOf({ ...of, ...list }, facts, signal),
    ];
    for (const ask of doors) {
      const sources = ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"];
      const all = sources.map((sourceIp) => ask(Object.assign(newCheckFacts("r", 0), { sourceIp })));
      const ended = (await Promise.all(all)).map((one) => (one.ok ? "ok" : one.reason));
      expect(ended).toEqual(["ok", "ok", "ok", "rate_limited", "ok"]);
    }
  });

  it("knows the servers of the configuration alone", async () => {
    for (const server of ["u", "v", "", "__proto__", "../mcp"]) {
      const { decided } = await asked({ method: "tools/call", params: { name: "read" } }, { server });
      expect(decided).toMatchObject({ ok: false, reason: "route_unknown" });
    }
  });

  it("has large messages of one caller in turn with those of her Checks", async () => {
    const call = { method: "tools/call", params: { name: "read" } };
    const { decided, facts } = await asked(call, { padding: 100_000, settings: { largeBodiesPerCaller: 0 } });
    expect(decided).toMatchObject({ ok: false, reason: "rate_limited" });
    expect(facts.method).toBeNull(); // not even read
  });

  it("is not made after its time", async () => {
    const pipeline = createPipeline(checkSettings(), allowingPorts());
    const endpoint = pipeline.endpointOf("s");
    const read = readOperation(Buffer.from('{"jsonrpc":"2.0","id":1,"method":"tools/list"}'), headersOf([]));
    if (!endpoint.ok || !read.ok) throw new Error("no operation");
    const of = {
      endpoint: endpoint.value,
      identity: ALICE,
      read: () => pass(read.operation),
      request: requestOf(),
      bytes: 1,
    };
    const decided = await pipeline.decide(of, newCheckFacts("r", 0), AbortSignal.abort());
    expect(decided).toMatchObject({ ok: false, reason: "deadline" });
  });
});

describe("a permit", () => {
  const permit = Permit.ofHousekeeping(ALICE, { kind: "open" });
  it.each([null, undefined, 1, "x", {}, { ...permit }, JSON.parse(JSON.stringify(permit)), Object.create(permit)])(
    "is not %j",
    (value) => expect(Permit.is(value)).toBe(false),
  );
  it("is what the pipeline makes", () =>
    expect([Permit.is(permit), permits(permit, "open"), permits(permit, "call")]).toEqual([true, true, false]));
});
