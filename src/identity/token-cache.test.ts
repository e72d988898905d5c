import fc from "fast-check";
import { expect, it } from "vitest";
import { createTokenCache, type VerifiedToken } from "./token-cache.ts";

const verified = (name: string) => ({ identity: { subject: name } }) as unknown as VerifiedToken;

it("gives what was put in for exactly this token, and nothing after a drop", () => {
  const cache = createTokenCache(10);
  const [one, other] = [verified("one"), verified("other")];
  cache.put("a.b.c", one);
  cache.put("a.b.d", other);
  expect([cache.get("a.b.c"), cache.get("a.b.d"), cache.get("a.b.c ")]).toEqual([one, other, undefined]);
  cache.drop("a.b.c");
  expect([cache.get("a.b.c"), cache.get("a.b.d")]).toEqual([undefined, other]);
});

it("what is used again and again stays, however many others come", () => {
  const cache = createTokenCache(10);
  const mine = verified("mine");
  cache.put("mine", mine);
  for (let i = 0; i < 1000; i += 1) {
    cache.put(`other ${i}`, verified("other"));
    expect(cache.get("mine")).toBe(mine);
  }
});

it("D21: holds at most so many, and a dropped token never comes back", () => {
  const command = fc.tuple(fc.constantFrom("put", "get", "drop"), fc.nat(30));
  fc.assert(
    fc.property(fc.array(command, { maxLength: 200 }), (commands) => {
      const cache = createTokenCache(10);
      const dropped = new Set<number>();
      for (const [what, i] of commands) {
        if (what === "put") {
          cache.put(`t${i}`, verified(`${i}`));
          dropped.delete(i);
        } else if (what === "drop") {
          cache.drop(`t${i}`);
          dropped.add(i);
        } else if (dropped.has(i)) expect(cache.get(`t${i}`)).toBeUndefined();
        else expect(cache.get(`t${i}`)?.identity.subject ?? `${i}`).toBe(`${i}`);
      }
      // Read from the oldest on, nothing moves that was not there.
      const held = Array.from({ length: 31 }, (_, i) => cache.get(`t${i}`)).filter((entry) => entry !== undefined);
      expect(held.length).toBeLessThanOrEqual(10);
    }),
  );
});
