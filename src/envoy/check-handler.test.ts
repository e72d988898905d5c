// The handler: one response, one record, one count for each Check, whatever its ports do.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ALICE, allowingPorts, checkSettings, headersOf, MANAGED, THERE } from "../../test/fakes/authz.ts";
import { checkMessage, codecs, FULL_PROTO } from "../../test/fakes/check-request.ts";
import { someInFlight } from "../../test/fakes/handover.ts";
import type { InFlight } from "../authz/in-flight.ts";
import { createInFlight, newInFlight, readInFlight } from "../ops/supervisor/in-flight.ts";
import type { RefusalResponseSettings } from "../authz/refusal-response.ts";
import type { AuditRecord } from "../authz/audit-record.ts";
import { actorsOf } from "../jose/act-claim.ts";
import type { JsonObject } from "../json/types.ts";
import { createCheck, type Check } from "../authz/check.ts";
import { Grant } from "../authz/grant.ts";
import { NO_SERVER_HEADERS } from "../authz/server-headers.ts";
import { pass, refuse } from "../authz/step.ts";
import type { Outcome } from "../authz/outcome.ts";
import type { CredentialOrigin } from "../authz/types.ts";
import { REFUSALS, type Reason } from "../authz/refusal.ts";
import { Secret } from "../secret/secret.ts";
import { newCheckFacts } from "../authz/facts.ts";
import { createCredentials } from "../credential/chain.ts";
import type { Lookup } from "../credential/source.ts";
import { encodeCheckResponse } from "./encode-check-response.ts";
import { toCheckResponse } from "./to-check-response.ts";
import { CHECK_CODEC } from "./check-codec.ts";
import { createCheckHandler } from "./check-handler.ts";

const { request, response } = codecs(FULL_PROTO);
const answers: RefusalResponseSettings = { publicOrigin: "https://gw.example.com", scopes: [], denial: "jsonrpc" };
const responses = { answers, encode: CHECK_CODEC.encode };
const BODY = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "read", arguments: {} } });
const GOOD = request.encode(checkMessage({ body: BODY, headers: { authorization: "Bearer token" } }));

function realGrant() {
  const passage = {
    to: "server" as const,
    server: "s",
    credential: {
      ...{ kind: "static" as const, header: "authorization", value: new Secret("Bearer pat") },
      destination: THERE,
    },
    received: headersOf([]),
    client: { protocol: new Map(), passed: new Map() },
    headers: NO_SERVER_HEADERS,
    responseHeaders: new Map(),
  };
  const step = Grant.of({ identity: ALICE, decision: "housekeeping" }, passage, {
    managed: new Set(MANAGED),
    wristbandHeader: "x-authorized-tools",
    routeHeader: null,
  });
  if (!step.ok) throw new Error("no grant");
  return step;
}

/** Runs one Check and reads the answer as Envoy would. */
async function run(
  check: Check,
  options: {
    audit?: (r: AuditRecord) => Promise<boolean>;
    deadlineMs?: number;
    bytes?: Buffer;
    signal?: AbortSignal;
    now?: () => number;
    inFlight?: InFlight;
  } = {},
) {
  const records: AuditRecord[] = [];
  const counts: string[] = [];
  const handler = createCheckHandler({
    check,
    codec: CHECK_CODEC,
    answers,
    audit: (record) => (records.push(record), options.audit?.(record) ?? Promise.resolve(true)),
    observe: (decision, reason) => counts.push(`${decision} ${reason ?? ""}`.trim()),
    now: options.now ?? Date.now,
    newRequestId: () => "req-1",
    inFlight: options.inFlight ?? someInFlight(),
  });
  const onGone = (listener: () => void) => {
    if (options.signal?.aborted === true) listener();
    else options.signal?.addEventListener("abort", listener);
  };
  const call = { deadlineMs: options.deadlineMs ?? 1000, onGone };
  const bytes = await handler(options.bytes ?? GOOD, call);
  const seen = response.decode(bytes) as {
    status: { code: number };
    http_response: string;
    denied_response?: { status: { code: string }; body: string };
    ok_response?: { headers: { header: { key: string; value: string } }[] };
  };
  return { seen, records, counts };
}

