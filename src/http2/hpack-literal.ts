// Header blocks that a server sends: literals without Huffman and without the dynamic table, so that each stands alone. Pure.
import { STATIC_TABLE } from "./static-table.ts";

/** Literal Header Field without Indexing (RFC 7541 §6.2.2), with a new name; `:status` of the static table as an index. */
export function headerBlock(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(fields.map(([name, value]) => indexed(name, value) ?? literal(name, value)));
}

function indexed(name: string, value: string): Buffer | null {
  const index = STATIC_TABLE.findIndex(([known, its]) => name.startsWith(":") && known === name && its === value);
  return index === -1 ? null : Buffer.from([0x80 | (index + 1)]);
}

function literal(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0]), text(name), text(value)]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  const most = 0x7f;
  if (bytes.length < most) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [most];
  let rest = bytes.length - most;
  for (; rest >= 0x80; rest >>>= 7) length.push((rest & 0x7f) | 0x80);
  length.push(rest);
  return Buffer.concat([Buffer.from(length), bytes]);
}
