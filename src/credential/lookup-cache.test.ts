import { describe, expect, it, vi } from "vitest";
import { ALICE } from "../../test/fakes/authz.ts";
import type { Identity } from "../authz/types.ts";
import { Secret } from "../secret/secret.ts";
import { cacheKey, createLookupCache, type CacheEntry, type Owner } from "./lookup-cache.ts";
import type { Lookup } from "./source.ts";

const never = new AbortController().signal;
const HAS_NONE: Lookup = { hasNone: "404" };
const once = (kept: CacheEntry) => vi.fn<() => Promise<CacheEntry>>(() => Promise.resolve(kept));

describe("createLookupCache", () => {
  it("P5: fifty callers at once ask once", async () => {
    const cache = createLookupCache();
    const ask = once({ lookup: HAS_NONE, ttlMs: 1000 });
    await Promise.all(Array.from({ length: 50 }, async () => cache.get({ key: "k", identity: ALICE, ask }, never)));
    expect(ask).toHaveBeenCalledTimes(1);
    expect(cache.get({ key: "k", identity: ALICE, ask }, never)).toBe(HAS_NONE);
  });
  it("H04: an answer lives for its own time and no longer", async () => {
    let now = 1;
    const cache = createLookupCache({ monotonic: () => now });
    const ask = once({ lookup: HAS_NONE, ttlMs: 5000 });
    await cache.get({ key: "k", identity: ALICE, ask }, never);
    now += 4990;
    expect(cache.get({ key: "k", identity: ALICE, ask }, never)).toBe(HAS_NONE);
    now += 20;
    await cache.get({ key: "k", identity: ALICE, ask }, never);
    expect(ask).toHaveBeenCalledTimes(2);
  });
  it("P12: an answer with an end by the wall clock is not used after it, whichever clock jumps", async () => {
    let now = 1_000_000;
    let monotonic = 1;
    const cache = createLookupCache({ monotonic: () => monotonic, now: () => now });
    const ask = once({ lookup: HAS_NONE, ttlMs: 5000, endsAt: 1_005_000 });
    await cache.get({ key: "k", identity: ALICE, ask }, never);
    now = 1_004_999;
    expect(cache.get({ key: "k", identity: ALICE, ask }, never)).toBe(HAS_NONE);
    now = 1_005_000; // the machine slept: only the wall clock went on
    await cache.get({ key: "k", identity: ALICE, ask }, never);
    expect(ask).toHaveBeenCalledTimes(2);
    now = 0; // set back: the other clock still ends it
    monotonic += 5001;
    await cache.get({ key: "k", identity: ALICE, ask }, never);
    expect(ask).toHaveBeenCalledTimes(3);
  });
  it.each([
    ["cannot tell", { lookup: { cannotTell: "sealed" }, ttlMs: 60_000 }],
    ["no time", { lookup: HAS_NONE, ttlMs: 0 }],
    ["a negative time", { lookup: HAS_NONE, ttlMs: -5 }],
    ["not a number", { lookup: HAS_NONE, ttlMs: Number.NaN }],
  ] satisfies [string, CacheEntry][])("keeps nothing for %s", async (_, kept) => {
    const cache = createLookupCache();
    const ask = once(kept);
    await cache.get({ key: "k", identity: ALICE, ask }, never);
    await cache.get({ key: "k", identity: ALICE, ask }, never);
    expect(ask).toHaveBeenCalledTimes(2);
  });
  it("one caller who gives up does not end the question of the others", async () => {
    const cache = createLookupCache();
    const answer = Promise.withResolvers<CacheEntry>();
    const hurried = new AbortController();
    const first = cache.get({ key: "k", identity: ALICE, ask: () => answer.promise }, hurried.signal);
    const second = cache.get({ key: "k", identity: ALICE, ask: () => Promise.reject(new Error("asked twice")) }, never);
    hurried.abort();
    expect(await first).toMatchObject({ cannotTell: expect.stringContaining("time") as string });
    answer.resolve({ lookup: HAS_NONE, ttlMs: 1 });
    expect(await second).toBe(HAS_NONE);
  });
  it("a question that throws is cannot tell, and is asked again", async () => {
    const cache = createLookupCache();
    const ask = vi.fn<() => Promise<CacheEntry>>(() => Promise.reject(new Error("token s3cr3t")));
    expect(await cache.get({ key: "k", identity: ALICE, ask }, never)).toEqual({ cannotTell: "internal" });
    await cache.get({ key: "k", identity: ALICE, ask }, never);
    expect(ask).toHaveBeenCalledTimes(2);
  });
  describe("G18: what was found for somebody who is revoked is forgotten at once", () => {
    const bob: Identity = { ...ALICE, subject: "bob", claims: { sub: "bob", jti: "j", sid: "s" } };
    const other: Identity = { ...bob, issuer: "https://other.example.com" };
    const found = once({ lookup: { found: { kind: "none", header: "authorization", value: null } }, ttlMs: 60_000 });
    const isBob = ({ iss, sub }: Owner) => iss === bob.issuer && sub === "bob";

    it.each<[string, (owner: Owner) => boolean]>([
      ["subject", isBob],
      ["token", ({ iss, jti }) => iss === bob.issuer && jti === "j"],
      ["session", ({ iss, sid }) => iss === bob.issuer && sid === "s"],
    ])("by %s, and nobody else's", async (_, isRevoked) => {
      const cache = createLookupCache();
      const people = [ALICE, bob, other];
      const ask = async () => {
        found.mockClear();
        for (const [i, person] of people.entries())
          await cache.get({ key: `${i}`, identity: person, ask: found }, never);
        return found.mock.calls.length;
      };
      expect([await ask(), await ask()]).toEqual([3, 0]);
      cache.purge(isRevoked);
      expect(await ask()).toBe(1);
    });

    it("an answer that was under way is given to those who wait, and not kept", async () => {
      const cache = createLookupCache();
      const late = Promise.withResolvers<CacheEntry>();
      const waiting = cache.get({ key: "k", identity: bob, ask: () => late.promise }, never);
      cache.purge(isBob);
      const fresh = once({ lookup: HAS_NONE, ttlMs: 1000 });
      const next = cache.get({ key: "k", identity: bob, ask: fresh }, never);
      late.resolve({ lookup: { refused: "old" }, ttlMs: 60_000 });
      expect([await waiting, await next]).toEqual([{ refused: "old" }, HAS_NONE]);
      expect(cache.get({ key: "k", identity: bob, ask: fresh }, never)).toBe(HAS_NONE);
      expect(fresh).toHaveBeenCalledTimes(1);
    });

    it("has none and refused, which are nobody's credential, go with it", async () => {
      const cache = createLookupCache();
      const none = once({ lookup: HAS_NONE, ttlMs: 60_000 });
      await cache.get({ key: "k", identity: bob, ask: none }, never);
      cache.purge(isBob);
      expect(await cache.get({ key: "k", identity: bob, ask: none }, never)).toBe(HAS_NONE);
      expect(none).toHaveBeenCalledTimes(2);
    });
  });
  it("F13: memory is bounded by the length of what is kept, and the newest stays", async () => {
    const value = new Secret("x".repeat(10_000));
    const found: Lookup = { found: { kind: "vault", header: "authorization", value } };
    const cache = createLookupCache({ maxBytes: 100_000 });
    const ask = once({ lookup: found, ttlMs: 60_000 });
    for (let i = 0; i < 20; i += 1) await cache.get({ key: `k${i}`, identity: ALICE, ask }, never);
    const again = once({ lookup: HAS_NONE, ttlMs: 0 });
    const answers = [];
    for (let i = 19; i >= 0; i -= 1)
      answers.push(await cache.get({ key: `k${i}`, identity: ALICE, ask: again }, never));
    expect(answers.filter((answer) => "found" in answer)).toHaveLength(9);
    expect(answers[0]).toMatchObject({ found: { value, isCached: true } });
  });
  it("P4: keys are injective", () => {
    const keys = [
      cacheKey("a", "b"),
      cacheKey("a,b"),
      cacheKey('a","b'),
      cacheKey("a", null, "b"),
      cacheKey("", "a"),
      cacheKey("a", ""),
      cacheKey(null),
      cacheKey("null"),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });
});
