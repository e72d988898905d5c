// Mutations of a text, by bytes and by tokens of JSON. Pure.
import type { Random } from "./random.ts";

const TOKENS = [
  ...[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"',
    "\\",
    "\\u0041",
    "\\u00e9",
    "\\ud83d\\ude00",
    "\\/",
    "null",
    "true",
    "1e400",
    "-0",
  ],
  ...[
    "0.1",
    "1.0",
    "9007199254740993.0",
    '"name"',
    '"Name"',
    '"id":1,',
    '"params"',
    "\u00a0",
    "\ufeff",
    "\u2028",
    "é",
    "\u0000",
  ],
  ...["\\u0000", "//", "/*", " ", "\n", "\t", "ſ", "\u212a", "é", "1e-400", "E+1", "\\\\", '\\"'],
].map((token) => Buffer.from(token));

/** Some bytes changed, cut, repeated or put in. @param tokens what is worth putting in */
export function mutate(text: Buffer, random: Random, tokens: readonly Buffer[] = TOKENS): Buffer {
  let result = text;
  for (let i = random.oneIn(3) ? 1 : 0; i >= 0; i -= 1) result = mutateOnce(result, random, tokens);
  return result;
}

function mutateOnce(text: Buffer, random: Random, tokens: readonly Buffer[]): Buffer {
  const at = random.below(text.length + 1);
  const end = Math.min(text.length, at + 1 + random.below(random.oneIn(3) ? 30 : 4));
  const before = text.subarray(0, at);
  const kind = random.below(7);
  if (kind === 0) return Buffer.concat([before, Buffer.from([random.below(256)]), text.subarray(at + 1)]);
  if (kind === 1) return Buffer.concat([before, text.subarray(end)]);
  if (kind === 2) return Buffer.concat([before, random.pick(tokens), text.subarray(at)]);
  if (kind === 3) return Buffer.concat([before, random.pick(tokens), text.subarray(end)]);
  if (kind === 4) return Buffer.concat([text.subarray(0, end), text.subarray(at, end), text.subarray(end)]);
  if (kind === 5) return escapeOne(text, at);
  const from = random.below(text.length + 1);
  return Buffer.concat([before, text.subarray(from, from + 1 + random.below(20)), text.subarray(at)]);
}

/** The byte there, if it is a letter, as an escape. */
function escapeOne(text: Buffer, at: number): Buffer {
  const byte = text[at] ?? 0;
  if (byte < 0x20 || byte > 0x7e) return text;
  const hex = Buffer.from(`\\u00${byte.toString(16)}`);
  return Buffer.concat([text.subarray(0, at), hex, text.subarray(at + 1)]);
}
