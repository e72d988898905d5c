import { expect, it } from "vitest";
import { printable, remark, type Remarks } from "./remarks.ts";

it("counts all, and names the first ten", () => {
  const remarks: Remarks<"name"> = {};
  for (let i = 0; i < 1000; i += 1) remark(remarks, "name", `n${i}`);
  remark(remarks, "name", null);
  expect(remarks.name).toEqual({ count: 1001, names: Array.from({ length: 10 }, (_, i) => `n${i}`) });
});

it.each([
  ["Create CIFS Share", "Create CIFS Share"],
  ["创建文件", "创建文件"],
  ["a\u001b[8m\u202eb\u200b\u0000", "a\\u{1b}[8m\\u{202e}b\\u{200b}\\u{0}"],
  ["a\nb", "a\\u{a}b"],
  ["x".repeat(64), "x".repeat(64)],
  ["x".repeat(65), `${"x".repeat(64)}…`],
  ["x".repeat(100_000), `${"x".repeat(64)}…`],
  ["😀".repeat(64), "😀".repeat(64)],
  ["😀".repeat(65), `${"😀".repeat(64)}…`],
])("%j is written for people", (name, shown) => expect(printable(name)).toBe(shown));
