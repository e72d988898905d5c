import { isObject } from "./envelope.ts";
import { encodeHeaderValue } from "./header-value.ts";
import type { JsonObject, JsonValue } from "./json.ts";

/** RFC 9110 §5.1 token. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/;
const MAX_DEPTH = 16;

/**
 * The `Mcp-Param-*` headers of a call, out of the `x-mcp-header` annotations of its tool (SEP-2243): what a client of the
 * stateless revision sends itself. An argument that is absent, null or no primitive has none.
 */
export function paramHeaders(inputSchema: JsonValue | undefined, args: JsonObject): Record<string, string> {
  const headers: Record<string, string> = {};
  collect(inputSchema, args, headers, MAX_DEPTH);
  return headers;
}

/** Annotations count on a chain of `properties` only: anywhere else they make the tool invalid, and nobody lists it. */
function collect(
  schema: JsonValue | undefined,
  value: JsonValue | undefined,
  headers: Record<string, string>,
  depth: number,
): void {
  if (!isObject(schema) || value === undefined || depth === 0) return;
  const name = schema["x-mcp-header"];
  const text = textOf(value);
  if (typeof name === "string" && TOKEN.test(name) && text !== null)
    headers[`mcp-param-${name.toLowerCase()}`] = encodeHeaderValue(text);
  const { properties } = schema;
  if (!isObject(properties) || !isObject(value)) return;
  for (const [member, inner] of Object.entries(properties))
    if (Object.hasOwn(value, member)) collect(inner, value[member], headers, depth - 1);
}

function textOf(value: JsonValue): string | null {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return String(value);
  return typeof value === "number" && Number.isSafeInteger(value) ? String(value) : null;
}
