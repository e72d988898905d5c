import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../json/types.ts";
import { readJson } from "../../json/strict-reader.ts";
import type { ListKind } from "../../mcp/lists.ts";
import { repair } from "./repair.ts";

/** The definition as it is shown: a string for JSON as a server wrote it. */
function shown(kind: ListKind, members: object | string) {
  const text = typeof members === "string" ? members : JSON.stringify(members);
  const read = readJson(Buffer.from(text), { maxDepth: 64, maxMembers: 1000, verbatim: true });
  const repaired = read.ok ? repair(kind, read.value as JsonObject) : null;
  return repaired === null ? null : { json: JSON.stringify(repaired.entry), changes: repaired.changes };
}
const inputSchema = { type: "object" };
const tool = (more: object) => ({ name: "t", inputSchema, ...more });
const resource = (more: object) => ({ uri: "docs://a", name: "r", ...more });

describe("B45: an optional member of another type goes, the entry stays", () => {
  const wrong: [ListKind, string, unknown[], object?][] = [
    ["tools", "description", [null, 1, ["a"], {}]],
    ["tools", "title", [null, 1]],
    ["tools", "annotations", [null, [], "x", 1]],
    ["tools", "execution", [null, [], "required"]],
    ["tools", "icons", [null, {}, "x", [1], [{}], [{ src: 1 }], [null]]],
    ["tools", "_meta", [null, [], "x"]],
    ["tools", "meta", ["x", [], 1]],
    ["tools", "output_schema", [1, "x"]],
    ["prompts", "arguments", [null, {}]],
    ["prompts", "icons", [[{ mimeType: "image/png" }]]],
    ["resources", "mimeType", [1, null]],
    ["resources", "mime_type", [1]],
    ["resources", "size", ["12", 1.5, null, 2 ** 53]],
    ["resources", "annotations", [null, [], "x"]],
    ["templates", "annotations", [1]],
    ["templates", "_meta", [1]],
  ];
  it.each(wrong)("%s %s", (kind, member, values) => {
    const base = kind === "tools" ? tool({}) : { uri: "docs://a", uriTemplate: "docs://{a}", name: "n" };
    for (const value of values) {
      expect(shown(kind, { ...base, [member]: value })).toEqual({ json: JSON.stringify(base), changes: ["member"] });
    }
  });

  it.each<[ListKind, object, object]>([
    ["tools", { annotations: { readOnlyHint: "yes", title: "T", x: 1 } }, { annotations: { title: "T", x: 1 } }],
    ["tools", { annotations: { read_only_hint: {}, openWorldHint: null } }, { annotations: {} }],
    ["tools", { execution: { taskSupport: "sometimes" } }, { execution: {} }],
    ["tools", { icons: [{ src: "a", sizes: "48x48", theme: "blue" }, {}] }, { icons: [{ src: "a" }] }],
    ["tools", { icons: [] }, { icons: [] }],
    [
      "resources",
      { annotations: { audience: ["user", "admin"], priority: 2 } },
      { annotations: { audience: ["user"] } },
    ],
    ["resources", { annotations: { audience: ["admin"] } }, { annotations: {} }],
    ["resources", { annotations: { lastModified: "2025-01-12" } }, { annotations: {} }],
    ["resources", { annotations: { lastModified: "2025-02-30T10:00:00Z" } }, { annotations: {} }],
    ["prompts", { arguments: [{ name: "a", required: "yes", description: null }] }, { arguments: [{ name: "a" }] }],
  ])("%s: of %j stays what is right", (kind, more, rest) => {
    const base = kind === "tools" ? tool({}) : resource({});
    expect(JSON.parse(shown(kind, { ...base, ...more })?.json ?? "")).toEqual({ ...base, ...rest });
  });

  it.each([
    ['{"uri":"a","name":"r","size":12.0}', '{"uri":"a","name":"r","size":12}'],
    ['{"uri":"a","name":"r","size":1e3}', '{"uri":"a","name":"r","size":1000}'],
    [
      '{"uri":"a","name":"r","annotations":{"priority":0.50,"lastModified":"2025-01-12T15:00:58+01:00"}}',
      '{"uri":"a","name":"r","annotations":{"priority":0.50,"lastModified":"2025-01-12T15:00:58+01:00"}}',
    ],
    ['{"uri":"a","name":"r","annotations":{"priority":9.0}}', '{"uri":"a","name":"r","annotations":{}}'],
  ])("numbers as they are spelt: %s", (text, json) => expect(shown("resources", text)?.json).toBe(json));
});

describe("schemas", () => {
  it.each<[object, object]>([
    [{}, { type: "object" }],
    [{ properties: { a: {} } }, { properties: { a: {} }, type: "object" }],
    [
      { ...inputSchema, properties: [] },
      { ...inputSchema, properties: {} },
    ],
    [{ ...inputSchema, properties: null }, inputSchema],
    [
      { ...inputSchema, properties: { a: true, b: false, c: null, d: "string", e: [] } },
      { ...inputSchema, properties: { a: {}, b: { not: {} }, c: {}, d: {}, e: {} } },
    ],
    [{ ...inputSchema, required: true }, inputSchema],
    [
      { ...inputSchema, required: ["a", 1] },
      { ...inputSchema, required: ["a"] },
    ],
    [{ ...inputSchema, $schema: 7 }, inputSchema],
  ])("arguments' %j", (schema, mended) =>
    expect(shown("tools", tool({ inputSchema: schema }))).toEqual({
      json: JSON.stringify(tool({ inputSchema: mended })),
      changes: ["input_schema"],
    }),
  );

  it.each([null, [], "x", { type: "string" }, {}, { type: ["object", "null"] }, { type: "object", properties: [1] }])(
    "an outputSchema that is none of an object goes, the tool stays: %j",
    (outputSchema) =>
      expect(shown("tools", tool({ outputSchema }))).toEqual({
        json: JSON.stringify(tool({})),
        changes: ["output_schema"],
      }),
  );

  it("what is right comes out as the same object", () => {
    const entry = tool({
      title: "T",
      outputSchema: { ...inputSchema, properties: { a: { type: "string" } }, required: [] },
      annotations: { readOnlyHint: true, x: [null] },
      icons: [{ src: "https://x/i.png", sizes: ["any"], theme: "dark" }],
      execution: { taskSupport: "optional" },
      _meta: { a: 1 },
      meta: { a: 1 },
      tomorrow: { title: 1 },
    });
    expect(repair("tools", entry)).toEqual({ entry, changes: [] });
    expect(repair("tools", entry)?.entry).toBe(entry);
  });
});