describe("a refusal that the broker tells", () => {
  const refused = refuse("policy_denied", "by policy");
  function toldGrant() {
    const wristband = { jws: "wrist.band.jws", jti: "j1", leftOut: [] };
    const route = { to: "broker" as const, wristband, sessionId: null, responseHeaders: new Map(), refused };
    const step = Grant.of({ identity: ALICE, decision: "refused" }, route, {
      managed: new Set(MANAGED),
      wristbandHeader: "x-authorized-tools",
      routeHeader: null,
    });
    if (!step.ok) throw new Error("no grant");
    return step;
  }
  const check: Check = () => Promise.resolve(toldGrant());

  it("goes on to the broker, and is a refusal in audit, count and metadata", async () => {
    const { seen, records, counts } = await run(check);
    expect(seen.status.code).toBe(0);
    expect(records).toMatchObject([{ decision: "deny", reason: "policy_denied" }]);
    expect(counts).toEqual(["deny policy_denied"]);
    expect(JSON.stringify(seen)).toContain('"deny"');
  });

  it("leaves as an allow does: after its record, and in time", async () => {
    const unwritten = await run(check, { audit: () => Promise.resolve(false) });
    expect([unwritten.seen.status.code === 0, unwritten.counts]).toEqual([false, ["fail audit_unavailable"]]);
    const late = await run(check, { deadlineMs: 0, now: () => 5 });
    expect(late.seen.status.code).not.toBe(0);
  });
});

describe("a whole Check", () => {
  it("allows with exactly the grant's headers, after its record was written", async () => {
    const { seen, records, counts } = await run(createCheck(checkSettings(), allowingPorts()));
    expect(seen.status.code).toBe(0);
    expect(seen.ok_response?.headers.map(({ header }) => [header.key, header.value])).toEqual([
      ["accept", "application/json, text/event-stream"],
      ["authorization", "Bearer pat"],
    ]);
    expect(seen).toMatchObject({
      dynamic_metadata: {
        fields: {
          mcp: {
            structValue: {
              fields: {
                route: { stringValue: `server:s:${THERE}` },
                decision: { stringValue: "allow" },
                subject: { stringValue: "alice-sub" },
              },
            },
          },
        },
      },
    });
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({
      decision: "allow",
      reason: null,
      request_id: "req-1",
      subject: "alice-sub",
      name: "read",
      credential: "static",
      source_ip: "192.0.2.7",
    });
    expect(counts).toEqual(["allow"]);
  });

  it("P2.4-6, P7.4-4: the line names user, path, version or audience, and request id, and no value", async () => {
    const value = new Secret("Bearer pat-canary");
    const lineFor = async (kind: "vault" | "exchange", origin: CredentialOrigin) => {
      const fetchCredential = () => pass({ kind, header: "authorization", value, origin, destination: THERE });
      const { records } = await run(createCheck(checkSettings(), allowingPorts({ fetchCredential })));
      expect(JSON.stringify(records)).not.toContain("pat-canary");
      return records[0];
    };
    const caller = { decision: "allow", subject: "alice-sub", request_id: "req-1" };
    expect(await lineFor("vault", { path: "secret/alice/api.github.com", version: 7 })).toMatchObject({
      ...{ ...caller, credential: "vault", credential_audience: null },
      ...{ credential_path: "secret/alice/api.github.com", credential_version: 7 },
    });
    expect(await lineFor("exchange", { audience: "https://s.example.com" })).toMatchObject({
      ...{ ...caller, credential: "exchange", credential_audience: "https://s.example.com" },
      ...{ credential_path: null, credential_version: null },
    });
  });

  it.each<[string, JsonObject, string | null]>([
    ["nobody", {}, null],
    ["the outermost", { sub: "mallory", act: { sub: "agent-2", act: { sub: "agent-1" } } }, "agent-2"],
    ["one without sub, whatever it holds", { act: { client_id: "x", act: { sub: "agent-1" } } }, null],
  ])("H05: the line names caller and actor of the verified token: %s", async (_, claims, actor) => {
    const identify = () => pass({ ...ALICE, claims, actors: actorsOf(claims) });
    const { records } = await run(createCheck(checkSettings(), allowingPorts({ identify })));
    expect(records[0]).toMatchObject({ decision: "allow", subject: "alice-sub", actor });
  });

  it("G21: whether there is an entry, and whose, cannot be told from a refusal", async () => {
    const answers: Lookup[] = [
      { hasNone: "no entry" },
      { hasNone: "the entry is deleted" },
      { refused: "the entry does not say that it is this caller's" },
      { refused: "a name of this caller cannot be part of a path, or is not in the token" },
    ];
    const seen = new Set<string>();
    for (const answer of answers) {
      const fetchCredential = createCredentials(new Map([["s", [{ kind: "vault" as const, get: () => answer }]]]));
      const refused = await run(createCheck(checkSettings(), allowingPorts({ fetchCredential })));
      expect(refused.records).toMatchObject([{ reason: "credential_missing", credential_path: null }]);
      seen.add(JSON.stringify(refused.seen));
    }
    expect(seen.size).toBe(1);
  });

  it("D02, D10: bytes that are no Check are refused with 400 and recorded", async () => {
    const { seen, records } = await run(createCheck(checkSettings(), allowingPorts()), {
      bytes: Buffer.from("garbage"),
    });
    expect([seen.status.code, seen.denied_response?.status.code]).toEqual([7, "BadRequest"]);
    expect(records).toMatchObject([{ decision: "deny", reason: "header_malformed" }]);
  });
});

