// Finds the input schema of a tool that is called, in what its server lists. Definitions are kept as text, which takes a
// fraction of the memory; those that were called last are kept as values too.
import { LRUCache } from "lru-cache";
import { isObject } from "../../json/object.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import { parseJson } from "../../json/parse.ts";
import type { Snapshot } from "../catalog/snapshot.ts";
import type { ListEntry } from "../catalog/definitions.ts";
import type { FindSchema } from "./request.ts";

/** Of at most 64 KiB of text each. */
const MAX_PARSED = 64;

export function createFindSchema(current: () => Snapshot): FindSchema {
  const parsed = new LRUCache<ListEntry, JsonObject>({ max: MAX_PARSED });
  return (server, tool) => {
    const entry = current()
      .servers.get(server)
      ?.tools.find(({ name }) => name === tool);
    if (entry === undefined) return undefined;
    let schema = parsed.get(entry);
    if (schema === undefined) parsed.set(entry, (schema = schemaOf(entry)));
    return schema;
  };
}

function schemaOf({ json }: ListEntry): JsonObject {
  const definition = parseJson(json) as JsonValue;
  const schema = isObject(definition) ? definition["inputSchema"] : undefined;
  return isObject(schema) ? schema : {};
}
