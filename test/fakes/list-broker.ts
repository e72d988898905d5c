// A broker in this process: real lists, real wristbands, and the keys in the test's hand.
import { createPublicKey, type KeyObject } from "node:crypto";
import { request as send } from "node:http";
import type { Identity, Visible } from "../../src/authz/types.ts";
import { refuse } from "../../src/authz/step.ts";
import { Secret } from "../../src/secret/secret.ts";
import { endpointTable } from "../../src/authz/endpoint.ts";
import { createBroker, type Broker } from "../../src/broker/server.ts";
import { createCatalog, type Catalog } from "../../src/broker/catalog/snapshot.ts";
import { createEntryReader } from "../../src/broker/catalog/definitions.ts";
import type { ListKind } from "../../src/broker/catalog/kinds.ts";
import { createHeldBytes } from "../../src/broker/held-bytes.ts";
import type { Listing } from "../../src/broker/catalog/listing.ts";
import { createUpstreams } from "../../src/broker/upstream/upstream.ts";
import { createResolver } from "../../src/mcp/resolver.ts";
import { createSigner } from "../../src/wristband/sign.ts";
import { createVerifier, type FindKey } from "../../src/wristband/verify.ts";
import { makeKey, type TestKey } from "./issuer.ts";

export const WRISTBAND = { issuer: "https://gw.example.com", audience: "mcp-broker" };
export type Offered = Partial<Record<ListKind, readonly object[]>>;

export const tool = (name: string, more: object = {}) => ({ name, inputSchema: { type: "object" }, ...more });
export const NOTHING: Visible = { tools: {}, prompts: {}, resources: {} };

export function listingOf(server: string, offered: Offered): Listing {
  const stats = { dropped: {}, cleaned: 0 };
  const publicName = (name: string) => `${server}_${name}`;
  const budget = { names: Infinity, definitions: Infinity };
  const use = (kind: ListKind) => {
    const reader = createEntryReader(kind, { room: 1000, publicName, stats, budget });
    for (const item of offered[kind] ?? []) reader.take(Buffer.from(JSON.stringify(item)));
    return reader.entries();
  };
  const offers = {
    tools: offered.tools !== undefined,
    prompts: offered.prompts !== undefined,
    resources: (offered.resources ?? offered.templates) !== undefined,
  };
  const [tools, prompts, resources, templates] = (["tools", "prompts", "resources", "templates"] as const).map(use);
  return {
    tools: tools ?? [],
    prompts: prompts ?? [],
    resources: resources ?? [],
    templates: templates ?? [],
    offers,
    stats,
  };
}

export interface TestBroker {
  readonly port: number;
  readonly catalog: Catalog;
  readonly key: TestKey;
  /** Every key that the broker knows. */
  readonly known: Map<string, TestKey>;
  readonly observed: string[];
  wristband(who: string, visible: Visible, key?: TestKey): string;
  close(): Promise<void>;
}

export async function startTestBroker(servers: Readonly<Record<string, Offered>>): Promise<TestBroker> {
  const names = Object.keys(servers);
  const key = makeKey("k1");
  const known = new Map([[key.kid, key]]);
  const catalog = createCatalog({
    servers: new Map(Object.entries(servers).map(([name, offered]) => [name, async () => listingOf(name, offered)])),
    monotonic: () => performance.now(),
    onListed: () => {},
  });
  await catalog.start();
  const observed: string[] = [];
  const verify = createVerifier({ ...WRISTBAND, findKey: publicKeysOf(known), now: Date.now });
  const broker: Broker = createBroker({
    address: { kind: "tcp", host: "127.0.0.1", port: 0 },
    tls: null,
    endpoints: endpointTable(
      WRISTBAND.issuer,
      [],
      Object.fromEntries(names.map((name) => [name, { allowQuery: false }])),
    ).paths,
    answers: { publicOrigin: WRISTBAND.issuer, scopes: [], denial: "jsonrpc" },
    wristbandHeader: "x-authorized-tools",
    maxBodyBytes: 256 * 1024,
    verify: async (jws) => verify(jws),
    view: (server, wristband) => ({
      snapshot: catalog.current(),
      offers: server === null ? null : catalog.offers(server),
      server,
      wristband,
      now: Date.now(),
    }),
    calls: { resolver: createResolver({}), upstreams: createUpstreams(new Map()) },
    held: createHeldBytes({ perCaller: 32 * 1024 * 1024, total: 128 * 1024 * 1024 }),
    relay: { carry: () => Promise.resolve(refuse("upstream_unavailable")), endAll: () => Promise.resolve() },
    observe: (method, reason) => observed.push(`${method ?? "?"} ${reason ?? "ok"}`),
  });
  const port = await broker.listen();
  return {
    port,
    catalog,
    key,
    known,
    observed,
    wristband: (who, visible, signedBy = key) => wristbandOf(who, visible, signedBy),
    async close() {
      catalog.close();
      await broker.close(0);
    },
  };
}

