// Threat model: B45. Whatever one definition is, the official clients read the list of the others.
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { Client as ClientV2 } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createEntryReader } from "../../src/broker/catalog/definitions.ts";
import { LISTS, type ListKind } from "../../src/mcp/lists.ts";
import { createOutputSchemas } from "../../src/broker/catalog/output-schemas.ts";
import { emptyStats } from "../../src/broker/catalog/remarks.ts";
import { createResolver } from "../../src/mcp/resolver.ts";
import { createRandom, oddDefinition } from "../fakes/odd-definitions.ts";

/** The same definitions in each run; `ODD_SEED=N` makes others. */
const SEED = Number(process.env["ODD_SEED"] ?? 20_261_130);
const KINDS = Object.keys(LISTS) as ListKind[];
const GOOD: Readonly<Record<ListKind, readonly object[]>> = {
  tools: ["first", "last"].map((name) => ({
    name,
    inputSchema: { type: "object" },
    outputSchema: { type: "object", $defs: { x: {} }, properties: { a: { $ref: "#/$defs/x" } } },
  })),
  prompts: [{ name: "first" }, { name: "last" }],
  resources: [
    { uri: "docs://first", name: "first" },
    { uri: "docs://last", name: "last" },
  ],
  templates: [
    { uriTemplate: "docs://first/{a}", name: "first" },
    { uriTemplate: "docs://last/{a}", name: "last" },
  ],
};

const outputSchemas = createOutputSchemas();
afterAll(() => outputSchemas.close());

/** What the broker shows of one definition, on its server's endpoint and on the merged one; nothing if it is left out. */
async function shownOf(kind: ListKind, definition: object): Promise<string[]> {
  const budget = { names: Infinity, definitions: Infinity };
  const names = createResolver({ s: "s_" }).namesOf("s");
  const reader = createEntryReader(kind, { room: 1, names, isOffered: () => true, stats: emptyStats(), budget });
  reader.take(Buffer.from(JSON.stringify(definition)));
  await reader.checkOutputSchemas(outputSchemas.compile);
  return reader.entries().flatMap(({ json, merged }) => (merged === null ? [json] : [json, merged]));
}

/** The list that the next request of a client gets, as JSON of its items. */
let next: readonly string[] = [];

const ALL = { tools: {}, prompts: {}, resources: {} };
const SERVER = { name: "s", version: "1" };

function resultOf(method: string, protocolVersion: string): string {
  if (method === "initialize") return JSON.stringify({ protocolVersion, capabilities: ALL, serverInfo: SERVER });
  const cache = `"resultType":"complete","ttlMs":0,"cacheScope":"private"`;
  if (method === "server/discover")
    return `{${cache},"supportedVersions":["${protocolVersion}"],"capabilities":${JSON.stringify(ALL)},"serverInfo":${JSON.stringify(SERVER)}}`;
  const member = Object.values(LISTS).find((list) => list.method === method)?.member ?? "none";
  return `{${cache},"${member}":[${next.join()}]}`;
}

interface Message {
  readonly id?: unknown;
  readonly method?: string;
}

/** A connection to nothing but {@link next}. */
function loop(version: string) {
  const connection = {
    onmessage: null as ((message: never) => void) | null,
    start: () => Promise.resolve(),
    close: () => Promise.resolve(),
    send({ id, method }: Message) {
      if (id === undefined || method === undefined) return Promise.resolve();
      const text = `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${resultOf(method, version)}}`;
      queueMicrotask(() => connection.onmessage?.(JSON.parse(text) as never));
      return Promise.resolve();
    },
  };
  return connection as never;
}

type Lists = Readonly<Record<ListKind, () => Promise<{ readonly [member: string]: unknown }>>>;
const listsOf = (client: ClientV1 | ClientV2): Lists => ({
  tools: () => client.listTools(),
  prompts: () => client.listPrompts(),
  resources: () => client.listResources(),
  templates: () => client.listResourceTemplates(),
});
const clients: Record<string, Lists> = {};

beforeAll(async () => {
  const v1 = new ClientV1(SERVER);
  await v1.connect(loop("2025-11-25"));
  const old = new ClientV2(SERVER, { versionNegotiation: { mode: "legacy" } });
  await old.connect(loop("2025-11-25"));
  const modern = new ClientV2(SERVER, { versionNegotiation: { mode: { pin: "2026-07-28" } } });
  await modern.connect(loop("2026-07-28"));
  Object.assign(clients, {
    "1.32": listsOf(v1),
    "2.4 (2025-11-25)": listsOf(old),
    "2.4 (2026-07-28)": listsOf(modern),
  });
});

/** What the clients say of a list with these entries between two good ones; empty if each reads all of it. */
async function complaints(kind: ListKind, shown: readonly string[]): Promise<string[]> {
  const [first, last] = GOOD[kind].map((entry) => JSON.stringify(entry));
  const faults: string[] = [];
  for (const entry of shown.length === 0 ? [null] : shown) {
    next = [first, entry, last].filter((text) => typeof text === "string");
    for (const [client, lists] of Object.entries(clients)) {
      const fault = await lists[kind]().then(({ [LISTS[kind].member]: list }) => faultOf(list), String);
      if (fault !== null) faults.push(`${client}: ${fault}`);
    }
  }
  return faults;
}

function faultOf(list: unknown): string | null {
  return (list as unknown[]).length === next.length ? null : "a part of the list";
}

it.each(KINDS)(
  "the others' list is read whole by the official clients, whatever a definition is: %s",
  async (kind) => {
    const random = createRandom(SEED + KINDS.indexOf(kind));
    let shown = 0;
    for (let i = 0; i < 600; i += 1) {
      const definition = oddDefinition(kind, random);
      const entries = await shownOf(kind, definition);
      if (entries.length > 0) shown += 1;
      const told = `ODD_SEED=${SEED}, number ${i}: ${JSON.stringify(definition).slice(0, 3000)}`;
      expect(await complaints(kind, entries), told).toEqual([]);
    }
    // Most of what can be mended is shown.
    expect(shown, `ODD_SEED=${SEED}`).toBeGreaterThan(300);
  },
  120_000,
);

it("the clients do refuse a list with such definitions as they are", async () => {
  const random = createRandom(SEED);
  let refused = 0;
  for (let i = 0; i < 100; i += 1)
    if ((await complaints("tools", [JSON.stringify(oddDefinition("tools", random))])).length > 0) refused += 1;
  expect(refused).toBeGreaterThan(30);
});
