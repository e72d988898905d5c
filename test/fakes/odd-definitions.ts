// Definitions as sloppy and hostile servers write them: whole ones with a few members changed, by a seed.
import { LISTS, type ListKind } from "../../src/mcp/lists.ts";

/** A number from 0 up to 1; the same ones for the same seed (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const ICONS = [{ src: "https://x/i.png", mimeType: "image/png", sizes: ["48x48", "any"], theme: "light" }];
const ABOUT = { title: "T", description: "D", icons: ICONS, _meta: { "x/y": 1, ui: { resourceUri: "ui://a" } } };
const NOTES = { audience: ["user", "assistant"], priority: 0.5, lastModified: "2025-01-12T15:00:58Z" };
const SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  properties: {
    a: { type: "string", title: "A", description: "D", pattern: "^a", format: "uri", minLength: 1 },
    b: { type: "array", items: { $ref: "#/$defs/x" } },
    c: { anyOf: [{ type: "null" }, { type: "integer", minimum: 0 }], default: null },
  },
  required: ["a"],
  additionalProperties: false,
  $defs: { x: { type: "object", properties: { y: { enum: ["1", 2] } } } },
};
const HINTS = { title: "T", readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false };
const WHOLE: Readonly<Record<ListKind, object>> = {
  tools: {
    name: "odd",
    ...ABOUT,
    inputSchema: SCHEMA,
    outputSchema: SCHEMA,
    annotations: HINTS,
    execution: { taskSupport: "optional" },
  },
  prompts: { name: "odd", ...ABOUT, arguments: [{ name: "a", title: "A", description: "D", required: true }] },
  resources: { uri: "docs://odd", name: "odd", ...ABOUT, mimeType: "text/plain", size: 12, annotations: NOTES },
  templates: { uriTemplate: "docs://odd/{id}", name: "odd", ...ABOUT, mimeType: "text/plain", annotations: NOTES },
};

const VALUES: readonly unknown[] = [
  ...[null, true, false, 0, 1, -1, 1.5, 2 ** 53, 1e308, "", "x", "object", "2025-02-30", "(", "\u0000\u202e"],
  ...[
    [],
    {},
    [null],
    [[]],
    ["x", 1],
    [{}],
    { x: null },
    { type: "object" },
    { type: "string" },
    { $ref: "#/$defs/none" },
  ],
  ...[{ $ref: "http://169.254.169.254/" }, { $id: "https://x/" }, { $id: 7 }, { $async: true }, { $anchor: "a" }],
  ...[
    { pattern: "[" },
    { type: "none" },
    { required: true },
    { items: [{}] },
    { not: 7 },
    { $schema: "x" },
    { allOf: {} },
  ],
  ...[
    "x".repeat(20_000),
    Array.from({ length: 300 }, () => ({})),
    { src: 1 },
    { name: 1 },
    { __proto__: null, constructor: 1 },
  ],
];
const NAMES = [
  ...["title", "description", "icons", "_meta", "meta", "annotations", "execution", "size", "mimeType", "mime_type"],
  ...[
    "inputSchema",
    "outputSchema",
    "output_schema",
    "read_only_hint",
    "task_support",
    "arguments",
    "required",
    "type",
  ],
  ...["properties", "$schema", "schema_", "$id", "id", "$ref", "$defs", "$anchor", "$dynamicRef", "pattern", "items"],
  ...["x-mcp-header", "uri", "name", "tools", "nextCursor", "lastModified", "last_modified", "priority", "audience"],
  ...[
    "unevaluatedProperties",
    "dependentRequired",
    "patternProperties",
    "if",
    "contains",
    "multipleOf",
    "const",
    "__proto__",
  ],
];

/** A definition of the kind with one to three changes: a member away, of another type, or one more. */
export function oddDefinition(kind: ListKind, random: () => number): object {
  const one = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const entry = structuredClone(WHOLE[kind]);
  for (let changes = 1 + Math.floor(random() * 3); changes > 0; changes -= 1) {
    const place = one(objectsIn(entry));
    const isWhole = place === entry;
    // What cannot be named in a call is left out before anything else is looked at: few of those are enough.
    const members = Object.keys(place).filter((name) => !isWhole || name !== LISTS[kind].key || random() < 0.1);
    const name = random() < 0.7 && members.length > 0 ? one(members) : Array.isArray(place) ? "0" : one(NAMES);
    if (random() < 0.2) Reflect.deleteProperty(place, name);
    else Object.defineProperty(place, name, { value: structuredClone(one(VALUES)), ...PLAIN });
  }
  return entry;
}

const PLAIN = { enumerable: true, configurable: true, writable: true };

function objectsIn(value: unknown): object[] {
  if (typeof value !== "object" || value === null) return [];
  return [value, ...Object.values(value).flatMap(objectsIn)];
}
