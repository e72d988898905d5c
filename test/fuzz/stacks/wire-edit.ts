// Edits of a protobuf message that keep its framing: fields that come twice, in another order, of another type, or that nobody
// knows. Pure. https://protobuf.dev/programming-guides/encoding
import type { Random } from "../random.ts";

const LEN = 2;

interface Field {
  readonly number: number;
  /** Tag and, for LEN, length are written anew. */
  readonly wireType: number;
  readonly content: Buffer;
}

/** Fields of a message that an encoder wrote. */
function fieldsOf(bytes: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  while (at < bytes.length) {
    const [tag, afterTag] = readVarint(bytes, at);
    const wireType = tag % 8;
    const [first, afterFirst] = wireType === 0 || wireType === LEN ? readVarint(bytes, afterTag) : [0, afterTag];
    const begin = wireType === LEN ? afterFirst : afterTag;
    at = afterFirst + ({ 1: 8, [LEN]: first, 5: 4 }[wireType] ?? 0);
    fields.push({ number: Math.floor(tag / 8), wireType, content: bytes.subarray(begin, at) });
  }
  return fields;
}

function readVarint(bytes: Buffer, start: number): [value: number, end: number] {
  let value = 0;
  for (let at = start, shift = 0; ; at += 1, shift += 7) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at + 1];
  }
}

/** @param padding bytes more than needed: a varint need not be as short as it could be */
function varint(value: number, padding = 0): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80);
  bytes.push(rest);
  for (let i = 0; i < padding; i += 1) {
    bytes.push((bytes.pop() ?? 0) + 0x80);
    bytes.push(0);
  }
  return Buffer.from(bytes);
}

function encoded(fields: readonly Field[], random: Random): Buffer {
  return Buffer.concat(
    fields.flatMap(({ number, wireType, content }) => {
      const padding = random.oneIn(40) ? 1 + random.below(3) : 0;
      const tag = varint(number * 8 + wireType, padding);
      return wireType === LEN ? [tag, varint(content.length, padding), content] : [tag, content];
    }),
  );
}

/** Field numbers of the messages inside a message, with those inside them. */
interface Messages {
  readonly [field: number]: Messages;
}
const ADDRESS: Messages = { 1: {}, 2: {} };
const HTTP: Messages = { 3: {}, 13: { 1: {} } };
const CHECK_REQUEST: Messages = { 1: { 1: { 1: ADDRESS }, 4: { 2: HTTP } } };

/** One edit, at some depth, mostly in `http`. @param bytes as an encoder wrote it */
export function editMessage(bytes: Buffer, random: Random, messages: Messages = CHECK_REQUEST): Buffer {
  const fields = fieldsOf(bytes);
  const inner = [...fields.keys()].filter((at) => messages[fields[at]?.number ?? 0] !== undefined);
  const at = random.oneIn(3) ? inner[0] : inner.at(-1);
  const field = at === undefined ? undefined : fields[at];
  const within = field === undefined ? undefined : messages[field.number];
  if (at === undefined || field === undefined || within === undefined || random.oneIn(5)) editFields(fields, random);
  else fields[at] = { ...field, content: editMessage(field.content, random, within) };
  return encoded(fields, random);
}

function editFields(fields: Field[], random: Random): void {
  const at = random.below(fields.length + 1);
  const field = fields[at] ?? fields[0] ?? { number: 1, wireType: LEN, content: Buffer.alloc(0) };
  const kind = random.below(7);
  if (kind === 0) fields.splice(random.below(fields.length + 1), 0, field);
  else if (kind === 1) fields.splice(at, 1);
  else if (kind === 2) fields.reverse();
  else if (kind === 3) fields.splice(at, 0, { ...field, wireType: LEN, content: Buffer.alloc(0) });
  else if (kind === 4) fields.splice(at, 0, unknownField(random));
  else if (kind === 5) fields.splice(at, 1, { ...field, wireType: random.below(6) });
  else fields.splice(at, 1, { ...field, content: Buffer.concat([field.content, Buffer.from([random.below(256)])]) });
}

function unknownField(random: Random): Field {
  const number = random.pick([0, 6, 7, 8, 10, 14, 15, 16, 99, 30, 31, 32, 33, 536_870_911]);
  const wireType = random.pick([0, 0, 1, 2, 2, 2, 3, 5]);
  const length = [1, 8, 4, 0, 0, 4][wireType] ?? 0;
  return { number, wireType, content: Buffer.alloc(length, random.below(128)) };
}
