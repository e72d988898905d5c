// Makes docs/mcp-authz.schema.json: the configuration's shape for editors, out of the code, with the words of
// docs/configuration.md. A test compares the file with it.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { configSchema } from "../../src/config/schema.ts";
import { documentedKeys, schemaKeys, type SchemaNode } from "./config-keys.ts";

const PAGE = resolve(import.meta.dirname, "../../docs/configuration.md");

export function configPage(): string {
  return readFileSync(PAGE, "utf8");
}

/** The schema as it should be. Draft 7: what the editors' YAML servers know best. */
export function configJsonSchema(): SchemaNode {
  const shape = configSchema(
    () => "",
    (path) => path,
  );
  const schema = z.toJSONSchema(shape, {
    io: "input",
    target: "draft-7",
    reused: "inline",
    override: oneKind,
  }) as SchemaNode;
  const documented = documentedKeys(configPage());
  for (const [key, nodes] of schemaKeys(schema)) {
    const meaning = documented.get(key)?.meaning;
    if (meaning !== undefined) for (const node of nodes) node.description = plain(meaning);
  }
  return { ...schema, description: "mcp-authz.yaml: see docs/configuration.md" };
}

/** A credential names exactly one kind, which the schema's transform checks and JSON Schema has words for. */
function oneKind({ jsonSchema }: { jsonSchema: object }): void {
  const node = jsonSchema as SchemaNode;
  if (node.properties?.["none"] === undefined) return;
  node.minProperties = 1;
  node.maxProperties = 1;
}

function plain(markdown: string): string {
  return markdown.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll("`", "");
}

export function configSchemaFile(): string {
  return `${JSON.stringify(configJsonSchema(), null, 2)}\n`;
}
