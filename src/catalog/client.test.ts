import { gzipSync } from "node:zlib";
import type { ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startFakeServer, type FakeServer } from "../../test/fakes/mcp-server.ts";
import { createHttpClient } from "../http/client.ts";
import { createCatalogClient, type CatalogClient, type CatalogClientOptions } from "./client.ts";
import { readCatalog, type CatalogNames } from "./schema.ts";

const one = (tools: string[] = ["x"]) => ({ servers: { a: { tools, prompts: ["p"], resources: ["docs://{id}"] } } });

let broker: FakeServer;
let client: CatalogClient;
let now: number;
let tokens: number;
let changes: (CatalogNames | null)[];
let faults: (string | null)[];

beforeEach(async () => {
  broker = await startFakeServer(() => undefined);
  now = 0;
  tokens = 0;
  changes = [];
  faults = [];
  client = createCatalogClient({
    http: createHttpClient({ origin: broker.origin, ca: null }),
    path: "/catalog",
    token: () => `token-${(tokens += 1)}`,
    servers: new Set(["a", "b"]),
    maxNameBytes: 64 * 1024,
    onChange: (read) => changes.push(read?.catalog ?? null),
    onFault: (error) => faults.push(error),
    onFetched: () => {},
    kept: null,
    monotonic: () => now,
  });
});
afterEach(async () => {
  client.close();
  await broker.close();
});

function serves(value: unknown, etag = '"e1"'): void {
  broker.respond = ({ headers }, response) => {
    if (headers["if-none-match"] === etag) response.writeHead(304).end();
    else response.writeHead(200, { etag }).end(JSON.stringify(value));
  };
}

it("a catalogue is taken once, and confirmed after that", async () => {
  serves(one());
  for (let i = 0; i < 3; i += 1) await client.poll();
  expect(changes).toEqual([one()]);
  expect(faults).toEqual([null]);
  expect(broker.requests.map(({ headers }) => [headers.authorization, headers["if-none-match"]])).toEqual([
    ["Bearer token-1", undefined],
    ["Bearer token-2", '"e1"'],
    ["Bearer token-3", '"e1"'],
  ]);
  expect(client.state()).toEqual({
    ageSeconds: 0,
    names: { tools: 1, prompts: 1, resources: 1 },
    error: null,
    leftOut: {},
  });
  serves(one(["x", "y"]), '"e2"');
  await client.poll();
  expect(changes.at(-1)).toEqual(one(["x", "y"]));
});

it("F1: what a thread fetched serves the next one, no fresher than it is", async () => {
  const options = (kept: CatalogClientOptions["kept"]): CatalogClientOptions => ({
    http: createHttpClient({ origin: broker.origin, ca: null }),
    ...{
      path: "/catalog",
      token: () => "t",
      servers: new Set(["a", "b"]),
      maxNameBytes: 65_536,
      kept,
      monotonic: () => 0,
    },
    ...{ onFault: () => {}, onChange: (read) => changes.push(read?.catalog ?? null) },
    onFetched: (bytes, tag) => told.push([bytes?.toString() ?? null, tag]),
  });
  const told: [string | null, string][] = [];
  serves(one());
  const first = createCatalogClient(options(null));
  for (let i = 0; i < 2; i += 1) await first.poll();
  first.close();
  expect(told).toEqual([
    [JSON.stringify(one()), '"e1"'],
    [null, '"e1"'],
  ]);
  const bytes = Buffer.from(JSON.stringify(one()));
  const next = createCatalogClient(options({ bytes, tag: '"e1"', ageMs: 5000 }));
  await next.restored;
  expect([changes, next.state().ageSeconds]).toEqual([[one(), one()], 5]);
  await next.poll();
  expect(broker.requests.at(-1)?.headers["if-none-match"]).toBe('"e1"');
  next.close();
  for (const kept of [
    { bytes, tag: "", ageMs: 3600_000 },
    { bytes: Buffer.from("{}"), tag: "", ageMs: 0 },
  ]) {
    const unread = createCatalogClient(options(kept));
    await unread.restored;
    expect(unread.state().ageSeconds).toBeNull();
  }
});

