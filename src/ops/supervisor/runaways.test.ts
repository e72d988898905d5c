import { describe, expect, it } from "vitest";
import { ALICE } from "../../../test/fakes/authz.ts";
import { ANONYMOUS_ISSUER } from "../../authz/own-issuers.ts";
import { countedCaller } from "../../authz/source.ts";
import { pass } from "../../authz/step.ts";
import { Runaways } from "./runaways.ts";
import { callerKey, createSuspensions, refuseSuspended } from "./suspensions.ts";

const issuer = "https://idp.example.com";
const of = (subject: string) => ({ issuer, subject });

function begin(suspendMs = 60_000) {
  const clock = { now: 0 };
  return { clock, runaways: new Runaways({ suspendMs, monotonic: () => clock.now }) };
}

describe("runaways", () => {
  it("one caller alone never quarantines; each suspension is twice as long, up to an hour", () => {
    const { runaways } = begin();
    const all = Array.from({ length: 9 }, () => runaways.add(of("a"), "r"));
    expect(all.map(({ quarantine }) => quarantine)).not.toContain(true);
    expect(all.map(({ suspension }) => (suspension?.forMs ?? 0) / 60_000)).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
    expect(runaways.total).toBe(9);
  });

  it("a longer suspension than an hour is never shortened", () => {
    const { runaways } = begin(3600_000);
    for (let i = 0; i < 3; i += 1) expect(runaways.add(of("a"), "r").suspension?.forMs).toBe(3600_000);
  });

  it("three different callers do, within a minute and of one revision", () => {
    const { runaways, clock } = begin();
    const quarantined = (subject: string, revision = "r") => runaways.add(of(subject), revision).quarantine;
    expect([quarantined("a"), quarantined("b"), quarantined("a"), quarantined("c", "other")]).not.toContain(true);
    expect(quarantined("c")).toBe(true);
    runaways.release();
    expect(quarantined("d")).toBe(false);
    expect([quarantined("e"), ((clock.now += 60_000), quarantined("f"))]).toEqual([false, false]);
  });

  it("of the host's other paths are counted apart: neither quarantines the other", () => {
    const { runaways } = begin();
    const source = (n: number) => ({ issuer: "", subject: `192.0.2.${n}` });
    const host = [1, 1, 1, 2, 3].map((n) => runaways.add(source(n), "r", "host"));
    expect(host.map(({ quarantine }) => quarantine)).toEqual([false, false, false, false, true]);
    expect(host.map(({ suspension }) => suspension?.subject)).toContain("192.0.2.3");
    expect(["a", "b", "c"].map((subject) => runaways.add(of(subject), "r").quarantine)).toEqual([false, false, true]);
  });

  it("of those who present nothing at public servers suspend their source, and never stop policy for all", () => {
    const { runaways } = begin();
    const nobody = (n: number) => ({ issuer: ANONYMOUS_ISSUER, subject: `192.0.2.${n}` });
    const runs = [1, 2, 3, 4, 5, 6].map((n) => runaways.add(nobody(n), "r"));
    expect(runs.map(({ suspension, quarantine }) => [suspension?.subject, quarantine])).toEqual(
      [1, 2, 3, 4, 5, 6].map((n) => [`192.0.2.${n}`, false]),
    );
    expect(["a", "b"].map((subject) => runaways.add(of(subject), "r").quarantine)).toEqual([false, true]);
  });

  it("without a caller it is the revision's own fault, each time", () => {
    const { runaways } = begin();
    expect([1, 2, 3].map(() => runaways.add(null, "r").quarantine)).toEqual([false, false, true]);
    expect(runaways.suspended()).toEqual([]);
  });

  it("five slow evaluations within a minute suspend; those before a runaway are not counted twice", () => {
    const { runaways, clock } = begin();
    const slow = (subject = "a") => runaways.slow(of(subject))?.forMs ?? null;
    expect([slow(), slow(), slow(), slow(), slow("b"), slow()]).toEqual([null, null, null, null, null, 60_000]);
    for (let i = 0; i < 20; i += 1) expect(((clock.now += 20_000), slow("c"))).toBeNull();
    for (let i = 0; i < 4; i += 1) slow("d");
    runaways.add(of("d"), "r");
    expect(slow("d")).toBeNull();
  });

  it("tells who is suspended and for how long; bounded", () => {
    const { runaways, clock } = begin();
    runaways.add(of("a"), "r");
    clock.now = 20_000;
    runaways.add(of("b"), "r");
    expect(runaways.suspended()).toEqual([
      { ...of("a"), forMs: 40_000 },
      { ...of("b"), forMs: 60_000 },
    ]);
    clock.now = 70_000;
    expect(runaways.suspended().map(({ subject }) => subject)).toEqual(["b"]);
    for (let i = 0; i < 11_000; i += 1) runaways.add(of(`s${i}`), `r${i}`);
    expect(runaways.suspended()).toHaveLength(10_000);
  });
});

