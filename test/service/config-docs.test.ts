// docs/configuration.md, docs/mcp-authz.schema.json and the code tell the same keys, with the same defaults.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { configJsonSchema, configPage, configSchemaFile } from "../../tools/lib/config-schema.ts";
import { documentedKeys, schemaKeys } from "../../tools/lib/config-keys.ts";

const root = resolve(import.meta.dirname, "../..");
const schema = configJsonSchema();
const coded = schemaKeys(schema);
const documented = documentedKeys(configPage());

describe("the page", () => {
  it("tells every key of the code, and no other", () => {
    expect([...documented.keys()].toSorted()).toEqual([...coded.keys()].toSorted());
  });

  it.each([...coded])("%s: the default is the code's", (key, nodes) => {
    const fallback = documented.get(key)?.fallback ?? "";
    for (const { default: value } of nodes) {
      if (value === undefined || value === null) expect(fallback).not.toMatch(/^(?:\[|\{"|true$|false$)/);
      else if (typeof value === "object") expect(parse(fallback)).toEqual(value);
      else expect(fallback).toBe(String(value));
    }
  });
});

describe("the schema for editors", () => {
  const file = JSON.parse(readFileSync(join(root, "docs/mcp-authz.schema.json"), "utf8")) as Parameters<
    typeof z.fromJSONSchema
  >[0];
  const check = (yaml: string) => z.fromJSONSchema(file).safeParse(parse(yaml)).success;
  const smallest = /The smallest file:\n\n```yaml\n([^`]*)```/.exec(configPage())?.[1] ?? "";

  it("is the one of the code: npm run docs", () => {
    expect(readFileSync(join(root, "docs/mcp-authz.schema.json"), "utf8")).toBe(configSchemaFile());
  });

  it("has words for every key", () => {
    for (const [key, nodes] of coded) for (const node of nodes) expect(node.description, key).toMatch(/\w/);
  });

  it("takes the page's smallest file, and not a typo, a missing key or two kinds of credential in one", () => {
    expect(check(smallest)).toBe(true);
    expect(check(`${smallest}polcy: {}\n`)).toBe(false);
    expect(check(smallest.replace(/^publicOrigin.*\n/m, ""))).toBe(false);
    expect(check(smallest.replace("static: {file: secrets/github}", "static: {file: s}\n        none: {}"))).toBe(
      false,
    );
  });
});
