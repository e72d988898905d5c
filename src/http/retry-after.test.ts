import { expect, it } from "vitest";
import { retryAfterMs } from "./retry-after.ts";

const NOW = Date.parse("2026-11-25T12:00:00Z");

it.each([
  ["0", 0],
  ["12", 12_000],
  ["99999999999", 99_999_999_999_000],
  ["9".repeat(400), Number.POSITIVE_INFINITY],
  ["Wed, 25 Nov 2026 12:00:12 GMT", 12_000],
  ["Wednesday, 25-Nov-26 12:00:12 GMT", 12_000],
  ["Wed, 25 Nov 2026 11:00:00 GMT", 0],
])("%s", (value, ms) => expect(retryAfterMs(value, NOW)).toBe(ms));

it.each([
  undefined,
  "",
  "soon",
  "-5",
  "1e9",
  "1.5",
  "0x10",
  " 7",
  "7, 8",

  "2026-11-25T13:00:00Z",
  "Wed, soon GMT",
])("%j says nothing", (value) => expect(retryAfterMs(value, NOW)).toBeNull());
