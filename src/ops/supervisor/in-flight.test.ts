import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ALICE } from "../../../test/fakes/authz.ts";
import { auditRecord } from "../../authz/audit-record.ts";
import { ANONYMOUS_ISSUER } from "../../authz/own-issuers.ts";
import { REFUSALS, type Reason } from "../../authz/refusal.ts";
import { newCheckFacts, NO_SLOT, type CheckFacts } from "../../authz/facts.ts";
import { callerAt, createInFlight, newInFlight, readInFlight, ruleAt } from "./in-flight.ts";

const clock = { now: () => 2000, isoTime: String };
const FAIL = { decision: "fail" as const, reason: "internal" as const, detail: null };

function trailOf(more: Partial<CheckFacts> = {}): CheckFacts {
  return Object.assign(newCheckFacts("5cf7cd0e-2f0f-4f43-9f6a-000000000001", 1000.25), more);
}

const line = (facts: Parameters<typeof auditRecord>[0]) => auditRecord(facts, FAIL, clock);

describe("what is read is what was written", () => {
  const text = fc.oneof(fc.string({ unit: "binary", maxLength: 300 }), fc.constant("é中\u{1F600}"), fc.constant(null));
  const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 80 });

  it("in the words of an audit line, whatever the texts are", () => {
    fc.assert(
      fc.property(text, text, name, fc.option(name), (method, called, subject, actor) => {
        const buffer = newInFlight(2);
        const actors = actor === null ? [] : [actor];
        const facts = trailOf({
          ...{ meshRequestId: "m", traceId: "t", sourceIp: "192.0.2.1", server: "demo", kind: "tool" },
          ...{ method: method === "" ? null : method, name: called === "" ? null : called },
          identity: { issuer: ALICE.issuer, subject, actors },
        });
        const table = createInFlight(buffer);
        table.begin(facts);
        table.note(facts);
        const [read] = readInFlight(buffer);
        expect(read === undefined ? null : line(read.facts)).toEqual(line(facts));
        expect(callerAt(buffer, facts.slot)).toEqual({ issuer: ALICE.issuer, subject });
      }),
    );
  });

  it("a slot that is used again holds nothing of the Check before", () => {
    const buffer = newInFlight(1);
    const table = createInFlight(buffer);
    const first = trailOf({ identity: ALICE, server: "demo", method: "tools/call", kind: "tool", name: "read" });
    table.begin(first);
    table.note(first);
    table.answered(first, { decision: "deny", reason: "policy_denied", detail: null });
    table.end(first);
    table.begin(trailOf({ requestId: "second" } as Partial<CheckFacts>));
    const [read] = readInFlight(buffer);
    expect(read).toMatchObject({
      answered: null,
      facts: { requestId: "second", identity: null, server: null, name: null },
    });
    expect(callerAt(buffer, 0)).toBeNull();
  });

  it.each([
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    [null, ""],
  ])(
    "who presents nothing at a path of the host is the source, and nobody in the audit line: %s",
    (sourceIp, subject) => {
      const buffer = newInFlight(1);
      const table = createInFlight(buffer);
      const host = trailOf({ endpoint: { kind: "host" }, sourceIp });
      const [mcp, verified] = [
        trailOf({ sourceIp }),
        trailOf({ endpoint: { kind: "host" }, sourceIp, identity: ALICE }),
      ];
      const read = [host, mcp, verified].map((facts) => {
        table.begin(facts);
        table.note(facts);
        const found = [
          ruleAt(buffer, 0),
          callerAt(buffer, 0),
          readInFlight(buffer)[0]?.facts.identity?.subject ?? null,
        ];
        table.end(facts);
        return found;
      });
      expect(read).toEqual([
        ["host", { issuer: "", subject }, null],
        ["mcp", null, null],
        ["host", { issuer: ALICE.issuer, subject: ALICE.subject }, ALICE.subject],
      ]);
    },
  );

  it("who presents nothing at a public server is counted by source, and anonymous in the audit line", () => {
    const buffer = newInFlight(1);
    const table = createInFlight(buffer);
    const facts = trailOf({
      sourceIp: "192.0.2.1",
      identity: { ...ALICE, issuer: ANONYMOUS_ISSUER, subject: "anonymous" },
    });
    table.begin(facts);
    table.note(facts);
    expect(callerAt(buffer, 0)).toEqual({ issuer: ANONYMOUS_ISSUER, subject: "192.0.2.1" });
    expect(readInFlight(buffer)[0]?.facts.identity?.subject).toBe("anonymous");
  });

  it.each(Object.keys(REFUSALS) as Reason[])("what it was answered with: %s", (reason) => {
    const buffer = newInFlight(1);
    const table = createInFlight(buffer);
    const facts = trailOf();
    table.begin(facts);
    table.answered(facts, { decision: REFUSALS[reason].kind, reason, detail: "d" });
    expect(readInFlight(buffer)[0]?.answered).toMatchObject({ decision: REFUSALS[reason].kind, reason });
  });

  it("an allow has not left before its line is written, so it is no answer; a document is one", () => {
    const buffer = newInFlight(2);
    const table = createInFlight(buffer);
    const [allowed, published] = [
      trailOf({ arrivedAt: 1 } as Partial<CheckFacts>),
      trailOf({ arrivedAt: 2 } as Partial<CheckFacts>),
    ];
    for (const facts of [allowed, published]) table.begin(facts);
    table.answered(allowed, { decision: "allow", reason: null, detail: null });
    table.answered(published, { decision: "public", reason: null, detail: null });
    expect(readInFlight(buffer).map(({ answered }) => answered?.decision ?? null)).toEqual([null, "public"]);
  });
});

describe("slots", () => {
  it("there are as many as there are: one more Check has none, until another ends", () => {
    const buffer = newInFlight(3);
    const table = createInFlight(buffer);
    const trails = Array.from({ length: 4 }, () => trailOf());
    expect(trails.map((facts) => table.begin(facts))).toEqual([true, true, true, false]);
    expect(new Set(trails.map(({ slot }) => slot)).size).toBe(4);
    table.end(trails[1]!);
    table.end(trails[1]!); // once is enough
    expect([table.begin(trailOf()), table.begin(trailOf())]).toEqual([true, false]);
    expect(readInFlight(buffer)).toHaveLength(3);
  });

  it("a Check that has ended can write to no slot any more", () => {
    const buffer = newInFlight(1);
    const table = createInFlight(buffer);
    const [late, next] = [trailOf(), trailOf()];
    table.begin(late);
    table.end(late);
    table.begin(next);
    late.identity = ALICE;
    table.note(late);
    table.answered(late, { decision: "deny", reason: "policy_denied", detail: null });
    expect(late.slot).toBe(NO_SLOT);
    expect(readInFlight(buffer)).toMatchObject([{ answered: null, facts: { identity: null } }]);
  });

  it("what is torn, or no slot, names no caller and breaks nothing", () => {
    const buffer = newInFlight(2);
    new Uint8Array(buffer).fill(0xff);
    new Int32Array(buffer)[0] = 1;
    expect(readInFlight(buffer)).toHaveLength(1);
    for (const slot of [NO_SLOT, 0, 2, 1e9]) expect(callerAt(buffer, slot)).toBeNull();
  });
});
