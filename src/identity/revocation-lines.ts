import type { JsonObject, JsonValue } from "../mcp/json.ts";
import { readJson } from "../mcp/strict-json.ts";

/** One line of the revocation file: a token or session until a time, or a subject's tokens issued before one. */
export type Revocation =
  | { readonly by: "jti" | "sid"; readonly iss: string; readonly id: string; readonly until: number }
  | { readonly by: "sub"; readonly iss: string; readonly id: string; readonly before: number };

export const MAX_FILE_BYTES = 16 * 1024 * 1024;
export const MAX_LINES = 100_000;
const MAX_TEXT = 1024;
const LIMITS = { maxDepth: 2, maxMembers: 8 };
/** Seconds since the epoch in the year 5138: what is above was meant in milliseconds. */
const MAX_TIME = 1e11;
const NEWLINE = 0x0a;
/** So many lines are read in one go; requests come in between. */
const SLICE = 1000;

/** How far a file was read: up to the end of a line that has its newline. */
export interface Read {
  readonly bytes: number;
  readonly lines: number;
}

export const NOTHING_READ: Read = { bytes: 0, lines: 0 };

export interface RevocationFile {
  /** Those of the lines that were read now. */
  readonly revocations: readonly Revocation[];
  /** True when the last line is not whole: it is being written, or was cut off. */
  readonly torn: boolean;
  readonly read: Read;
}

/**
 * Reads JSON lines, or says what is wrong with which one. A last line without its newline may be one that is being
 * written: it counts once it is whole. Any other fault spoils the file: a line passed over would be a token that lives on.
 * @param from where an earlier reading of the same bytes ended: a full file that only grew costs what is new
 */
export async function readRevocations(bytes: Uint8Array, from = NOTHING_READ): Promise<RevocationFile | string> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const revocations: Revocation[] = [];
  let number = from.lines;
  let read = from;
  for (let at = from.bytes; at < buffer.length;) {
    const newline = buffer.indexOf(NEWLINE, at);
    const end = newline === -1 ? buffer.length : newline;
    const line = buffer.subarray(at, end);
    number += 1;
    if (number > MAX_LINES) return `more than ${MAX_LINES} lines: remove those whose time is over`;
    const revocation = isBlank(line) ? null : readRevocation(line);
    if (typeof revocation === "string") {
      return newline === -1 ? { revocations, torn: true, read } : `line ${number}: ${revocation}`;
    }
    if (revocation !== null) revocations.push(revocation);
    at = end + 1;
    if (newline !== -1) read = { bytes: at, lines: number };
    if (number % SLICE === 0) await new Promise((done) => setImmediate(done));
  }
  return { revocations, torn: false, read };
}

/**
 * The form in which nearly every line comes: plain ASCII without escapes. Read by one expression, a full file costs a
 * tenth of the strict reader's time, and what the expression takes the reader takes alike.
 */
const PLAIN =
  /^\{"iss": ?"([ !#-[\]-~]+)", ?"(jti|sid|sub)": ?"([ !#-[\]-~]+)", ?"(until|before)": ?([1-9]\d{0,10})\}$/;

/** One line, or what is wrong with it. */
export function readRevocation(line: Uint8Array): Revocation | string {
  const plain = PLAIN.exec(Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString("latin1"));
  if (plain !== null) return fromPlain(plain);
  const json = readJson(line, LIMITS);
  if (!json.ok) return `not JSON: ${json.detail}`;
  const { value } = json;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "not an object";
  return fromObject(value as JsonObject);
}

/** Tokens and sessions, nearly all there is, without an object in between. */
function fromPlain([, iss = "", by = "", id = "", time = "", seconds = ""]: RegExpExecArray): Revocation | string {
  const number = Number(seconds);
  const isUsual = time === "until" && by !== "sub" && isText(iss) && isText(id) && isTime(number);
  if (isUsual) return { by: by as "jti" | "sid", iss, id, until: number };
  return fromObject({ iss, [by]: id, [time]: number });
}

/** As a line of the file. */
export function writeRevocation(revocation: Revocation): string {
  const { by, iss, id } = revocation;
  return JSON.stringify(
    revocation.by === "sub" ? { iss, [by]: id, before: revocation.before } : { iss, [by]: id, until: revocation.until },
  );
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

function isBlank(line: Uint8Array): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}
