import { describe, expect, it } from "vitest";
import { hasLookalikeArgument } from "./argument-names.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";

const properties = (...names: string[]) => ({
  type: "object",
  properties: Object.fromEntries(names.map((n) => [n, {}])),
});

describe("F17: an argument that differs from the tool's own only in case", () => {
  const nested: JsonObject = {
    type: "object",
    properties: { options: properties("force"), list: { type: "array", items: properties("id") } },
  };
  const referring: JsonObject = {
    type: "object",
    properties: { item: { $ref: "#/$defs/Item" }, "a/b": { $ref: "#/$defs/with~1slash" } },
    $defs: {
      Item: { type: "object", properties: { force: {}, child: { $ref: "#/$defs/Item" } } },
      "with/slash": { anyOf: [{ type: "null" }, properties("force")] },
    },
  };
  it.each<[string, JsonValue, JsonObject]>([
    ["upper case", properties("force"), { Force: true }],
    ["all capitals", properties("dryRun"), { DRYRUN: true }],
    ["lower case for the schema's capitals", properties("dryRun"), { dryrun: true }],
    ["long s", properties("force", "user"), { "u\u017fer": 1 }],
    ["Kelvin", properties("key"), { "\u212aey": 1 }],
    ["full width", properties("force"), { "\uff46orce": 1 }],
    ["beside others that are right", properties("force", "path"), { path: "a", FORCE: 1 }],
    ["in an object", nested, { options: { Force: true } }],
    ["in an array", nested, { list: [{ id: 1 }, { ID: 2 }] }],
    ["behind a reference", referring, { item: { Force: 1 } }],
    ["behind references without an end", referring, { item: { child: { child: { child: { FORCE: 1 } } } } }],
    ["behind a name with a slash", referring, { "a/b": { Force: 1 } }],
    ["in a combination", { allOf: [properties("a"), { oneOf: [properties("force")] }] }, { Force: 1 }],
    [
      "in a condition",
      JSON.parse(
        `{"if":{},"then":${JSON.stringify(properties("force"))},"else":${JSON.stringify(properties("path"))}}`,
      ) as JsonObject,
      { Path: 1 },
    ],
    ["in dependent schemas", { dependentSchemas: { a: properties("force") } }, { a: 1, Force: 1 }],
    ["in members without a name of their own", { additionalProperties: properties("force") }, { x: { Force: 1 } }],
    ["in members by pattern", { patternProperties: { "^x": properties("force") } }, { x: { Force: 1 } }],
    ["in tuples", { properties: { t: { prefixItems: [properties("force")] } } }, { t: [{ Force: 1 }] }],
  ])("%s", (_, schema, args) => expect(hasLookalikeArgument(schema, args)).toBe(true));

  it.each<[string, JsonValue | undefined, JsonObject]>([
    ["the name itself", properties("force", "dryRun"), { force: true, dryRun: false }],
    ["other names", properties("force"), { farce: true, forced: 1 }],
    ["two properties that differ in case", properties("id", "ID"), { ID: 1 }],
    ["no schema", undefined, { Force: 1 }],
    ["a schema without properties", { type: "object" }, { Force: 1 }],
    [
      "a free map below a property",
      { properties: { path: {}, env: { type: "object" } } },
      { path: "/x", env: { PATH: "/bin" } },
    ],
    [
      "odd schemas",
      { properties: { a: true, b: null, c: [1], $ref: "#/nowhere" }, allOf: 1, items: "x", $ref: "#/$defs/a" },
      { a: { A: 1 } },
    ],
    ["a reference to itself", { $ref: "#", properties: { a: { $ref: "#" } } }, { a: { a: { a: 1 } } }],
    ["references elsewhere", { $ref: "https://example.com/schema#/x" }, { Force: 1 }],
    ["a prototype's name", properties("a"), { constructor: 1, toString: { valueOf: 1 } }],
  ])("but not %s", (_, schema, args) => expect(hasLookalikeArgument(schema, args)).toBe(false));

  it("P14: large arguments against a large schema cost no product of both", () => {
    const schema = { properties: { list: { items: properties(...Array.from({ length: 2000 }, (_, i) => `p${i}`)) } } };
    const list = Array.from({ length: 3000 }, (_, i) => ({ [`p${i}`]: 1, x: 2 }));
    const from = performance.now();
    expect(hasLookalikeArgument(schema, { list })).toBe(false);
    expect(performance.now() - from).toBeLessThan(2000);
  });
});
