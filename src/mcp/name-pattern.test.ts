import { describe, expect, it } from "vitest";
import { isPattern, nameMatcher } from "./name-pattern.ts";

/** The same by a regular expression. */
function reference(pattern: string): RegExp {
  const parts = pattern.split("*").map((part) => part.replace(/[.\-/]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join(".*")}$`, "s");
}

describe("patterns of names", () => {
  it.each([
    ["search_*", ["search_", "search_code"], ["search", "xsearch_a", "Search_a"]],
    ["*_repo", ["delete_repo", "_repo"], ["repo", "delete_repos"]],
    ["a*a", ["aa", "aba"], ["a", "ab"]],
    ["a*b*c", ["abc", "axxbyyc", "abbc"], ["acb", "ab", "bc"]],
    ["*", ["", "x"], []],
    ["**", ["", "x"], []],
    ["a.c", ["a.c"], ["abc"]],
  ])("%s", (pattern, yes, no) => {
    const match = nameMatcher([pattern]);
    expect(yes.filter((name) => !match(name))).toEqual([]);
    expect(no.filter((name) => match(name))).toEqual([]);
  });

  it("match what a regular expression matches, on all short names and patterns", () => {
    const words = (letters: string, length: number): string[] =>
      length === 0 ? [""] : ["", ...[...letters].flatMap((l) => words(letters, length - 1).map((rest) => l + rest))];
    const names = [...new Set(words("ab", 4))];
    for (const pattern of new Set(words("ab*", 4))) {
      const match = nameMatcher([pattern]);
      const expected = reference(pattern);
      expect(names.filter((name) => match(name) !== expected.test(name))).toEqual([]);
    }
  });

  it("no pattern matches nothing", () => expect(nameMatcher([])("x")).toBe(false));

  it("a pattern that makes backtracking matchers run away is decided at once", () => {
    const match = nameMatcher([`${"*a".repeat(500)}b`]);
    expect(match("a".repeat(2048))).toBe(false);
  });

  it.each(["", "a b", "a?", "[ab]", "a|b", "^a", "a\n", "é", "a".repeat(129)])("%j is no pattern of names", (text) =>
    expect(isPattern(text, "name")).toBe(false),
  );
  it.each(["docs://*", "https://x/y?z=*", "docs://{id}"])("%s is a pattern of URIs", (text) =>
    expect(isPattern(text, "uri")).toBe(true),
  );
  it.each(["", "a b", "a\u0000", "docs://\u200b"])("%j is no pattern of URIs", (text) =>
    expect(isPattern(text, "uri")).toBe(false),
  );
});