describe("P1: zero is not allow", () => {
  const look = {
    set: new Map([["authorization", "x"]]),
    remove: [],
    route: `server:s:${THERE}`,
    responseHeaders: new Map(),
  };
  const outcomes: unknown[] = [
    undefined,
    null,
    0,
    1,
    "ok",
    true,
    [],
    {},
    { ok: true },
    { ok: true, value: undefined },
    { ok: true, value: null },
    { ok: true, value: {} },
    { ok: true, value: look },
    { ok: true, value: { ...realGrant().value } },
    { ok: true, value: JSON.parse(JSON.stringify(realGrant().value)) as object },
    { ok: true, value: { published: false, headers: new Map(), body: "" } },
    { ok: false },
    { ok: false, reason: "nope" },
    { ok: false, reason: "__proto__" },
    { ok: "true", value: look },
    { ok: true, value: Object.create(null) as object },
    Number.NaN,
    Symbol("x"),
    () => {},
    new Error("x"),
  ];
  it.each(outcomes.map((value) => [String(typeof value === "object" ? JSON.stringify(value) : String(value)), value]))(
    "%s is refused",
    async (_, value) => {
      const { seen, records } = await run(() => Promise.resolve(value as Outcome));
      expect(seen.status.code).not.toBe(0);
      expect(seen.http_response).toBe("denied_response");
      expect(records.map((r) => r.decision)).not.toContain("allow");
    },
  );

  const zeroProperty = (build: (outcome: Outcome) => Buffer) =>
    fc.property(
      fc.anything(),
      fc.constantFrom(...(Object.keys(REFUSALS) as Reason[])),
      fc.boolean(),
      (value, reason, wrapped) => {
        for (const outcome of [
          value,
          wrapped ? { ok: true, value } : { ok: false, reason, detail: value },
        ] as Outcome[]) {
          const seen = response.decode(build(outcome)) as { status: { code: number } | null };
          expect(seen.status?.code ?? 0).not.toBe(0);
        }
      },
    );

  it("holds for anything at all", () =>
    fc.assert(
      zeroProperty((outcome) => toCheckResponse(responses, outcome, newCheckFacts("r", 0)).bytes),
      { numRuns: 1000 },
    ));

  it("and the property catches a builder that forgets the code (mutant)", () => {
    const mutant = (outcome: Outcome) => {
      const { bytes } = toCheckResponse(responses, outcome, newCheckFacts("r", 0));
      const isOk = typeof outcome === "object" && outcome !== null && outcome.ok;
      return isOk
        ? encodeCheckResponse({ kind: "denied", code: 0, http: 403, headers: new Map(), body: "", metadata: new Map() })
        : bytes;
    };
    expect(() => fc.assert(zeroProperty(mutant), { numRuns: 1000 })).toThrow(/Property failed/);
  });

  it("a real grant is status 0", () => {
    expect(response.decode(toCheckResponse(responses, realGrant(), newCheckFacts("r", 0)).bytes)).toMatchObject({
      status: { code: 0 },
    });
  });
});

