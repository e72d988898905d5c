// Header blocks: a fault or fields, the same ones on each connection, and the same again when they are written as literals.
import { ConnectionFault } from "../../../src/http2/fault.ts";
import { HpackDecoder, type Field } from "../../../src/http2/hpack-decoder.ts";
import { headerBlock } from "../../../src/http2/hpack-literal.ts";
import { must, type Target } from "./target.ts";

/** SETTINGS_HEADER_TABLE_SIZE bounds what one byte of a block can name. */
const TABLE_BYTES = 4096;
/** More fields are not written again: that is the slow part, and the test's. */
const WRITTEN_AGAIN = 1000;

export const hpack: Target = {
  seeds: [
    Buffer.from("828684410f7777772e6578616d706c652e636f6d", "hex"),
    Buffer.from("828684418cf1e3c2e5f23a6ba0ab90f4ff", "hex"),
    Buffer.from("3fe11f400161016240016301be82be", "hex"),
    Buffer.from("20824001610162be", "hex"),
  ],
  tokens: [
    "\u0082",
    "\u00be",
    "\u0040\u0001a\u0001b",
    "\u003f\u00e1\u001f",
    "\u0020",
    "\u007f\u0080",
    "\u0041\u0081\u00ff",
  ],
  run(bytes) {
    const fields = decoded(bytes, 2);
    if (fields === null) return;
    const size = fields.reduce((sum, { name, value }) => sum + name.length + value.length, 0);
    must(size <= bytes.length * TABLE_BYTES * 2, "more text than the table can hold");
    must(same(fields, decoded(Buffer.concat([bytes]), 2)), "other fields on another connection");
    if (fields.length > WRITTEN_AGAIN) return;
    const again = headerBlock(fields.map(({ name, value }) => [name, value] as const));
    must(same(fields, decoded(again, 1)), "other fields when written again");
  },
};

/** The fields of a block that comes so often on one connection; null for a fault. */
function decoded(bytes: Buffer, times: number): Field[] | null {
  const decoder = new HpackDecoder();
  const fields: Field[] = [];
  try {
    for (let i = 0; i < times; i += 1)
      decoder.decode(bytes, { start: 0, end: bytes.length }, (field) => fields.push(field));
    return fields;
  } catch (error) {
    if (error instanceof ConnectionFault) return null;
    throw error;
  }
}

function same(a: readonly Field[], b: readonly Field[] | null): boolean {
  return (
    b !== null && a.length === b.length && a.every(({ name, value }, i) => name === b[i]?.name && value === b[i].value)
  );
}
