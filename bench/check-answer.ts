// Reads of a CheckResponse only whether it allows: its `status.code` is 0 and it has no `denied_response`. Pure.
import type { Verdict } from "./service.ts";

const STATUS = 0x0a;
const DENIED = 0x12;
const CODE = 0x08;

/** @param answer the message, without its gRPC prefix */
export function verdictOf(answer: Buffer): Verdict {
  if (answer.length === 0) return "fault";
  let at = 0;
  while (at < answer.length) {
    const tag = answer[at];
    const [length, start] = varint(answer, at + 1);
    if (tag === DENIED) return "deny";
    if (tag === STATUS && length > 0 && answer[start] === CODE && answer[start + 1] !== 0) return "deny";
    at = start + length;
  }
  return "allow";
}

/** @returns the number, and where what follows it begins */
function varint(bytes: Buffer, from: number): readonly [value: number, next: number] {
  let value = 0;
  let at = from;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at] ?? 0;
    at += 1;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at];
  }
}