describe("suspensions", () => {
  it("end by themselves, refuse nobody else, and say when to come back", async () => {
    let now = 0;
    const suspensions = createSuspensions(() => now);
    suspensions.suspend({ issuer: ALICE.issuer, subject: ALICE.subject, forMs: 1500 });
    const bob = { ...ALICE, subject: "bob" };
    const elsewhere = { ...ALICE, issuer: "https://other.example.com" };
    for (const other of [bob, elsewhere]) expect(suspensions.refusal(other)).toBeNull();
    expect(suspensions.refusal(ALICE)).toMatchObject({
      ...{ ok: false, reason: "caller_suspended", retryAfterSeconds: 2, caller: ALICE },
    });
    const identify = refuseSuspended((who: typeof ALICE) => pass(who), suspensions);
    const later = refuseSuspended((who: typeof ALICE) => Promise.resolve(pass(who)), suspensions);
    for (const judged of [identify(ALICE), await later(ALICE)])
      expect(judged).toMatchObject({ reason: "caller_suspended" });
    for (const judged of [identify(bob), await later(bob)]) expect(judged).toEqual(pass(bob));
    expect([suspensions.size, ((now = 1500), suspensions.refusal(ALICE)), suspensions.size]).toEqual([1, null, 0]);
  });

  it("one of many who present nothing is suspended by source: the others go on", () => {
    const suspensions = createSuspensions(() => 0);
    const nobody = { ...ALICE, issuer: ANONYMOUS_ISSUER, subject: "anonymous" };
    suspensions.suspend({ ...countedCaller(nobody, "2001:db8::1"), forMs: 1500 });
    expect(suspensions.refusal(nobody, "2001:db8::2")).toMatchObject({ reason: "caller_suspended", caller: nobody });
    expect([suspensions.refusal(nobody, "192.0.2.8"), suspensions.refusal(ALICE, "2001:db8::1")]).toEqual([null, null]);
  });

  it("are of sources without a credential too, who are no caller", () => {
    const suspensions = createSuspensions(() => 0);
    const source = { issuer: "", subject: "192.0.2.7" };
    suspensions.suspend({ ...source, forMs: 1500 });
    const refused = suspensions.refusalOf(source);
    expect(refused).toMatchObject({ reason: "caller_suspended", retryAfterSeconds: 2 });
    expect(refused).not.toHaveProperty("caller");
    expect(suspensions.refusalOf({ ...source, subject: "192.0.2.8" })).toBeNull();
    expect(suspensions.refusal({ ...ALICE, subject: "192.0.2.7" })).toBeNull();
  });

  it("are bounded: the first one ends early", () => {
    const suspensions = createSuspensions(() => 0, 2);
    for (const subject of ["a", "b", "c"]) suspensions.suspend({ issuer, subject, forMs: 1 });
    const refused = ["a", "b", "c"].map((subject) => suspensions.refusal({ ...ALICE, issuer, subject }) !== null);
    expect(refused).toEqual([false, true, true]);
  });

  it("no two callers share a key", () => {
    const pairs = [
      ["a", "bc"],
      ["ab", "c"],
      ["1:a", "b"],
      ["", "1:ab"],
      ["11:", ""],
    ].map(([one = "", two = ""]) => callerKey({ issuer: one, subject: two }));
    expect(new Set(pairs).size).toBe(pairs.length);
  });
});