/** Their public halves, made once: the broker compares them by identity. */
function publicKeysOf(known: ReadonlyMap<string, TestKey>): FindKey {
  const publicKeys = new Map<TestKey, KeyObject>();
  return (kid) => {
    const found = known.get(kid);
    if (found === undefined) return undefined;
    const made = publicKeys.get(found) ?? createPublicKey({ key: found.jwk as never, format: "jwk" });
    publicKeys.set(found, made);
    return made;
  };
}

function wristbandOf(who: string, visible: Visible, { kid, privateKey }: TestKey): string {
  const keys = () => [{ kid, privateKey, jwk: {} }];
  const step = createSigner({ ...WRISTBAND, ttlSeconds: 300, keys, now: Date.now })(identityOf(who), visible, {
    use: "list",
    merged: false,
  });
  if (!step.ok) throw new Error(step.reason);
  return step.value.jws;
}

function identityOf(subject: string): Identity {
  return {
    issuer: "https://idp.example.com",
    subject,
    username: subject,
    groups: [],
    scopes: [],
    actors: [],
    claims: {},
    expiresAt: Math.floor(Date.now() / 1000) + 3600,
    token: new Secret("token"),
  };
}

export interface BrokerReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly message: {
    id?: unknown;
    result?: Record<string, unknown>;
    error?: { code: number; data: { reason: string } };
  };
}

export interface Asked {
  readonly path?: string;
  /** Each text is one header line. */
  readonly wristbands?: readonly string[];
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly http?: string;
}

/** One request to the broker, as Envoy hands it on. */
export function ask(broker: TestBroker, body: string, asked: Asked = {}): Promise<BrokerReply> {
  return new Promise((done, fail) => {
    const request = send(
      {
        host: "127.0.0.1",
        port: broker.port,
        method: asked.http ?? "POST",
        path: asked.path ?? "/mcp",
        agent: false,
        headers: {
          "content-type": "application/json",
          ...(asked.wristbands && { "x-authorized-tools": [...asked.wristbands] }),
          ...asked.headers,
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          const message = (text.startsWith("{") ? JSON.parse(text) : {}) as BrokerReply["message"];
          done({ status: response.statusCode ?? 0, headers: response.headers, text, message });
        });
      },
    );
    request.on("error", fail);
    request.end(asked.http === "GET" ? undefined : body);
  });
}

/** A message of the older revisions. */
export const legacyBody = (method: string, params: object = {}, id: unknown = 1) =>
  JSON.stringify({ jsonrpc: "2.0", id, method, params });

const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};

/** A message of the stateless revision; it needs {@link modernHeaders}. */
export const modernBody = (method: string, params: object = {}) =>
  JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { ...params, _meta: META } });

export const modernHeaders = (method: string, name?: string) => ({
  "mcp-protocol-version": "2026-07-28",
  "mcp-method": method,
  ...(name !== undefined && { "mcp-name": name }),
});
