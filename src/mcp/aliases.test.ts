import { describe, expect, it } from "vitest";
import { createAliases } from "./aliases.ts";

describe("CL-07: a renamed tool is called by its new name only", () => {
  const { own, shown } = createAliases({ search_code: "find_code", a: "b", b: "a" });
  it.each([
    ["search_code", "find_code"],
    ["a", "b"],
    ["b", "a"],
    ["other", "other"],
    ["constructor", "constructor"],
  ])("%s is shown as %s", (name, expected) => {
    expect([shown(name), own(expected)]).toEqual([expected, name]);
  });
  it("its own name names nothing", () => expect(own("search_code")).toBeNull());
  it("a tool whose own name is taken is not shown", () => expect(shown("find_code")).toBeNull());

  const names = ["a", "b", "c", "d"];
  const pairs = names.flatMap((x) => names.map((y) => [x, y] as const));
  const tables = pairs
    .flatMap(([x, y]): Record<string, string>[] => [{ a: x }, { a: x, b: y }, { b: x, c: y }])
    .filter((table) => new Set(Object.values(table)).size === Object.values(table).length);
  it.each(tables)("both directions agree in %j", (table) => {
    const aliases = createAliases(table);
    for (const name of names) {
      const [made, found] = [aliases.shown(name), aliases.own(name)];
      expect(made === null || aliases.own(made) === name).toBe(true);
      expect(found === null || aliases.shown(found) === name).toBe(true);
    }
  });
});
