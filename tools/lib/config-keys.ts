// The keys of the configuration, as the schema has them and as docs/configuration.md tells them: `servers.<name>.url`,
// `identity.issuers[].issuer`.

/** As much of a JSON Schema as ours has. */
export interface SchemaNode {
  description?: string;
  readonly type?: string | readonly string[];
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: boolean | SchemaNode;
  readonly required?: readonly string[];
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  minProperties?: number;
  maxProperties?: number;
}

export interface DocumentedKey {
  /** The default as the table shows it, without backquotes. */
  readonly fallback: string;
  readonly meaning: string;
}

const LISTENER = /^tls\.(?:authz|ops|broker|brokerOps)(?=\.|$)/;
const ROW = /^\| `([^`|]+)` \| ([^|]*) \| (.*) \|$/gm;
/** Shown as one key: what is below has the form of another one, or is a choice that is told in words. */
const WHOLE = [/\.discovery$/, /\.secret$/, /\.secretId$/, /\.roleId$/, /^vault\.auth\.token$/];

/** Every key that holds a value, with its nodes (several for `tls.<listener>`). */
export function schemaKeys(schema: SchemaNode): Map<string, SchemaNode[]> {
  const keys = new Map<string, SchemaNode[]>();
  const add = (path: string, node: SchemaNode) => keys.set(path, [...(keys.get(path) ?? []), node]);
  const walk = (path: string, owner: SchemaNode, node: SchemaNode) => {
    const branch = WHOLE.some((pattern) => pattern.test(path)) ? undefined : branchOf(node);
    if (branch === undefined) add(path, owner);
    else if (branch.items !== undefined) {
      if (path.endsWith(".credential")) add(path, owner); // told as a whole, too
      walk(`${path}[]`, owner, branch.items);
    } else if (typeof branch.additionalProperties === "object") {
      walk(`${path}.<name>`, owner, branch.additionalProperties);
    } else {
      for (const [name, child] of Object.entries(branch.properties ?? {})) {
        const below = path === "" ? name : `${path}.${name}`;
        walk(below.replace(LISTENER, "tls.<listener>"), child, child);
      }
    }
  };
  walk("", schema, schema);
  return keys;
}

/** The node, or the one of its alternatives, that has keys below it. */
function branchOf(node: SchemaNode): SchemaNode | undefined {
  return [node, ...(node.anyOf ?? [])].find(hasKeys);
}

function hasKeys({ properties, additionalProperties, items }: SchemaNode): boolean {
  if (items !== undefined) return branchOf(items) !== undefined;
  return Object.keys(properties ?? {}).length > 0 || typeof additionalProperties === "object";
}

/** The rows of the page's tables; a heading in backquotes is the beginning of its rows' keys. */
export function documentedKeys(markdown: string): Map<string, DocumentedKey> {
  const keys = new Map<string, DocumentedKey>();
  for (const section of markdown.split(/^## /m).slice(1)) {
    const heading = section.split("\n", 1)[0] ?? "";
    const prefix = heading === "Top level" ? "" : `${heading.replaceAll("`", "")}.`;
    for (const [, key = "", fallback = "", meaning = ""] of section.matchAll(ROW)) {
      if (keys.has(prefix + key)) throw new Error(`${prefix}${key} is documented twice`);
      keys.set(prefix + key, { fallback: fallback.replaceAll("`", "").trim(), meaning });
    }
  }
  return keys;
}
