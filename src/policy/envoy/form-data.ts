// Reads multipart/form-data (RFC 7578), and takes one reading alone: what two servers could cut differently is refused. Pure.
import { DEFAULT_LIMITS, readJson } from "../../json/strict-reader.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import { byName, put } from "./query.ts";

const MAX_PARTS = 200;
/** RFC 2046 §5.1.1. */
const BOUNDARY =
  /^multipart\/form-data[\t ]*;[\t ]*boundary=(?:"([0-9A-Za-z'()+_,./:=? -]{1,70})"|([0-9A-Za-z'+_.-]{1,70}))[\t ]*$/i;
const DISPOSITION = /^form-data((?:[\t ]*;[\t ]*[a-z]+=(?:"[^"\\\r\n]*"|[^\s";,\\]+))*)[\t ]*$/i;
const PARAMETER = /;[\t ]*([a-z]+)=(?:"([^"\\\r\n]*)"|([^\s";,\\]+))/gi;
const HEADER = /^([A-Za-z0-9-]+):[\t ]*(.*)$/;

/**
 * The values of each name, in their order: texts, and what a part of the type application/json holds. Null for what is no form.
 * Bytes that are not UTF-8, as those of a file, are U+FFFD.
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
  return rest.every((part) => part.startsWith("\r\n")) ? rest.map((part) => part.slice(2)) : null;
}

function readPart(part: string): { readonly name: string; readonly value: JsonValue } | null {
  const cut = part.indexOf("\r\n\r\n");
  if (cut === -1) return null;
  const headers = headersOf(part.slice(0, cut).split("\r\n"));
  const disposition = headers?.get("content-disposition");
  const name = disposition === undefined ? null : nameOf(disposition);
  // An encoding of one part is from the time before RFC 7578 §4.7: some servers undo it.
  if (headers === null || name === null || headers.has("content-transfer-encoding")) return null;
  const bytes = Buffer.from(part.slice(cut + 4), "latin1");
  if (!(headers.get("content-type") ?? "").toLowerCase().includes("application/json"))
    return { name, value: bytes.toString("utf8") };
  const read = readJson(bytes, { ...DEFAULT_LIMITS, oneReading: true });
  return read.ok ? { name, value: read.value } : null;
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

/** The one `name` of a disposition; null for none, several, or a form that servers read differently. */
function nameOf(disposition: string): string | null {
  const parameters = DISPOSITION.exec(disposition)?.[1];
  if (parameters === undefined) return null;
  const names = [...parameters.matchAll(PARAMETER)];
  const kinds = names.map(([, kind = ""]) => kind.toLowerCase());
  if (new Set(kinds).size !== kinds.length) return null;
  const found = names[kinds.indexOf("name")];
  const name = found?.[2] ?? found?.[3] ?? "";
  return name === "" ? null : Buffer.from(name, "latin1").toString("utf8");
}
