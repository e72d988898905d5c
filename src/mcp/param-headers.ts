// The `Mcp-Param-*` headers of a call, from the annotations of its tool (SEP-2243). Pure.
import { isObject } from "./envelope.ts";
import { encodeHeaderValue } from "./header-value.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";

/** RFC 9110 §5.1 token. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/;
const MAX_DEPTH = 16;

/**
 * Makes the headers that a client of the stateless revision would send, from the `x-mcp-header` annotations of the tool's
 * schema. Null means that the header must be absent: the argument is absent, null or no primitive.
 */
export function paramHeaders(inputSchema: JsonValue | undefined, args: JsonObject): Record<string, string | null> {
  const headers: Record<string, string | null> = {};
  // An annotation counts on a chain of `properties` only. Anywhere else it makes the tool invalid, and no list has it.
  const collect = (schema: JsonValue | undefined, value: JsonValue | undefined, depth: number): void => {
    if (!isObject(schema) || depth === 0) return;
    const name = schema["x-mcp-header"];
    if (typeof name === "string" && TOKEN.test(name)) headers[`mcp-param-${name.toLowerCase()}`] = headerOf(value);
    const { properties } = schema;
    if (!isObject(properties)) return;
    for (const [member, inner] of Object.entries(properties)) {
      const isThere = isObject(value) && Object.hasOwn(value, member);
      collect(inner, isThere ? value[member] : undefined, depth - 1);
    }
  };
  collect(inputSchema, args, MAX_DEPTH);
  return headers;
}

function headerOf(value: JsonValue | undefined): string | null {
  const text = textOf(value);
  return text === null ? null : encodeHeaderValue(text);
}

function textOf(value: JsonValue | undefined): string | null {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return String(value);
  return typeof value === "number" && Number.isSafeInteger(value) ? String(value) : null;
}