describe("faults inside", () => {
  it.each<[string, Check, string, number]>([
    [
      "D15 a throw",
      () => {
        throw new Error("SECRET-CANARY");
      },
      "internal",
      7,
    ],
    ["D15 a rejection", () => Promise.reject(new Error("SECRET-CANARY")), "internal", 7],
    ["a thrown string (opa-wasm does that)", () => Promise.reject("SECRET-CANARY" as unknown as Error), "internal", 7],
    ["D14 a step that never ends", () => new Promise(() => {}), "deadline", 14],
  ])("%s", async (_, check, reason) => {
    const { seen, records, counts } = await run(check, { deadlineMs: 30 });
    expect(seen.status.code).not.toBe(0);
    expect(records).toMatchObject([{ decision: "fail", reason }]);
    expect(counts).toEqual([`fail ${reason}`]);
    expect(JSON.stringify([seen, records])).not.toContain("CANARY");
  });

  const allow: Check = () => Promise.resolve(realGrant());
  it.each<[string, (r: AuditRecord) => Promise<boolean>, string]>([
    ["J01 the audit log refuses", (r) => Promise.resolve(r.decision !== "allow"), "audit_unavailable"],
    [
      "the audit log throws",
      (r) => (r.decision === "allow" ? Promise.reject(new Error("x")) : Promise.resolve(true)),
      "audit_unavailable",
    ],
    [
      "J02 the audit log hangs",
      (r) => (r.decision === "allow" ? new Promise(() => {}) : Promise.resolve(true)),
      "audit_unavailable",
    ],
  ])("%s: no allow leaves", async (_, audit, reason) => {
    const { seen, records, counts } = await run(allow, { audit, deadlineMs: 30 });
    expect(seen.denied_response?.status.code).toBe("ServiceUnavailable");
    expect(records.at(-1)).toMatchObject({ decision: "fail", reason });
    expect(counts).toEqual([`fail ${reason}`]);
  });

  it("M13: an allow that is ready after the deadline is refused, even if no timer fired", async () => {
    let time = 0;
    const slow: Check = () => {
      time += 5000; // the event loop was blocked: the timer could not fire
      return Promise.resolve(realGrant());
    };
    const { seen, records } = await run(slow, { now: () => time });
    expect(seen.status.code).toBe(14);
    expect(records).toMatchObject([{ reason: "deadline" }]);
  });

  it("M13: an allow whose record took longer than the deadline is refused, even if no timer fired", async () => {
    let time = 0;
    const audit = (record: AuditRecord) => {
      if (record.decision === "allow") time += 5000;
      return Promise.resolve(true);
    };
    const { seen, records, counts } = await run(allow, { audit, now: () => time });
    expect(seen.status.code).toBe(14);
    expect(records.map(({ decision, reason }) => [decision, reason])).toEqual([
      ["allow", null],
      ["fail", "deadline"],
    ]);
    expect(counts).toEqual(["fail deadline"]);
  });

  it("D16, P15: what comes after the answer changes nothing", async () => {
    const decision = Promise.withResolvers<Outcome>();
    const late = await run(() => decision.promise, { deadlineMs: 20 });
    decision.resolve(realGrant());
    const writing = Promise.withResolvers<boolean>();
    const audit = (record: AuditRecord) => (record.decision === "allow" ? writing.promise : Promise.resolve(true));
    const unconfirmed = await run(allow, { audit, deadlineMs: 20 });
    writing.resolve(true);
    await new Promise((done) => setImmediate(done));
    for (const { seen, counts } of [late, unconfirmed]) {
      expect(seen.status.code).toBe(14);
      expect(counts).toHaveLength(1);
    }
    expect(late.records).toMatchObject([{ reason: "deadline" }]);
    expect(unconfirmed.records).toMatchObject([{ decision: "allow" }, { reason: "audit_unavailable" }]);
  });

  it("D16: a client that goes after its answer is no event", async () => {
    const controller = new AbortController();
    const { records, counts } = await run(allow, { signal: controller.signal });
    controller.abort();
    await new Promise((done) => setImmediate(done));
    expect([records.length, counts]).toEqual([1, ["allow"]]);
  });

  describe("P15: stands in the table of Checks in flight", () => {
    const table = () => {
      const buffer = newInFlight(2);
      return { buffer, inFlight: createInFlight(buffer), left: () => readInFlight(buffer) };
    };

    it("while it waits, with what is known of it, and no longer than that", async () => {
      const { inFlight, left } = table();
      const seen: unknown[] = [];
      const look = () =>
        seen.push(left().map(({ facts }) => [facts.identity?.subject ?? null, facts.name, facts.server]));
      const ports = allowingPorts({
        identify: () => Promise.resolve(pass(ALICE)).finally(look),
        fetchCredential: () => Promise.resolve(refuse("credential_missing")).finally(look),
      });
      const { records } = await run(createCheck(checkSettings(), ports), { inFlight });
      // Policy is asked between both: its guard is what writes down the rest (heartbeat.ts).
      expect([seen[0], records.length]).toEqual([[[null, null, "s"]], 1]);
      await new Promise((done) => setImmediate(done));
      expect(left()).toEqual([]);
    });

    it("a refusal's answer does not wait for its line, but its slot does", async () => {
      const { inFlight, left } = table();
      let write: (written: boolean) => void = () => {};
      const denied: Check = async (_, facts) => {
        facts.identity = ALICE;
        return refuse("policy_denied");
      };
      await run(denied, { inFlight, audit: () => new Promise((done) => (write = done)) });
      expect(left()).toMatchObject([
        { answered: { decision: "deny", reason: "policy_denied" }, facts: { identity: { subject: "alice-sub" } } },
      ]);
      write(true);
      await new Promise((done) => setImmediate(done));
      expect(left()).toEqual([]);
    });

    it("an allow that waits for its line is not answered yet", async () => {
      const { inFlight, left } = table();
      const during: unknown[] = [];
      const audit = async () => during.push(left()[0]?.answered) > 0;
      await run(allow, { inFlight, audit });
      await new Promise((done) => setImmediate(done));
      expect([during, left()]).toEqual([[null], []]);
    });

    it("without a slot it is refused, whatever it asks for: nothing could vouch for its line", async () => {
      const { inFlight } = table();
      for (const id of ["1", "2"]) inFlight.begin(newCheckFacts(id, 0));
      let asked = 0;
      const check: Check = (...parts) => ((asked += 1), allow(...parts));
      const { records, counts } = await run(check, { inFlight });
      expect([asked, counts, records]).toMatchObject([
        0,
        ["fail audit_unavailable"],
        [{ detail: expect.stringContaining("too many Checks") as string }],
      ]);
    });

    it("what its time is over for asks policy no more", async () => {
      const decided: boolean[] = [];
      const ports = allowingPorts({
        identify: () => new Promise((done) => setTimeout(() => done(pass(ALICE)), 60)),
        decide: () => (decided.push(true), refuse("policy_denied")),
      });
      const { counts } = await run(createCheck(checkSettings(), ports), { deadlineMs: 10 });
      await new Promise((done) => setTimeout(done, 120));
      expect([counts, decided]).toEqual([["fail deadline"], []]);
    });
  });

  it("a bug in what is around a Check ends in a rejection, which the transport answers with a refusal", async () => {
    const handler = createCheckHandler({
      check: allow,
      answers,
      audit: () => Promise.resolve(true),
      observe: () => {
        throw new Error("SECRET-CANARY");
      },
      now: Date.now,
      newRequestId: () => "req-1",
      codec: CHECK_CODEC,
      inFlight: someInFlight(),
    });
    await expect(handler(GOOD, { deadlineMs: 1000, onGone: () => {} })).rejects.toThrow();
  });

  it("a client that is gone gets no allow", async () => {
    const controller = new AbortController();
    controller.abort();
    const { seen } = await run(allow, { signal: controller.signal });
    expect(seen.status.code).toBe(14);
  });
});

