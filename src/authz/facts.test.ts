import { expect, it } from "vitest";
import { loggableId } from "./facts.ts";

it.each([
  ["r-1", "r-1"],
  ["!~", "!~"],
  ["x".repeat(128), "x".repeat(128)],
  ["x".repeat(129), null],
  ["", null],
  ["a b", null],
  ["a\n", null],
  ["ä", null],
  [undefined, null],
])("%j", (text, id) => expect(loggableId(text)).toBe(id));