it("of servers that are not configured here nothing is taken", async () => {
  serves({ servers: { ...one().servers, stranger: { tools: ["admin"], prompts: [], resources: [] } } });
  await client.poll();
  expect(changes).toEqual([one()]);
});

describe("what is no catalogue leaves the last one where it is", () => {
  const answer = (text: string) => (response: ServerResponse) => response.writeHead(200, { etag: '"e2"' }).end(text);
  const rows: [string, string, (response: ServerResponse) => unknown][] = [
    ["401", "status_401", (response) => response.writeHead(401).end()],
    ["503", "status_503", (response) => response.writeHead(503).end()],
    ["a redirect", "status_302", (response) => response.writeHead(302, { location: "/other" }).end()],
    ["HTML", "malformed", answer("<html>")],
    ["a list", "malformed", answer("[]")],
    ["another member", "malformed", answer('{"servers":{},"policy":"x"}')],
    ["a server twice", "malformed", answer('{"servers":{"a":{},"a":{}}}')],
    [
      "compressed",
      "encoded",
      (response) => response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync("{}")),
    ],
    ["an object for the servers", "malformed", answer('{"servers":[]}')],
    ["8 MiB and more", "too_large", answer(" ".repeat(8 * 1024 * 1024 + 1))],
    [
      "cut off",
      "cut_off",
      (response) => response.writeHead(200, { "content-length": 100 }).write("{", () => response.destroy()),
    ],
  ];

  it.each(rows)("%s", async (_, word, respond) => {
    serves(one());
    await client.poll();
    broker.respond = (_request, response) => void respond(response);
    await client.poll();
    expect([changes, faults]).toEqual([[one()], [null, word]]);
    expect(client.state()).toMatchObject({ names: { tools: 1 }, error: word });
    serves(one(["z"]), '"e3"');
    await client.poll();
    expect([changes.at(-1), faults.at(-1)]).toEqual([one(["z"]), null]);
  });

  it("1,000 names of a kind are taken", async () => {
    const tools = Array.from({ length: 1000 }, (_, i) => `t${i}`);
    serves(one(tools));
    await client.poll();
    expect(client.state().names.tools).toBe(1000);
  });
});

