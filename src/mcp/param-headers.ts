// The `Mcp-Param-*` headers of a call, from the annotations of its tool (SEP-2243). Pure.
import { decodeHeaderValue, encodeHeaderValue } from "./header-value.ts";
import { isObject } from "../json/object.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";

/** RFC 9110 §5.6.2 token. */
export const ANNOTATED_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/;
const MAX_DEPTH = 16;
const DECIMAL = /^-?\d{1,32}(?:\.\d{1,32})?$/;

/**
 * Makes the headers that a client of the stateless revision would send, from the `x-mcp-header` annotations of the tool's
 * schema. Null means that the header must be absent: the argument is absent, null or no primitive.
 */
export function paramHeaders(inputSchema: JsonValue | undefined, args: JsonObject): Record<string, string | null> {
  const headers: Record<string, string | null> = {};
  for (const [header, value] of mirroredArguments(inputSchema, args))
    headers[header] = value === null ? null : encodeHeaderValue(String(value));
  return headers;
}

/**
 * Describes the first header that does not say what its argument says: it is missing, badly encoded, or contradicts. Null if
 * all agree. A header whose argument is absent is no fault: it is not passed on.
 * @param headers the client's, names in lower case
 */
export function faultOfParamHeaders(
  inputSchema: JsonValue | undefined,
  args: JsonObject,
  headers: Readonly<Record<string, string>>,
): string | null {
  for (const [header, value] of mirroredArguments(inputSchema, args)) {
    if (value === null) continue;
    if (!Object.hasOwn(headers, header)) return `${header} is missing`;
    const stated = decodeHeaderValue(headers[header] ?? "");
    if (stated === null) return `${header} is badly encoded`;
    if (!says(stated, value)) return `${header} is not what its argument is`;
  }
  return null;
}

type Primitive = string | number | boolean;

/** Numbers are compared as numbers: `42.0` is 42. */
function says(stated: string, value: Primitive): boolean {
  return typeof value === "number" && DECIMAL.test(stated) ? Number(stated) === value : stated === String(value);
}

/** The arguments that headers mirror, by header; null for one that no header can mirror. */
function mirroredArguments(inputSchema: JsonValue | undefined, args: JsonObject): Map<string, Primitive | null> {
  const mirrored = new Map<string, Primitive | null>();
  // An annotation counts on a chain of `properties` only. Anywhere else it makes the tool invalid, and no list has it.
  const collect = (schema: JsonValue | undefined, value: JsonValue | undefined, depth: number): void => {
    if (!isObject(schema) || depth === 0) return;
    const name = schema["x-mcp-header"];
    if (typeof name === "string" && ANNOTATED_NAME.test(name))
      mirrored.set(`mcp-param-${name.toLowerCase()}`, primitive(value));
    const { properties } = schema;
    if (!isObject(properties)) return;
    for (const [member, inner] of Object.entries(properties)) {
      const isThere = isObject(value) && Object.hasOwn(value, member);
      collect(inner, isThere ? value[member] : undefined, depth - 1);
    }
  };
  collect(inputSchema, args, MAX_DEPTH);
  return mirrored;
}

function primitive(value: JsonValue | undefined): Primitive | null {
  if (typeof value === "string" || typeof value === "boolean") return value;
  return typeof value === "number" && Number.isSafeInteger(value) ? value : null;
}
