import fc from "fast-check";
import { expect, it } from "vitest";
import { createByteCollector } from "./byte-collector.ts";

it("gives back what it got, and begins anew", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3000 })), (parts) => {
      const collector = createByteCollector(1_000_000);
      for (let round = 0; round < 2; round += 1) {
        for (const part of parts) collector.push(Buffer.from(part));
        const all = Buffer.concat(parts);
        expect(collector.length).toBe(all.length);
        expect(collector.take().equals(all)).toBe(true);
      }
    }),
  );
});

it("parts stay as they were", () => {
  const collector = createByteCollector(100);
  const parts = ["ab", "", "cd", "ef"].map((text) => Buffer.from(text));
  const whole = Buffer.from("xy__").subarray(0, 2);
  collector.push(whole);
  for (const part of parts) collector.push(part);
  expect(collector.take().toString()).toBe("xyabcdef");
  expect([whole, ...parts].map(String)).toEqual(["xy", "ab", "", "cd", "ef"]);
  expect(Buffer.from(whole.buffer, whole.byteOffset, 4).toString()).toBe("xy__");
});

it("B51: takes the limit, and not a byte more", () => {
  const collector = createByteCollector(2000);
  collector.push(Buffer.alloc(1999));
  collector.push(Buffer.alloc(1));
  expect(() => collector.push(Buffer.alloc(1))).toThrow(expect.objectContaining({ code: "too_large" }) as Error);
});

it("B51: eight million single bytes weigh what they hold", () => {
  const collector = createByteCollector(8 * 1024 * 1024);
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 8 * 1024 * 1024; i += 1) collector.push(ONE);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024);
  expect(collector.take()).toHaveLength(8 * 1024 * 1024);
});
const ONE = Buffer.from("a");
