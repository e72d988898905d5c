import { expect, it } from "vitest";
import { listKindOf, LISTS } from "./lists.ts";
import { METHOD_NAMES, methodRow } from "./method-table.ts";

it("the lists are the methods of the class list, of the same kinds", () => {
  const ofTable = METHOD_NAMES.filter((method) => methodRow(method)?.class === "list");
  const lists = Object.values(LISTS);
  expect(lists.map(({ method }) => method)).toEqual(ofTable);
  expect(lists.map(({ kind }) => kind)).toEqual(ofTable.map((method) => methodRow(method)?.kind));
});

it.each(METHOD_NAMES)("%s is found by its name, if it is a list", (method) => {
  const kind = listKindOf(method);
  expect(kind === null ? null : LISTS[kind].method).toBe(methodRow(method)?.class === "list" ? method : null);
});

it.each(["", "constructor", "__proto__", "Tools/list", "tools/list "])("%j is no list", (method) => {
  expect(listKindOf(method)).toBeNull();
});