describe("C22: a builder that were wrong would not get through", () => {
  it("a grant whose headers change under us is refused", () => {
    const step = realGrant();
    Object.assign(step.value, { remove: [...step.value.remove, "authorization"] }); // set and removed
    expect(response.decode(toCheckResponse(responses, step, newCheckFacts("r", 0)).bytes)).not.toMatchObject({
      status: { code: 0 },
    });
    const other = realGrant();
    (other.value.set as Map<string, string>).set("content-length", "1");
    expect(response.decode(toCheckResponse(responses, other, newCheckFacts("r", 0)).bytes)).not.toMatchObject({
      status: { code: 0 },
    });
    const empty = realGrant();
    (empty.value.set as Map<string, string>).set("authorization", "");
    expect(response.decode(toCheckResponse(responses, empty, newCheckFacts("r", 0)).bytes)).not.toMatchObject({
      status: { code: 0 },
    });
  });
  it("no refusal of the table leaves as status 0 or without an HTTP status", () => {
    for (const reason of Object.keys(REFUSALS) as Reason[]) {
      const seen = response.decode(toCheckResponse(responses, refuse(reason), newCheckFacts("r", 0)).bytes) as {
        status: { code: number };
      };
      expect(seen.status.code).toBeGreaterThan(0);
    }
    expect(
      response.decode(
        toCheckResponse(
          responses,
          pass({ published: true, headers: new Map<string, string>(), body: "x" } as const),
          newCheckFacts("r", 0),
        ).bytes,
      ),
    ).toMatchObject({ status: { code: 7 }, denied_response: { body: "x" } });
  });
});
