// Parses one line of the revocation file (docs/operations.md). Pure.
import type { JsonObject, JsonValue } from "../json/types.ts";
import { readJson } from "../json/strict-reader.ts";

/** One line of the revocation file: a token or session until a time, or a subject's tokens issued before one. */
export type Revocation =
  | { readonly by: "jti" | "sid"; readonly iss: string; readonly id: string; readonly until: number }
  | { readonly by: "sub"; readonly iss: string; readonly id: string; readonly before: number };

/** Bytes of one line: two texts of 1,024 characters, all escaped, and the JSON around them. */
export const MAX_LINE_BYTES = 16 * 1024;
const MAX_TEXT = 1024;
const LIMITS = { maxDepth: 2, maxMembers: 8 };
/** Seconds since the epoch in the year 5138: a larger number is in milliseconds by mistake. */
const MAX_TIME = 1e11;
/**
 * The usual form of a line: plain ASCII without escapes. The expression takes a tenth of the strict reader's time, and every
 * line that it matches has the same meaning to the strict reader.
 */
const PLAIN =
  /^\{"iss": ?"([ !#-[\]-~]+)", ?"(jti|sid|sub)": ?"([ !#-[\]-~]+)", ?"(until|before)": ?([1-9]\d{0,10})\}$/;

/** Parses one line, or returns its fault. */
export function readRevocation(line: Uint8Array): Revocation | string {
  const plain = PLAIN.exec(Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString("latin1"));
  if (plain !== null) return fromPlain(plain);
  const json = readJson(line, LIMITS);
  if (!json.ok) return `not JSON: ${json.detail}`;
  const { value } = json;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "not an object";
  return fromObject(value as JsonObject);
}

/** Makes a revocation of a token or session, the usual ones, without an object in between. */
function fromPlain([, iss = "", by = "", id = "", time = "", seconds = ""]: RegExpExecArray): Revocation | string {
  const number = Number(seconds);
  const isUsual = time === "until" && by !== "sub" && isText(iss) && isText(id) && isTime(number);
  if (isUsual) return { by: by as "jti" | "sid", iss, id, until: number };
  return fromObject({ iss, [by]: id, [time]: number });
}

const FORMS = [
  { by: "jti", time: "until", names: "iss,jti,until" },
  { by: "sid", time: "until", names: "iss,sid,until" },
  { by: "sub", time: "before", names: "before,iss,sub" },
] as const;

function fromObject(object: JsonObject): Revocation | string {
  const names = Object.keys(object).sort().join();
  const form = FORMS.find((one) => one.names === names);
  if (form === undefined) return "must be {iss, jti, until}, {iss, sid, until} or {iss, sub, before}, and no more";
  const { iss } = object;
  const id = object[form.by];
  const time = object[form.time];
  if (!isText(iss)) return "iss must be text";
  if (!isText(id)) return `${form.by} must be text`;
  if (!isTime(time)) return `${form.time} must be whole seconds since 1970`;
  return form.by === "sub" ? { by: "sub", iss, id, before: time } : { by: form.by, iss, id, until: time };
}

function isText(value: JsonValue | undefined): value is string {
  return typeof value === "string" && value !== "" && value.length <= MAX_TEXT;
}

function isTime(value: JsonValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 && value < MAX_TIME;
}

export function isBlank(line: Uint8Array): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}
