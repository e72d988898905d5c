import fc from "fast-check";
import { expect, it } from "vitest";
import { createResolver } from "./resolver.ts";

const text = fc.string({ unit: fc.constantFrom("a", "b", "_", "-", "."), minLength: 1, maxLength: 5 });
/** As the configuration demands: no prefix begins another. */
const prefixes = fc
  .dictionary(fc.constantFrom("a", "b", "a-b", "constructor"), text)
  .filter((all) =>
    Object.entries(all).every(([one, a]) =>
      Object.entries(all).every(([other, b]) => one === other || !b.startsWith(a)),
    ),
  );

it("B18, B36, LA-02, CL-08: a public name is of one server and one name, whatever the prefixes", () => {
  fc.assert(
    fc.property(prefixes, fc.array(text), (all, names) => {
      const resolver = createResolver(all);
      const seen = new Map<string, string>();
      for (const server of Object.keys(all)) {
        for (const name of names) {
          const publicName = resolver.namesOf(server).publicName("tool", name) ?? "";
          expect(resolver.resolve("tool", publicName)).toEqual({ server, name });
          expect(resolver.resolve("prompt", publicName)).toEqual({ server, name });
          const pair = JSON.stringify([server, name]);
          expect(seen.get(publicName) ?? pair).toBe(pair);
          seen.set(publicName, pair);
        }
      }
    }),
    { numRuns: 500 },
  );
});

it("what no server has is nobody's, and a prefix alone is no name", () => {
  const resolver = createResolver({ git: "git_", docs: "docs." });
  for (const name of ["", "git", "git_", "gitread", "read", "Git_read", "docs_read", " git_read", "constructor"])
    expect(resolver.resolve("tool", name)).toBeNull();
});
