// What policy sees of a text, in the form in which the readers say what they see. Null for a text that we refuse. Pure.
import { relayRequest } from "../../src/broker/relay/request.ts";
import type { RelayCall } from "../../src/broker/relay/admit.ts";
import { META, type Dialect } from "../../src/broker/upstream/era.ts";
import type { JsonObject, JsonValue } from "../../src/json/types.ts";
import type { McpHeaders, Operation } from "../../src/mcp/operation.ts";
import { readOperation } from "../../src/mcp/read-operation.ts";
import { DEFAULT_LIMITS, readJson } from "../../src/json/strict-reader.ts";

/** Forms by the name of the view that they are compared with. */
export type Forms = Readonly<Record<string, string>>;

const NO_HEADERS: McpHeaders = { get: () => undefined, repeated: () => false };

/** The exact shortest decimal of a number, as digits and an exponent. −0 is 0: no comparison tells them apart. */
export function decimalForm(number: number): string {
  const [mantissa = "0", power = "0"] = String(Math.abs(number)).split("e");
  const [whole = "", fraction = ""] = mantissa.split(".");
  const digits = (whole + fraction).replace(/^0+/, "");
  const kept = digits.replace(/0+$/, "");
  if (kept === "") return "#0e0;";
  return `#${number < 0 ? "-" : ""}${kept}e${Number(power) - fraction.length + digits.length - kept.length};`;
}

const quoted = (text: string) => (/["\\]/.test(text) ? `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"` : `"${text}"`);

/** UTF-8 sorts by code points, and JavaScript does not. */
function byCodePoints(a: string, b: string): number {
  if (!/[\ud800-\udfff]/.test(a + b)) return a < b ? -1 : 1;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** A value with its names sorted. */
export function canonical(value: JsonValue | undefined): string {
  if (value === null || value === undefined) return "z";
  if (typeof value === "boolean") return value ? "t" : "f";
  if (typeof value === "number") return decimalForm(value);
  if (typeof value === "string") return quoted(value);
  if (Array.isArray(value)) return `[${(value as readonly JsonValue[]).map(canonical).join("")}]`;
  const object = value as JsonObject;
  const names = Object.keys(object).sort(byCodePoints);
  return `{${names.map((name) => quoted(name) + canonical(object[name])).join("")}}`;
}

/** A body that we accept, as one value and as what a server declares of it. */
export function bodyForms(bytes: Buffer): Forms | null {
  const read = readOperation(bytes, NO_HEADERS);
  if (!read.ok) return null;
  return formsOf(messageOf(bytes));
}

function messageOf(bytes: Buffer): JsonObject {
  const json = readJson(bytes, DEFAULT_LIMITS);
  if (!json.ok) throw new Error("readOperation accepts what readJson refuses");
  return json.value as JsonObject;
}

function formsOf(message: JsonObject): Forms {
  const params = (message["params"] ?? {}) as JsonObject;
  const { name, uri, arguments: args } = params;
  const typed = [message["jsonrpc"], message["id"], message["method"], name, uri, args];
  return { value: canonical(message), typed: `[${typed.map(canonical).join("")}]` };
}

export interface Relayed {
  readonly bytes: Buffer;
  readonly forms: Forms;
}

const WIRE_ID = 900_001;

/** The body that the broker sends for this one, and what its server must see. Null if it is no call, or refused. */
export function relayed(bytes: Buffer, era: Dialect["era"]): Relayed | null {
  const read = readOperation(bytes, NO_HEADERS);
  if (!read.ok || read.operation.class !== "named") return null;
  const { operation } = read;
  const renames = (operation.name?.length ?? 0) > 1;
  const name = renames ? (operation.name ?? "").slice(1) : (operation.name ?? "");
  const dialect: Dialect = era === "modern" ? { era } : { era, version: "2025-06-18", session: null };
  if (!name.isWellFormed()) return null;
  const request = relayRequest(callOf(operation, name, bytes), { wireId: WIRE_ID, dialect }, () => undefined);
  return { bytes: request.body, forms: formsOf(expectedAtServer(bytes, name, era)) };
}

function callOf(operation: Operation, name: string, body: Buffer): RelayCall {
  const upstream = { name: "s" } as unknown as RelayCall["upstream"];
  const wristband = {} as unknown as RelayCall["wristband"];
  return {
    upstream,
    operation,
    name,
    body,
    credential: null,
    wristband,
    jws: "",
    scope: "",
    session: null,
    mapUri: null,
    task: { kind: "none" },
    asking: null,
    forwarded: {},
  };
}

function expectedAtServer(bytes: Buffer, name: string, era: Dialect["era"]): JsonObject {
  const message = messageOf(bytes);
  const params = message["params"] as JsonObject;
  const named = message["method"] === "resources/read" ? { uri: name } : { name };
  const meta = era === "modern" ? { _meta: { ...(params["_meta"] as JsonObject | undefined), ...META } } : {};
  // Not a spread into {}: a member called __proto__ must stay one.
  const together = Object.fromEntries([...Object.entries(params), ...Object.entries({ ...named, ...meta })]);
  return Object.fromEntries([...Object.entries(message), ["id", WIRE_ID], ["params", together]]) as JsonObject;
}

/** RFC 3986 appendix B. */
const PARTS = /^(?:([^:/?#]+):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s;

/** A resource URI that we accept, as the parts that RFC 3986 finds in it. */
export function uriForms(uri: string): Forms | null {
  const message = { jsonrpc: "2.0", id: 1, method: "resources/read", params: { uri } };
  const read = readOperation(Buffer.from(JSON.stringify(message)), NO_HEADERS);
  if (!read.ok || read.operation.name === null) return null;
  const [, scheme = "", authority = "", path = "", query = "", fragment = ""] = PARTS.exec(read.operation.name) ?? [];
  return { uri: comparableUri([scheme, authority, path, query, fragment].join("\n")), path: comparablePath(path) };
}

/**
 * The parts of a URI with escapes undone, so that `é` and `%C3%A9` are one. Segments are told apart before: an escaped
 * slash is none. A host alone is the same with a slash behind it (RFC 3986 §6.2.3): our reader takes both.
 */
export function comparableUri(form: string): string {
  const [scheme = "", authority = "", given = "", query = "", fragment = ""] = form.split("\n");
  const path = given === "" && authority !== "" ? "/" : given;
  return [scheme, authority, comparablePath(path), unescaped(query), unescaped(fragment)].join("\n");
}

/** Between segments: no URI that we accept holds it. */
const SEGMENT_END = "\u0001";

function comparablePath(path: string): string {
  return path.split("/").map(unescaped).join(SEGMENT_END);
}

/** As a program's own decoding: escapes that are none stay. */
function unescaped(text: string): string {
  if (!text.includes("%")) return text;
  return text.replaceAll(/(?:%[0-9a-fA-F]{2})+/g, (escapes) => {
    const bytes = Buffer.from(escapes.replaceAll("%", ""), "hex");
    return bytes.toString("utf8");
  });
}

/** The path that a program takes after its library has undone the escapes: each slash in it is one. */
export function comparableDecodedPath(path: string): string {
  return path.split("/").join(SEGMENT_END);
}
