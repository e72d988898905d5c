// Finds arguments of a call whose names differ from those of the tool's input schema only in case. Pure. Go's
// encoding/json and .NET's web defaults match names without regard to case: such a server would take `Force` for `force`,
// while a policy that tests `force` would not have seen it.
import { isObject } from "../json/object.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";
import { foldName } from "../json/strict-name.ts";

/** The schemas that apply below one place of the arguments. */
interface Shape {
  readonly properties: ReadonlyMap<string, readonly JsonValue[]>;
  readonly folded: ReadonlySet<string>;
  /** Schemas of members that `properties` does not name. */
  readonly others: readonly JsonValue[];
  readonly items: readonly JsonValue[];
}

type Schemas = readonly JsonValue[];

/** Subschemas that are combined at one place; further ones are ignored. */
const MAX_PARTS = 1000;

/** True if an argument, at any depth, has the name of a property there but for case or Unicode form. */
export function hasLookalikeArgument(inputSchema: JsonValue | undefined, args: JsonObject): boolean {
  return inputSchema !== undefined && new Comparison(inputSchema).differs(args, [inputSchema]);
}

class Comparison {
  readonly #root: JsonValue;
  readonly #shapes = new Map<Schemas, Shape>();

  constructor(root: JsonValue) {
    this.#root = root;
  }

  /** The recursion is as deep as the arguments, whose depth the strict reader bounds. */
  differs(value: JsonValue, schemas: Schemas): boolean {
    if (schemas.length === 0 || typeof value !== "object" || value === null) return false;
    const shape = this.#shapeOf(schemas);
    if (Array.isArray(value)) return (value as Schemas).some((item) => this.differs(item, shape.items));
    return Object.entries(value as JsonObject).some(([name, inner]) => {
      const own = shape.properties.get(name);
      if (own !== undefined) return this.differs(inner, own);
      return shape.folded.has(foldName(name)) || this.differs(inner, shape.others);
    });
  }

  #shapeOf(schemas: Schemas): Shape {
    let shape = this.#shapes.get(schemas);
    if (shape === undefined) this.#shapes.set(schemas, (shape = shapeOf(this.#parts(schemas))));
    return shape;
  }

  /** The schemas, with those that apply in the same place: references into the same document, and combinations. */
  #parts(schemas: Schemas): ReadonlySet<JsonObject> {
    const parts = new Set<JsonObject>();
    const waiting = [...schemas];
    for (let next = waiting.pop(); next !== undefined && parts.size < MAX_PARTS; next = waiting.pop()) {
      if (!isObject(next) || parts.has(next)) continue;
      parts.add(next);
      waiting.push(this.#resolve(next["$ref"]), next["then"] ?? null, next["else"] ?? null);
      for (const member of ["allOf", "anyOf", "oneOf", "dependentSchemas"]) waiting.push(...schemasIn(next[member]));
    }
    return parts;
  }

  /** A JSON Pointer into the same schema (RFC 6901 §6); other references are not followed. */
  #resolve(reference: JsonValue | undefined): JsonValue {
    if (typeof reference !== "string" || !/^#(?:\/|$)/.test(reference)) return null;
    let node: JsonValue = this.#root;
    for (const part of reference.split("/").slice(1)) {
      const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
      if (typeof node !== "object" || node === null || !Object.hasOwn(node, name)) return null;
      node = (node as JsonObject)[name] ?? null;
    }
    return node;
  }
}

function shapeOf(parts: Iterable<JsonObject>): Shape {
  const properties = new Map<string, JsonValue[]>();
  const others: JsonValue[] = [];
  const items: JsonValue[] = [];
  for (const part of parts) {
    for (const [name, schema] of Object.entries(isObject(part["properties"]) ? part["properties"] : {})) {
      const schemas = properties.get(name);
      if (schemas === undefined) properties.set(name, [schema]);
      else schemas.push(schema);
    }
    others.push(...[part["additionalProperties"], ...schemasIn(part["patternProperties"])].filter(isObject));
    items.push(...schemasIn(part["items"], true), ...schemasIn(part["prefixItems"]));
  }
  return { properties, folded: new Set(Array.from(properties.keys(), foldName)), others, items };
}

/** The schemas of a member: one, a list, or several by name. */
function schemasIn(value: JsonValue | undefined, isOne = false): Schemas {
  if (Array.isArray(value)) return value as Schemas;
  if (!isObject(value)) return [];
  return isOne ? [value] : Object.values(value);
}
