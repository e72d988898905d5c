// P14: what one body can cost in the hash tables of OPA's WASM. The hash here is written apart from the module's.
import { describe, expect, it } from "vitest";
import { readJson } from "./strict-reader.ts";

const LIMITS = { maxDepth: 64, maxMembers: 10_000, oneReading: true };
const verdict = (value: unknown) => {
  const read = readJson(Buffer.from(JSON.stringify(value)), LIMITS);
  return read.ok ? "ok" : read.detail;
};
const COLLIDES = /made to share one hash/;

function fnv(bytes: Uint8Array): number {
  let hash = 0x811c9dc5n;
  for (const byte of bytes) hash = ((hash * 0x01000193n) & 0xffffffffn) ^ BigInt(byte);
  return Number(hash);
}

/** Texts that agree in the low bits of their hash. */
function colliding(count: number, bits: number, text = (i: number) => `n${i.toString(36)}`): string[] {
  const mask = 2 ** bits - 1;
  const target = fnv(Buffer.from(text(0))) & mask;
  const found: string[] = [];
  for (let i = 0; found.length < count; i += 1) if ((fnv(Buffer.from(text(i))) & mask) === target) found.push(text(i));
  return found;
}

const objectOf = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, 1]));
const doubleBytes = (number: number) => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(number);
  return bytes;
};

describe("F1: colliding names and values", () => {
  it.each<[string, () => unknown]>([
    ["17 names in one chain", () => objectOf(colliding(17, 10))],
    ["40 names", () => objectOf(colliding(40, 10))],
    [
      "among others that are fine",
      () => objectOf([...colliding(40, 10), ...Array.from({ length: 60 }, (_, i) => `o${i}`)]),
    ],
    ["names beyond ASCII", () => objectOf(colliding(40, 10, (i) => `é${i.toString(36)}`))],
    ["with a long prefix", () => objectOf(colliding(40, 10, (i) => `${"p".repeat(60)}${i.toString(36)}`))],
    ["deep inside", () => ({ a: [{ b: objectOf(colliding(40, 10)) }] })],
    [
      "rows of fractions that differ in their order, which are compared one by one",
      () => Array.from({ length: 98 }, (_, i) => Array.from({ length: 98 }, (__, j) => (i === j ? 1.5 : 0.25))),
    ],
    ["the elements of an array", () => colliding(40, 10)],
    [
      "numbers",
      () => {
        const mask = 2 ** 10 - 1;
        const found: number[] = [];
        for (let i = 0; found.length < 40; i += 1) if ((fnv(doubleBytes(i + 0.5)) & mask) === 77) found.push(i + 0.5);
        return found;
      },
    ],
    [
      "spread over many small arrays",
      () => {
        const names = colliding(1950, 6);
        return Array.from({ length: 130 }, (_, i) => names.slice(i * 15, i * 15 + 15));
      },
    ],
    ["arrays whose sums agree, as those of one set of numbers in any order", () => permutations([1, 2, 3, 4, 5, 6])],
  ])("%s are refused", (_, make) => expect(verdict(make())).toMatch(COLLIDES));

  it.each<[string, () => unknown]>([
    ["16 names in one chain", () => objectOf(colliding(16, 10))],
    ["one text a thousand times", () => Array.from({ length: 1000 }, () => "same")],
    ["numbered names", () => objectOf(Array.from({ length: 9000 }, (_, i) => `item${i}`))],
    ["padded ones", () => objectOf(Array.from({ length: 9000 }, (_, i) => `row-${String(i).padStart(6, "0")}`))],
    [
      "UUIDs",
      () =>
        objectOf(
          Array.from(
            { length: 9000 },
            (_, i) =>
              `${fnv(Buffer.from(`${i}`))
                .toString(16)
                .padStart(8, "0")}-4d2a-4b1e-8c11-${fnv(Buffer.from(`x${i}`))
                .toString(16)
                .padStart(12, "0")}`,
          ),
        ),
    ],
    [
      "dates",
      () => objectOf(Array.from({ length: 4000 }, (_, i) => new Date(i * 86_400_000).toISOString().slice(0, 10))),
    ],
    ["paths", () => Array.from({ length: 5000 }, (_, i) => `/srv/data/${i % 71}/${i % 89}/file${i}.txt`)],
    ["integers", () => Array.from({ length: 9999 }, (_, i) => i)],
    ["halves", () => Array.from({ length: 9999 }, (_, i) => i / 2)],
    ["hundredths", () => Array.from({ length: 9999 }, (_, i) => i / 100)],
    ["powers of two", () => Array.from({ length: 70 }, (_, i) => 2 ** (50 - i))],
    ["multiples of 1024", () => Array.from({ length: 5000 }, (_, i) => i * 1024)],
    [
      "rows with the same names",
      () => Array.from({ length: 900 }, (_, i) => ({ id: i, name: `n${i}`, ok: true, at: i * 3, x: 1 })),
    ],
    ["a grid of points", () => Array.from({ length: 3000 }, (_, i) => [i % 55, Math.floor(i / 55)])],
    [
      "a matrix of truth values",
      () => Array.from({ length: 60 }, (_, i) => Array.from({ length: 60 }, (_, j) => (i * j) % 3 === 0)),
    ],
    ["empty rows, however many", () => Array.from({ length: 1000 }, () => ["", 0.5, { a: null }])],
    ["empty objects", () => Array.from({ length: 5000 }, () => ({}))],
    [
      "a unit matrix",
      () => Array.from({ length: 98 }, (_, i) => Array.from({ length: 98 }, (__, j) => Number(i === j))),
    ],
    ["letters", () => objectOf([..."abcdefghijklmnopqrstuvwxyz0123456789"])],
    [
      "words with two letters",
      () =>
        objectOf([..."abcdefghijklmnopqrstuvwxyz"].flatMap((a) => [..."abcdefghijklmnopqrstuvwxyz"].map((b) => a + b))),
    ],
    ["Chinese characters", () => Array.from({ length: 5000 }, (_, i) => String.fromCodePoint(0x4e00 + i))],
  ])("%s are fine", (_, make) => expect(verdict(make())).toBe("ok"));

  it("what stands deep inside is hashed once, not at each level around it", () => {
    let value: unknown = Array.from({ length: 3000 }, (_, i) => "x".repeat(60) + i);
    for (let level = 0; level < 60; level += 1) value = [...Array.from({ length: 17 }, () => [1]), { value }];
    const flat = Array.from({ length: 100 }, (_, i) => ["x".repeat(1800) + i]);
    const timeOf = (json: unknown) => {
      const bytes = Buffer.from(JSON.stringify(json));
      const times = Array.from({ length: 5 }, () => {
        const begun = performance.now();
        for (let i = 0; i < 5; i += 1) readJson(bytes, { ...LIMITS, maxDepth: 200 });
        return performance.now() - begun;
      });
      return Math.min(...times);
    };
    expect(timeOf(value) / timeOf(flat)).toBeLessThan(15);
  });

  it("only where policy decides", () => {
    expect(readJson(Buffer.from(JSON.stringify(objectOf(colliding(40, 10))))).ok).toBe(true);
  });
});

function permutations(items: readonly number[]): number[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item) => permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]));
}
