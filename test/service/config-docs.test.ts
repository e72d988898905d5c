// docs/configuration.md and docs/mcp-authz.schema.json are printed from the schema in src/config/schema, and nothing is left out.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { configSchemaFile, keysOf, withKeyTables } from "../../tools/lib/config.ts";

const root = resolve(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/configuration.md"), "utf8");
const sections = [...page.matchAll(/^<!-- keys of (\S+): begin -->$/gm)].map(([, name = ""]) => name);
const keys = keysOf(sections);

describe("the page", () => {
  it("has the tables of the schema: npm run docs", () => expect(withKeyTables(page)).toBe(page));

  it("has a row for every key, and no other", () => {
    const rows = [...page.matchAll(/^## `?([^`\n]*)`?$|^\| `([^`|]+)` \| [^|]+ \| .* \|$/gm)];
    let section = "";
    const told = rows.flatMap(([, heading, key]) => {
      if (heading !== undefined) section = heading === "Top level" ? "" : `${heading}.`;
      return key === undefined ? [] : [section + key];
    });
    expect(told.toSorted()).toEqual(keys.map(({ path }) => path).toSorted());
  });

  it("fails where a key has no words", () => {
    const named = { path: "listen.authz", node: { default: "x" }, required: true };
    expect(() => withKeyTables(page, [named])).toThrow("listen.authz has no description");
  });
});

it("words for a default stand only where the schema has no value for it", () => {
  for (const { path, node } of keys) if (node.unset !== undefined) expect(node.default ?? null, path).toBeNull();
});

describe("the schema for editors", () => {
  const file = JSON.parse(readFileSync(join(root, "docs/mcp-authz.schema.json"), "utf8")) as Parameters<
    typeof z.fromJSONSchema
  >[0];
  const check = (yaml: string) => z.fromJSONSchema(file).safeParse(parse(yaml)).success;
  const smallest = /The smallest file:\n\n```yaml\n([^`]*)```/.exec(page)?.[1] ?? "";

  it("is the one of the code: npm run docs", () => {
    expect(readFileSync(join(root, "docs/mcp-authz.schema.json"), "utf8")).toBe(configSchemaFile());
  });

  it("has words for every key", () => {
    expect(keys.length).toBeGreaterThan(100);
    for (const { path, node } of keys) expect(node.description, path).toMatch(/\w/);
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
