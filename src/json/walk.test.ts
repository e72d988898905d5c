import fc from "fast-check";
import { expect, it } from "vitest";
import { walkItems, walkObject, WalkFault } from "./walk.ts";
import { createSlices } from "../async/slices.ts";

const slices = createSlices();

it("finds the members and items that JSON.parse finds, however they are spaced", async () => {
  const values = fc.array(fc.jsonValue({ maxDepth: 3 }), { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(fc.string(), values, { maxKeys: 5 }),
      fc.constantFrom(0, 1, "\t", " \n"),
      async (value, space) => {
        const text = Buffer.from(JSON.stringify(value, null, space as string));
        const { members, end } = await walkObject(text, 0, slices);
        expect([[...members.keys()], end]).toEqual([Object.keys(JSON.parse(text.toString()) as object), text.length]);
        for (const [name, { start, end: behind }] of members) {
          const items: unknown[] = [];
          await walkItems({ text, slices }, start, (item) => items.push(JSON.parse(item.toString())));
          expect(items).toEqual(JSON.parse(text.toString("utf8", start, behind)));
          expect(JSON.stringify(items)).toBe(JSON.stringify(value[name]));
        }
      },
    ),
    { numRuns: 200 },
  );
});

it.each([
  "",
  "[]",
  "{",
  '{"a"}',
  '{"a":}',
  '{"a":1,}',
  '{"a":1 "b":2}',
  "{a:1}",
  "{1:1}",
  '{"a":"x}',
  '{"a":1,"\\u0061":2}',
  `{"${"x".repeat(2000)}":1}`,
  `{${" ".repeat(70_000)}}`,
])("%j is no object", async (text) => {
  await expect(walkObject(Buffer.from(text), 0, slices)).rejects.toThrow(WalkFault);
});

it.each(["", "{}", "[", "[1", "[1,]", "[1 2]", "[,1]", '["x]'])("%j is no list", async (text) => {
  await expect(walkItems({ text: Buffer.from(text), slices }, 0, () => {})).rejects.toThrow(WalkFault);
});
