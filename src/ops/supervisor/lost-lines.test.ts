import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { ALICE } from "../../../test/fakes/authz.ts";
import { auditRecord } from "../../authz/audit-record.ts";
import { newCheckFacts, NO_SLOT, type CheckFacts } from "../../authz/facts.ts";
import { createInFlight, newInFlight } from "./in-flight.ts";
import { writeLostLines } from "./lost-lines.ts";
import type { Loss } from "./messages.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-lost-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A thread's table with three Checks: one of bob, who is evaluated, one that waits, and one that is answered. */
function left(): { inFlight: SharedArrayBuffer; trails: CheckFacts[] } {
  const inFlight = newInFlight(8);
  const table = createInFlight(inFlight);
  const trails = ["ran", "waits", "denied"].map((id, i) => newCheckFacts(id, 1000 + i));
  for (const facts of trails) table.begin(facts);
  Object.assign(trails[0]!, {
    identity: { ...ALICE, subject: "bob" },
    method: "tools/call",
    kind: "tool",
    name: "read",
  });
  Object.assign(trails[1]!, { sourceIp: "192.0.2.1", server: "demo" });
  for (const facts of trails) table.note(facts);
  table.answered(trails[2]!, { decision: "deny", reason: "policy_denied", detail: null });
  return { inFlight, trails };
}

let counter = 0;
async function lines(cause: Loss["cause"], before = "") {
  const file = join(folder, `a${(counter += 1)}.jsonl`);
  if (before !== "") writeFileSync(file, before);
  const { inFlight, trails } = left();
  const slot = cause === "ran_away" ? (trails[0]?.slot ?? NO_SLOT) : NO_SLOT;
  await writeLostLines({ inFlight, cause, slot, revision: "r1" }, { file, onFailure: () => {} });
  const text = readFileSync(file, "utf8");
  const read = text.slice(before.length).trim().split("\n");
  return { text, records: read.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

it("P15: each Check has a line in the form of all others: who ran away, who waited, who was answered", async () => {
  const { records } = await lines("ran_away");
  expect(records).toMatchObject([
    {
      ...{ request_id: "ran", decision: "fail", reason: "policy_unavailable", policy: "r1" },
      ...{ issuer: ALICE.issuer, subject: "bob", method: "tools/call", kind: "tool", name: "read" },
      detail: expect.stringMatching(/^this evaluation/) as string,
    },
    {
      ...{
        request_id: "waits",
        decision: "fail",
        reason: "policy_unavailable",
        source_ip: "192.0.2.1",
        server: "demo",
      },
      ...{ policy: null, subject: null, detail: expect.stringContaining("another Check's") as string },
    },
    { request_id: "denied", decision: "deny", reason: "policy_denied" },
  ]);
  const clock = { now: () => 0, isoTime: String };
  const fields = Object.keys(
    auditRecord(newCheckFacts("r", 0), { decision: "allow", reason: null, detail: null }, clock),
  );
  for (const record of records) expect(Object.keys(record)).toEqual(fields);
});

it.each([
  ["crashed", "internal"],
  ["stopped", "deadline"],
] as const)("nobody ran away when a thread %s: %s", async (cause, reason) => {
  expect((await lines(cause)).records.map((record) => record["reason"])).toEqual([reason, reason, "policy_denied"]);
});

it("behind half a line they begin a new one, behind a whole one none is empty", async () => {
  expect((await lines("crashed", '{"half":')).text).toMatch(/^\{"half":\n\{"time"/);
  expect((await lines("crashed", '{"whole":1}\n')).text).toMatch(/^\{"whole":1\}\n\{"time"/);
  expect((await lines("crashed")).text).toMatch(/^\{"time"/);
});

it("nothing left, nothing opened; a sink that takes nothing is told and keeps nobody waiting", async () => {
  const file = join(folder, "none.jsonl");
  const loss = { cause: "crashed" as const, slot: NO_SLOT, revision: null };
  await writeLostLines({ ...loss, inFlight: newInFlight(8) }, { file, onFailure: () => {} });
  expect(existsSync(file)).toBe(false);
  const failures: string[] = [];
  const gone = join(folder, "gone/a.jsonl");
  await writeLostLines(
    { ...loss, inFlight: left().inFlight },
    { file: gone, onFailure: (code) => failures.push(code) },
  );
  expect(failures).toEqual(["ENOENT"]);
});
