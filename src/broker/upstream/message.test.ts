import { describe, expect, it } from "vitest";
import { readUpstreamMessage } from "../../mcp/upstream-message.ts";
import { createPacer } from "./brake.ts";
import { createReadMessage } from "./message.ts";

const MIB = 1024 * 1024;
const answer = (value: string, rest = "") => Buffer.from(`{"jsonrpc":"2.0","id":7,"result":{"a":${value}}${rest}}`);
const times = (part: string, bytes = MIB) => part.repeat(Math.ceil(bytes / part.length));

/** A megabyte of each, at every place that may be long. */
const long: [string, Buffer][] = [
  ["text", answer(`"${times("x")}"`)],
  ["escapes", answer(`"${times("\\n")}"`)],
  ["numbers", answer(`[${times("1,")}1]`)],
  ["empty objects", answer(`[${times("{},")}{}]`)],
  ["space in a value", answer(`[${times(" ")}]`)],
  ["space before a member", answer("1", `,${times("\n")}"params":1`)],
  ["space behind the answer", Buffer.concat([answer("1"), Buffer.from(times(" "))])],
  [
    "members of the result",
    answer(`1,${Array.from({ length: 9000 }, (_, i) => `"${i}":"${"x".repeat(100)}"`).join(",")}`),
  ],
  ["a name", answer(`1,"${times("n", MIB - 100)}":2`)],
  ["an error", Buffer.from(`{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"${times("x")}"}}`)],
  ["params", Buffer.from(`{"jsonrpc":"2.0","method":"notifications/x","params":{"a":[${times("[],")}1]}}`)],
  ["no JSON at its end", answer(`"${times("x")}"`, "!")],
];

describe("a long message is read in slices, as a short one is at once", () => {
  it.each(long)("%s", async (_, bytes) => {
    const counts: number[] = [];
    let turns = 0;
    let isDone = false;
    const count = () => {
      turns += 1;
      if (!isDone) setImmediate(count);
    };
    const reading = createReadMessage(createPacer(), (slices) => counts.push(slices))(bytes);
    expect(reading).toBeInstanceOf(Promise);
    setImmediate(count);
    expect(await reading).toEqual(readUpstreamMessage(bytes));
    isDone = true;
    // 32 KiB each; some hand their bytes over twice.
    expect(counts[0]).toBeGreaterThanOrEqual(30);
    expect(turns).toBeGreaterThanOrEqual((counts[0] ?? 0) - 2);
  });

  it("a short one has no promise", () => {
    const read = createReadMessage(createPacer());
    expect(read(answer("1"))).toMatchObject({ kind: "answer", id: 7 });
    expect(read(Buffer.from("{"))).toBeNull();
  });
});
