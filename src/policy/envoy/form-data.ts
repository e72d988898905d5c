// Reads multipart/form-data (RFC 7578), and takes one reading alone: what two servers could cut differently is refused. Pure.
import { isUtf8 } from "node:buffer";
import { DEFAULT_LIMITS, readJson } from "../../json/strict-reader.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import { partMedia } from "./media-type.ts";
import { byName, put } from "./query.ts";

const MAX_PARTS = 200;
/** RFC 2046 §5.1.1. */
const BOUNDARY =
  /^multipart\/form-data[\t ]*;[\t ]*boundary=(?:"([0-9A-Za-z'()+_,./:=? -]{1,70})"|([0-9A-Za-z'+_.-]{1,70}))[\t ]*$/i;
const DISPOSITION = /^form-data((?:[\t ]*;[\t ]*[a-z]+=(?:"[^"\\\r\n]*"|[^\s";,\\]+))*)[\t ]*$/i;
const PARAMETER = /;[\t ]*([a-z]+)=(?:"([^"\\\r\n]*)"|([^\s";,\\]+))/gi;
const HEADER = /^([A-Za-z0-9-]+):[\t ]*(.*)$/;

/**
 * The values of each name, in their order: texts, what a part of the type application/json holds, and of a file its name, type and
 * size. Null for what is no form.
 */
export function readFormData(bytes: Uint8Array, contentType: string): JsonObject | null {
  const [, quoted, plain] = BOUNDARY.exec(contentType) ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined || boundary.endsWith(" ")) return null;
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  const parts = partsOf(body, `--${boundary}`);
  if (parts === null || parts.length > MAX_PARTS) return null;
  const found = new Map<string, JsonValue[]>();
  for (const part of parts) {
    const read = readPart(part);
    if (read === null) return null;
    put(found, read.name, read.value);
  }
  return byName(found);
}

/** Nothing before the first delimiter and nothing but a line break behind the last; null for any other form. */
function partsOf(body: string, delimiter: string): string[] | null {
  const whole = `\r\n${body}`;
  const [before = "", ...rest] = whole.split(`\r\n${delimiter}`);
  const last = rest.pop();
  if (before !== "" || last === undefined || !/^--[\t ]*(?:\r\n)?$/.test(last)) return null;
  // Some servers take a bare line feed before a delimiter for the end of a part.
  const isCut = rest.every((part) => part.startsWith("\r\n") && !part.includes(delimiter));
  return isCut ? rest.map((part) => part.slice(2)) : null;
}

interface Part {
  readonly name: string;
  readonly value: JsonValue;
}

function readPart(part: string): Part | null {
  const cut = part.indexOf("\r\n\r\n");
  if (cut === -1) return null;
  const headers = headersOf(part.slice(0, cut).split("\r\n"));
  const disposition = headers?.get("content-disposition");
  const of = disposition === undefined ? null : dispositionOf(disposition);
  // An encoding of one part is from the time before RFC 7578 §4.7: some servers undo it.
  if (headers === null || of === null || headers.has("content-transfer-encoding")) return null;
  const bytes = Buffer.from(part.slice(cut + 4), "latin1");
  const type = headers.get("content-type");
  const value = of.filename === null ? valueOf(bytes, type) : fileOf(bytes, of.filename, type);
  return value === undefined ? null : { name: of.name, value };
}

/** Of a part without a file name. Some programs take another type than these for a file, and some for a text. */
function valueOf(bytes: Buffer, type: string | undefined): JsonValue | undefined {
  const media = partMedia(type);
  if (media === null || !isUtf8(bytes)) return undefined;
  if (media === "text") {
    const text = bytes.toString("utf8");
    return text.startsWith("\ufeff") ? undefined : text;
  }
  const read = readJson(bytes, { ...DEFAULT_LIMITS, oneReading: true });
  return read.ok ? read.value : undefined;
}

/**
 * A file is no text: what is in it is not told. Without a name some programs read a text, so it must be empty then, as browsers
 * send a field in which no file was chosen.
 */
function fileOf(bytes: Buffer, filename: string, type: string | undefined): JsonValue | undefined {
  if (filename === "" && bytes.length > 0) return undefined;
  return { filename, contentType: type ?? null, size: bytes.length };
}

/** By name in lower case; null for a line of another form or a name that comes twice. */
function headersOf(lines: readonly string[]): ReadonlyMap<string, string> | null {
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [, name, value = ""] = HEADER.exec(line) ?? [];
    if (name === undefined || headers.has(name.toLowerCase())) return null;
    headers.set(name.toLowerCase(), value);
  }
  return headers;
}

interface Disposition {
  readonly name: string;
  /** Null for a part that is no file. */
  readonly filename: string | null;
}

/** The one `name` of a disposition; null for none, several, or a form that servers read differently. */
function dispositionOf(disposition: string): Disposition | null {
  const parameters = DISPOSITION.exec(disposition)?.[1];
  if (parameters === undefined) return null;
  const found = new Map<string, string>();
  for (const [, kind = "", quoted, plain = ""] of parameters.matchAll(PARAMETER)) {
    const value = Buffer.from(quoted ?? plain, "latin1");
    if (found.has(kind.toLowerCase()) || !isUtf8(value)) return null;
    found.set(kind.toLowerCase(), value.toString("utf8"));
  }
  const name = found.get("name") ?? "";
  return name === "" ? null : { name, filename: found.get("filename") ?? null };
}
