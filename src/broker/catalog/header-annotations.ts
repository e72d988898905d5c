// Validates the `x-mcp-header` annotations of a tool's input schema (MCP 2026-07-28, SEP-2243). Pure.
import { isObject } from "../../json/object.ts";
import { ANNOTATED_NAME } from "../../mcp/param-headers.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";

const ANNOTATION = "x-mcp-header";
const PRIMITIVES: readonly unknown[] = ["string", "integer", "boolean"];
/** Members that hold data, not schemas: an annotation there has no meaning. */
export const DATA: readonly string[] = ["enum", "const", "default", "examples", "required", "type"];
/** Members that hold schemas by name: there a member's name is no keyword. */
export const BY_NAME: readonly string[] = [
  "properties",
  "patternProperties",
  "$defs",
  "definitions",
  "dependentSchemas",
];

/**
 * The names in the `x-mcp-header` annotations of an input schema, in lower case; null if one of them is not one that a
 * client may turn into a header (MCP 2026-07-28, Streamable HTTP, Schema Extension; SEP-2243): a token, unlike the others,
 * on a primitive property that stands at the end of `properties` all the way. Such a tool is listed nowhere (threat model:
 * B49). `$ref` is not followed.
 */
export function annotatedHeaders(inputSchema: JsonObject): ReadonlySet<string> | null {
  const names = new Set<string>();
  return sweep(inputSchema, "root", names) ? names : null;
}

type Place = "root" | "property" | "elsewhere";

function sweep(node: JsonValue, place: Place, names: Set<string>): boolean {
  if (Array.isArray(node)) return (node as readonly JsonValue[]).every((item) => sweep(item, "elsewhere", names));
  if (!isObject(node)) return true;
  if (ANNOTATION in node && !(place === "property" && isValid(node, names))) return false;
  return Object.entries(node).every(([member, value]) => {
    if (DATA.includes(member) || member === ANNOTATION) return true;
    if (!BY_NAME.includes(member) || !isObject(value)) return sweep(value, "elsewhere", names);
    const below = member === "properties" && place !== "elsewhere" ? "property" : "elsewhere";
    return Object.values(value).every((schema) => sweep(schema, below, names));
  });
}

function isValid(schema: JsonObject, names: Set<string>): boolean {
  const name = schema[ANNOTATION];
  if (typeof name !== "string" || !ANNOTATED_NAME.test(name) || !PRIMITIVES.includes(schema["type"])) return false;
  const folded = name.toLowerCase();
  if (names.has(folded)) return false;
  names.add(folded);
  return true;
}
