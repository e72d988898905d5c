// References of a tool to a `ui://` resource (MCP Apps: `_meta.ui.resourceUri`, and other spellings). The merged endpoint serves no
// resources: a client that follows one there shows an empty pane. Pure. https://github.com/modelcontextprotocol/ext-apps
import { isObject } from "../../mcp/envelope.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";

const isReference = (value: JsonValue): boolean => typeof value === "string" && /^ui:\/\//i.test(value);

const withoutReferences = (object: JsonObject): [string, JsonValue][] =>
  Object.entries(object).filter(([, value]) => !isReference(value));

/** The definition without references in `_meta` and in its objects; the same object if there is none. */
export function withoutUiReferences(definition: JsonObject): JsonObject {
  const { _meta: meta, ...others } = definition;
  if (!isObject(meta)) return definition;
  let found = Object.values(meta).some(isReference);
  const kept = withoutReferences(meta).flatMap(([name, value]): [string, JsonValue][] => {
    if (!isObject(value) || !Object.values(value).some(isReference)) return [[name, value]];
    found = true;
    const rest = withoutReferences(value);
    return rest.length === 0 ? [] : [[name, Object.fromEntries(rest)]];
  });
  if (!found) return definition;
  return kept.length === 0 ? others : { ...definition, _meta: Object.fromEntries(kept) };
}
