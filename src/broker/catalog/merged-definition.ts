// A definition as the merged endpoint shows it: under its merged name, with references to `ui://` resources (MCP Apps, SEP-1865)
// that can be read there. Pure. https://github.com/modelcontextprotocol/ext-apps
import { isObject } from "../../json/object.ts";
import { isExactNumber } from "../../json/strict-reader.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import type { ServerNames } from "../../mcp/resolver.ts";
import { LISTS, type ListKind } from "../../mcp/lists.ts";

/** Members of a tool's `_meta` that hold the URI of its page: the standard's, its older flat form, and another host's. */
const PAGE_MEMBERS = new Set(["resourceUri", "ui/resourceUri", "openai/outputTemplate"]);
const UI = /^\s*ui:/i;

/** The definition as JSON text, or null if a call could not name it on the merged endpoint. */
export function mergedDefinition(kind: ListKind, definition: JsonObject, names: ServerNames): string | null {
  const { key } = LISTS[kind];
  const name = definition[key];
  const publicName = typeof name === "string" ? names.publicName(LISTS[kind].kind, name) : null;
  if (publicName === null) return null;
  const shown = kind === "tools" ? withPages(definition, names.reference) : definition;
  return JSON.stringify({ ...shown, [key]: publicName });
}

/** A tool with the references in its `_meta`, and in objects there, mapped. A host must not read them as of another server. */
function withPages(tool: JsonObject, reference: ServerNames["reference"]): JsonObject {
  const { _meta: meta } = tool;
  if (!isObject(meta)) return tool;
  const mapped = (object: JsonObject): JsonObject =>
    mapMembers(object, (member, value) =>
      typeof value === "string" && (PAGE_MEMBERS.has(member) || UI.test(value)) ? reference(value) : value,
    );
  return {
    ...tool,
    _meta: mapMembers(mapped(meta), (_, value) => (isObject(value) && !isExactNumber(value) ? mapped(value) : value)),
  };
}

function mapMembers(object: JsonObject, map: (member: string, value: JsonValue) => JsonValue): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([member, value]) => [member, map(member, value)]));
}
