import { BY_TOKEN } from "../../test/fakes/identity.ts";
import { expect, it } from "vitest";
import { Secret } from "../secret/secret.ts";
import type { JsonObject } from "../json/types.ts";
import type { VerificationKey } from "../jose/key-set.ts";
import { createTokenCache, weightOf, type VerifiedToken } from "./token-cache.ts";

const KIB = 1024;
const HOUR = 3_600_000;

function verified(name: string, claims: JsonObject = {}): VerifiedToken {
  const plain = { username: null, groups: [], scopes: [] };
  const identity = {
    ...plain,
    issuer: "i",
    subject: name,
    ...BY_TOKEN,
    actors: [],
    claims,
    expiresAt: 1,
    token: new Secret(name),
  };
  const checked = { ...plain, subject: name, audiences: ["a"], expiresAt: 1, notBefore: null, jkt: null };
  return { identity, claims: checked, key: {} as VerificationKey };
}

function cacheOf(maxBytes: number) {
  const clock = { ms: 1 };
  const cache = createTokenCache({ maxBytes, monotonic: () => clock.ms });
  return { clock, cache, has: (token: string) => cache.get(token) !== undefined };
}

it("a token is found by its whole text only", () => {
  const { cache } = cacheOf(100 * KIB);
  const a = verified("a");
  cache.put("token", a, HOUR);
  expect(cache.get("token")).toBe(a);
  expect(cache.get("token ")).toBeUndefined();
  cache.drop("token");
  expect(cache.get("token")).toBeUndefined();
});

it("F13: memory is what counts: a few large tokens fill what many small ones do, and it is never more", () => {
  const { cache } = cacheOf(1024 * KIB);
  const large: JsonObject = { groups: Array.from({ length: 700 }, (_, i) => `group-${i}`) };
  for (let i = 0; i < 100; i += 1) {
    cache.put("x".repeat(13_000) + i, verified(`large ${i}`, large), HOUR);
    expect(cache.stats().bytes).toBeLessThanOrEqual(1024 * KIB);
  }
  expect(cache.stats().entries).toBeLessThan(20);
  for (let i = 0; i < 5000; i += 1) cache.put(`small ${i}`, verified(`small ${i}`), HOUR);
  expect(cache.stats().entries).toBeGreaterThan(400);
  expect(cache.stats().bytes).toBeLessThanOrEqual(1024 * KIB);
});

it.each<[string, JsonObject]>([
  ["many members", Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`k${i}`, 1]))],
  ["empty lists", { x: Array.from({ length: 900 }, () => []) }],
  ["short texts", { x: Array.from({ length: 900 }, () => "a") }],
  ["one text", { x: "a".repeat(4000) }],
  ["a text that is not Latin", { x: "д".repeat(4000) }],
])("claims with %s weigh more than their text", (_, claims) => {
  const size = JSON.stringify(claims).length;
  expect(weightOf("t", verified("t", claims)) - weightOf("t", verified("t"))).toBeGreaterThan(2 * size);
});

it("without room those whose life is over leave first, then those that were not used for longest", () => {
  const { cache, clock, has } = cacheOf(10 * weightOf("t00", verified("t00")));
  for (let i = 0; i < 10; i += 1) cache.put(`t0${i}`, verified(`t0${i}`), i === 7 ? 1000 : HOUR);
  clock.ms = 2000;
  expect(has("t07")).toBe(true); // over, and refused without another look at its signature
  expect(has("t00")).toBe(true);
  cache.put("t10", verified("t10"), HOUR);
  expect(has("t07")).toBe(false);
  expect(cache.stats().entries).toBe(10);
  cache.put("t11", verified("t11"), HOUR);
  expect(["t00", "t01", "t11"].map(has)).toEqual([true, false, true]);
});
