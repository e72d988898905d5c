// Prints the schema of the configuration twice: the tables of docs/configuration.md, and docs/mcp-authz.schema.json for editors.
import { z } from "zod";
import { configSchema } from "../../src/config/schema.ts";
import { withTable } from "./page-tables.ts";

/** As much of a JSON Schema as ours has. */
export interface SchemaNode {
  /** Markdown. */
  readonly description?: string;
  /** Words for the default where the schema has no value for it. */
  readonly unset?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: boolean | SchemaNode;
  readonly required?: readonly string[];
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
}

/** A key that holds a value, as `servers.<name>.url` or `identity.issuers[].issuer`. */
export interface Key {
  readonly path: string;
  readonly node: SchemaNode;
  readonly required: boolean;
}

/** Draft 7: what the editors' YAML servers know best. */
export const CONFIG_SCHEMA: SchemaNode = {
  ...z.toJSONSchema(
    configSchema(
      () => "",
      (path) => path,
    ),
    { io: "input", target: "draft-7", reused: "inline" },
  ),
  description: "mcp-authz.yaml: see docs/configuration.md",
} as SchemaNode;

export function configSchemaFile(): string {
  const text = JSON.stringify(
    CONFIG_SCHEMA,
    (name, value: unknown) =>
      typeof value !== "string" ? value : name === "unset" ? undefined : name === "description" ? plain(value) : value,
    2,
  );
  return `${text}\n`;
}

function plain(markdown: string): string {
  return markdown.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll("`", "");
}

/** The four listeners have the same keys: told once. */
const LISTENER = /^tls\.(?:authz|ops|broker|brokerOps)(?=\.)/;

/** Every key below a node. One that has a description is told as a whole, except where a table of the page goes on below it. */
export function keysOf(sections: readonly string[]): Key[] {
  const keys = new Map<string, Key>();
  const walk = (key: Key) => {
    const below = belowOf(key);
    if (key.node.description !== undefined || below.length === 0) keys.set(key.path, key);
    if (key.node.description === undefined || below.some(({ path }) => sections.includes(path))) below.forEach(walk);
  };
  childrenOf("", CONFIG_SCHEMA).forEach(walk);
  return [...keys.values()];
}

function belowOf({ path, node }: Key): Key[] {
  return [node, ...(node.anyOf ?? [])].flatMap((branch) => childrenOf(path, branch));
}

function childrenOf(path: string, { properties, additionalProperties, required, items }: SchemaNode): Key[] {
  const named = Object.entries(properties ?? {}).map(([name, node]) => ({
    path: (path === "" ? name : `${path}.${name}`).replace(LISTENER, "tls.<listener>"),
    node,
    required: required?.includes(name) ?? false,
  }));
  const other = [
    ...(items === undefined ? [] : [{ path: `${path}[]`, node: items }]),
    ...(typeof additionalProperties === "object" ? [{ path: `${path}.<name>`, node: additionalProperties }] : []),
  ].filter(({ node }) => belowOf({ path, node, required: false }).length > 0);
  return [...named, ...other.map((one) => ({ ...one, required: false }))];
}

const PLACE = /^<!-- keys(?: of (\S+))?: begin -->$/gm;

/** The page with its tables as the schema says. Each key stands in the table of the longest section that it begins with. */
export function withKeyTables(page: string, keys?: readonly Key[]): string {
  const sections = [...page.matchAll(PLACE)].map(([, section = ""]) => section);
  const rows = Map.groupBy(keys ?? keysOf(sections), ({ path }) =>
    sections
      .filter((section) => section === "" || path.startsWith(`${section}.`))
      .reduce((a, b) => (a.length > b.length ? a : b)),
  );
  return sections.reduce((text, section) => {
    const lines = (rows.get(section) ?? []).map((key) => row(key, section));
    const table = ["| key | default | meaning |", "|---|---|---|", ...lines].join("\n");
    return withTable(text, section === "" ? "keys" : `keys of ${section}`, table);
  }, page);
}

function row({ path, node, required }: Key, section: string): string {
  if (node.description === undefined) throw new Error(`${path} has no description in src/config/schema`);
  const key = section === "" ? path : path.slice(section.length + 1);
  return `| \`${key}\` | ${defaultOf(node, required)} | ${node.description} |`;
}

function defaultOf({ unset, default: value }: SchemaNode, required: boolean): string {
  if (unset !== undefined) return unset;
  if (value === undefined || value === null) return required ? "required" : "none";
  return `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;
}