describe("F5: the part of one server that cannot be taken costs that server alone", () => {
  const tools = (list: unknown) => ({ tools: list, prompts: [], resources: [] });
  const rows: [string, string, unknown][] = [
    ["without a list", "malformed", { tools: [], prompts: [] }],
    ["with another member", "malformed", { ...tools([]), admin: true }],
    ["no object", "malformed", "x"],
    ["B15: a name beyond the ordinary", "malformed", tools(["dеlete"])],
    ["an empty name", "malformed", tools([""])],
    ["129 letters", "malformed", tools(["x".repeat(129)])],
    ["no text", "malformed", tools([1])],
    ["an object as a name", "malformed", tools([{ name: "x" }])],
    ["1,001 names", "malformed", tools(Array.from({ length: 1001 }, (_, i) => `t${i}`))],
    ["a URI of 2,049", "malformed", { tools: [], prompts: [], resources: ["x".repeat(2049)] }],
    ["more bytes than its budget", "too_large", tools(Array.from({ length: 900 }, (_, i) => `t${i}`.padEnd(100, "x")))],
    ["more bytes than all may have", "too_large", tools(["x".repeat(7 * 1024 * 1024)])],
  ];

  it.each(rows)("%s", async (_, word, part) => {
    serves({ servers: { b: part, ...one().servers } });
    await client.poll();
    expect([changes, faults]).toEqual([[one()], ["left_out: b"]]);
    expect(client.state()).toMatchObject({ names: { tools: 1 }, leftOut: { b: word }, ageSeconds: 0 });
    serves({ servers: { ...one().servers, b: tools(["z"]) } }, '"e2"');
    await client.poll();
    expect([Object.keys(changes.at(-1)?.servers ?? {}), faults.at(-1)]).toEqual([["a", "b"], null]);
  });

  it("a large catalogue is read in slices", async () => {
    const list = Array.from({ length: 1000 }, (_, i) => `t${i}`.padEnd(60, "x"));
    const names = Array.from({ length: 40 }, (_, i) => `s${i}`);
    const bytes = Buffer.from(
      JSON.stringify({ servers: Object.fromEntries(names.map((name) => [name, tools(list)])) }),
    );
    let turns = 0;
    const count = () => void ((turns += 1), setImmediate(count).unref());
    count();
    expect(Object.keys((await readCatalog(bytes, new Set(), 65_536))?.catalog.servers ?? { x: 1 })).toEqual([]);
    expect(turns).toBeGreaterThan(bytes.length / (64 * 1024));
  });

  describe("N-03: tools of direct servers that say arguments in headers", () => {
    const part = (mirrors: unknown) => ({ servers: { a: { ...one(["x", "y"]).servers.a, mirrors } } });
    const read = (value: unknown) => readCatalog(Buffer.from(JSON.stringify(value)), new Set(["a"]), 65_536);

    it.each<[unknown, readonly string[] | undefined]>([
      [[1], ["y"]],
      [
        [0, 1],
        ["x", "y"],
      ],
      [[], undefined],
    ])("%j: they are known by their places, and policy sees the names alone", async (mirrors, expected) => {
      const { catalog, mirroring } = (await read(part(mirrors)))!;
      expect([catalog, mirroring.get("a")]).toEqual([
        one(["x", "y"]),
        expected === undefined ? undefined : new Set(expected),
      ]);
    });

    it.each([[[2]], [[-1]], [[0.5]], [["x"]], ["x"], [{}], [null]])(
      "%j means nothing, and the server is left out",
      async (mirrors) => {
        const { catalog, mirroring, leftOut } = (await read(part(mirrors)))!;
        expect([catalog.servers, mirroring.size, leftOut]).toEqual([{}, 0, { a: "malformed" }]);
      },
    );
  });

  it("of a server that is not configured here nothing is even read", async () => {
    serves({ servers: { stranger: "x", ...one().servers } });
    await client.poll();
    expect([changes, faults]).toEqual([[one()], [null]]);
  });

  it("as many servers as are configured always fit, each with all that it may have", async () => {
    const names = Array.from({ length: 200 }, (_, i) => `s${i}`);
    const full = tools(Array.from({ length: 500 }, (_, i) => `t${i}`.padEnd(128, "x")));
    const many = createCatalogClient({
      http: createHttpClient({ origin: broker.origin, ca: null }),
      path: "/catalog",
      token: () => "t",
      servers: new Set(names),
      maxNameBytes: 128 * 1024,
      onChange: (read) => changes.push(read?.catalog ?? null),
      onFault: (error) => faults.push(error),
      onFetched: () => {},
      kept: null,
      monotonic: () => now,
    });
    serves({ servers: Object.fromEntries(names.map((name) => [name, full])) });
    await many.poll();
    many.close();
    expect([faults, many.state().names.tools]).toEqual([[null], 100_000]);
  });
});

it("while the broker is away the catalogue serves for ten minutes, and the fault is told once", async () => {
  serves(one());
  await client.poll();
  broker.respond = (_, response) => void response.destroy();
  for (now = 1000; now <= 600_000; now += 59_900) await client.poll();
  expect([changes.length, faults.length]).toEqual([1, 2]);
  now = 600_001;
  await client.poll();
  await client.poll();
  expect([changes, client.state().ageSeconds]).toEqual([[one(), null], null]);
  serves(one());
  await client.poll();
  expect([changes.at(-1), faults.at(-1)]).toEqual([one(), null]);
});

it("a broker that hangs is given up after two seconds, and asked once at a time", async () => {
  const first = client.poll();
  await client.poll();
  await first;
  expect([broker.requests.length, faults]).toEqual([1, ["timeout"]]);
});
