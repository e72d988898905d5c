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

  it("both directions agree, whatever the table", () => {
    const names = ["a", "b", "c", "d"];
    for (const x of names)
      for (const y of names)
        for (const table of [{ a: x }, { a: x, b: y }, { b: x, c: y }]) {
          const values = Object.values(table);
          if (new Set(values).size < values.length) continue; // a problem of the configuration
          const aliases = createAliases(table);
          for (const name of names) {
            const made = aliases.shown(name);
            if (made !== null) expect(aliases.own(made)).toBe(name);
            const found = aliases.own(name);
            if (found !== null) expect(aliases.shown(found)).toBe(name);
          }
        }
  });
});
