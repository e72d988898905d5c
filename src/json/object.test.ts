import { expect, it } from "vitest";
import { isObject } from "./object.ts";

it.each([{}, { a: 1 }, Object.create(null), JSON.parse('{"__proto__":1}')])("%j is an object", (value) => {
  expect(isObject(value)).toBe(true);
});

it.each([null, undefined, [], [{}], "", "{}", 0, Number.NaN, true])("%j is none", (value) => {
  expect(isObject(value)).toBe(false);
});
