import { describe, expect, it } from "vitest";
import { FieldReader, WireFault } from "./protobuf.ts";
import { readStruct, readTexts } from "./struct.ts";

/** A field of bytes. */
const part = (field: number, ...inner: Buffer[]): Buffer => {
  const bytes = Buffer.concat(inner);
  const length: number[] = [];
  let rest = bytes.length;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) length.push((rest % 0x80) + 0x80);
  return Buffer.concat([Buffer.from([field * 8 + 2, ...length, rest]), bytes]);
};
const text = (value: string) => part(3, Buffer.from(value));
const number = (value: number) => {
  const bytes = Buffer.from([0x11, 0, 0, 0, 0, 0, 0, 0, 0]);
  bytes.writeDoubleLE(value, 1);
  return bytes;
};
const NULL = Buffer.from([0x08, 0]);
const TRUE = Buffer.from([0x20, 1]);
const entry = (name: string, ...value: Buffer[]) => part(1, part(1, Buffer.from(name)), part(2, ...value));
const listOf = (...values: Buffer[]) => part(6, ...values.map((value) => part(1, value)));
const nested = (levels: number): Buffer => (levels === 0 ? TRUE : part(5, entry("a", nested(levels - 1))));

/** The reader at the field that holds these entries. */
function at(...entries: Buffer[]): FieldReader {
  const reader = new FieldReader(part(7, ...entries));
  reader.next();
  return reader;
}

describe("both readings of one Struct agree", () => {
  const values: [unknown, Buffer][] = [
    ["a", text("a")],
    ["", text("")],
    ["ä𝄞", text("ä𝄞")],
    [null, NULL],
    [true, TRUE],
    [-0.5, number(-0.5)],
    [{ b: "x" }, part(5, entry("b", text("x")))],
    [[null, "y"], listOf(NULL, text("y"))],
  ];
  it.each(values)("%j", (value, bytes) => {
    const entries = [entry("k", bytes), entry("__proto__", bytes)];
    const whole = readStruct(at(...entries));
    expect(Object.entries(whole)).toEqual([
      ["k", value],
      ["__proto__", value],
    ]);
    const texts = readTexts(at(...entries));
    expect([...texts]).toEqual(Object.entries(whole).map(([name, v]) => [name, typeof v === "string" ? v : null]));
  });
});

describe.each([
  ["whole", readStruct],
  ["its texts", readTexts],
])("%s", (_, read: (reader: FieldReader) => unknown) => {
  it.each([
    ["a name twice", [entry("a", text("x")), entry("b", text("x")), entry("a", TRUE)]],
    ["an empty name twice", [entry("", TRUE), part(1, part(2, TRUE))]],
    ["two keys in an entry", [part(1, part(1, Buffer.from("a")), part(1, Buffer.from("b")), part(2, TRUE))]],
    ["two values in an entry", [part(1, part(1, Buffer.from("a")), part(2, text("x")), part(2, text("y")))]],
    ["two kinds in a value", [entry("a", text("x"), TRUE)]],
    ["one kind twice in a value", [entry("a", text("x"), text("y"))]],
    ["a name that is not UTF-8", [part(1, part(1, Buffer.from([0xc0, 0xaf])), part(2, TRUE))]],
    ["a text that is not UTF-8", [entry("a", part(3, Buffer.from([0xed, 0xa0, 0x80])))]],
    ["a text that ends early", [entry("a", Buffer.from([0x1a, 5, 0x61]))]],
  ])("%s is a fault", (__, entries) => {
    expect(() => read(at(...entries))).toThrow(WireFault);
  });
});

describe("whole", () => {
  it.each([
    ["no kind", []],
    ["a kind that does not exist", [Buffer.from([0x38, 1])]],
    ["NaN", [number(Number.NaN)]],
    ["infinity", [number(Number.POSITIVE_INFINITY)]],
    ["more than 32 levels", [nested(33)]],
  ])("%s is a fault", (_, value) => {
    expect(() => readStruct(at(entry("a", ...value)))).toThrow(WireFault);
  });

  it("32 levels are read", () => expect(readStruct(at(entry("a", nested(32))))).toBeTypeOf("object"));
});
