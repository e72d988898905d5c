import { createResolver } from "../../mcp/resolver.ts";
import { createServer, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, McpServer, ResourceTemplate } from "@modelcontextprotocol/server";
import {
  modernServer,
  rpcError,
  json,
  sessionServer,
  startFakeServer,
  type FakeServer,
  type Respond,
} from "../../../test/fakes/mcp-server.ts";
import type { JsonObject } from "../../json/types.ts";
import { createSlices, type Slices } from "../../async/slices.ts";
import { Secret } from "../../secret/secret.ts";
import { createUpstreams, type UpstreamConnections } from "../upstream/upstream.ts";
import type { Remarks } from "./remarks.ts";
import { faultWord, listUpstream, type Listing, type ListingOptions } from "./listing.ts";

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

const tool = (name: string, more: object = {}) => ({ name, inputSchema: { type: "object" }, ...more });
const LISTS = {
  tools: [tool("b", { x: 1 }), tool("a")],
  prompts: [{ name: "p" }],
  resources: [{ uri: "docs://a", name: "a" }],
  resourceTemplates: [{ uriTemplate: "docs://{id}", name: "by id" }],
};
const NAMES = { tools: ["a", "b"], prompts: ["p"], resources: ["docs://a"], templates: ["docs://{id}"] };

const counted = (remarks: Remarks<string>) =>
  Object.fromEntries(Object.entries(remarks).map(([reason, remark]) => [reason, remark?.count]));

const MODERN_HEADERS = { "mcp-protocol-version": "2026-07-28" };
const LIMITS = { serverNameBytes: 64 * 1024, serverDefinitionBytes: 2 * 1024 * 1024 };

async function fake(respond: Respond): Promise<FakeServer> {
  const upstream = await startFakeServer(respond);
  opened.push(upstream);
  return upstream;
}

function connectionsTo(url: string): UpstreamConnections {
  const settings = {
    url,
    ca: null,
    timeoutMs: 5000,
    maxResponseBytes: 1e6,
    sessions: "client" as const,
    credentialHeaders: new Set<string>(),
    needsCredential: false,
  };
  const upstreams = createUpstreams(new Map([["s", settings]]));
  opened.push(upstreams);
  return upstreams.get("s")?.lists ?? expect.fail();
}

function list(origin: string, more: Partial<ListingOptions> & { path?: string } = {}): Promise<Listing> {
  const names = createResolver({ s: "s_" }).namesOf("s");
  return listUpstream({
    upstream: connectionsTo(origin + (more.path ?? "/mcp")),
    credential: null,
    timeoutMs: 5000,
    names,
    isOffered: () => true,
    limits: LIMITS,
    outputSchemas: { compile: (texts) => Promise.resolve(texts.map((text) => !text.includes("broken"))) },
    ...more,
  });
}

const faultOf = (origin: string, more: Partial<ListingOptions> = {}) =>
  list(origin, more).then(() => "listed", faultWord);
const namesOf = ({ tools, prompts, resources, templates }: Listing) =>
  Object.fromEntries(
    Object.entries({ tools, prompts, resources, templates }).map(([kind, entries]) => [
      kind,
      entries.map(({ name }) => name),
    ]),
  );

describe("servers of both eras", () => {
  it("stateless: no handshake, no session, every request carries its revision", async () => {
    const upstream = await fake(modernServer(LISTS));
    expect(namesOf(await list(upstream.origin))).toEqual(NAMES);
    const methods = ["server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list"];
    expect(upstream.requests.map(({ method }) => method)).toEqual(methods);
    for (const { headers, method, params } of upstream.requests) {
      expect(headers).toMatchObject({ "mcp-protocol-version": "2026-07-28", "mcp-method": method });
      expect(params["_meta"]).toMatchObject({ "io.modelcontextprotocol/protocolVersion": "2026-07-28" });
      expect(headers).not.toHaveProperty("mcp-session-id");
    }
  });

  it("a server that asks while it is listed gets an answer at once, and its list is read", async () => {
    let goOn = () => {};
    const answered: unknown[] = [];
    const usual = sessionServer(LISTS);
    const upstream = await fake((arrival, response) => {
      if (arrival.message !== null && "error" in arrival.message) {
        answered.push(arrival.message);
        response.writeHead(202).end();
        goOn();
        return undefined;
      }
      if (arrival.method !== "tools/list") return usual(arrival, response);
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write('data: {"jsonrpc":"2.0","id":"q","method":"roots/list"}\n\n');
      const result = { tools: LISTS.tools };
      goOn = () => void response.end(`data: ${JSON.stringify({ jsonrpc: "2.0", id: 1, result })}\n\n`);
      return undefined;
    });
    expect(namesOf(await list(upstream.origin))).toEqual(NAMES);
    expect(answered).toMatchObject([{ id: "q", error: { code: -32_601 } }]);
  });

  it("a stream that says much before its response leaves no listener behind for each part", async () => {
    const warnings: string[] = [];
    const onWarning = ({ name }: Error) => warnings.push(name);
    process.on("warning", onWarning);
    opened.push({ close: () => process.off("warning", onWarning) });
    const speak = async (response: ServerResponse) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (let i = 0; i < 20; i += 1) {
        response.write('data: {"jsonrpc":"2.0","method":"notifications/message"}\n\n');
        await delay(2);
      }
      const result = { supportedVersions: ["2026-07-28"], capabilities: {} };
      response.end(`data: ${JSON.stringify({ jsonrpc: "2.0", id: 1, result })}\n\n`);
    };
    const upstream = await fake((_, response) => void speak(response));
    expect((await list(upstream.origin)).tools).toEqual([]);
    expect(warnings).toEqual([]);
  });

  it.each(["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])(
    "with a session of %s: handshake, lists, and its end",
    async (version) => {
      const upstream = await fake(sessionServer(LISTS, version));
      expect(namesOf(await list(upstream.origin))).toEqual(NAMES);
      const [, initialize, initialized, ...rest] = upstream.requests;
      const capabilities = { elicitation: {}, sampling: {}, roots: {} };
      expect(initialize?.params).toMatchObject({ protocolVersion: "2025-11-25", capabilities });
      expect([initialize?.method, initialize?.headers["mcp-protocol-version"]]).toEqual(["initialize", undefined]);
      expect(initialized?.method).toBe("notifications/initialized");
      expect(rest.map(({ http, method }) => method || http)).toEqual([
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "DELETE",
      ]);
      for (const { headers } of [initialized, ...rest].filter((each) => each !== undefined))
        expect(headers).toMatchObject({ "mcp-session-id": "session-1", "mcp-protocol-version": version });
    },
  );

  it("a session that cannot be ended, or that ends in silence, changes nothing", async () => {
    const inner = sessionServer(LISTS);
    const upstream = await fake((request, response) =>
      request.http === "DELETE" ? void response.destroy() : inner(request, response),
    );
    expect(namesOf(await list(upstream.origin))).toEqual(NAMES);
  });

  it("an answer may come as a stream, with other things before it, that does not end", async () => {
    const inner = modernServer(LISTS);
    const upstream = await fake((request, response) => {
      const result = inner(request, response);
      if (result === undefined) return undefined;
      response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
      const event = (value: unknown) => response.write(`event: message\ndata: ${JSON.stringify(value)}\n\n`);
      // B50: what is no answer to our request is not for us.
      event({ jsonrpc: "2.0", id: 1, method: "sampling/createMessage", params: {} });
      event({ jsonrpc: "2.0", method: "notifications/message", params: {} });
      event({ jsonrpc: "2.0", id: 2, result: { tools: [tool("forged")] } });
      response.write("event: endpoint\ndata: http://evil/\n\n");
      event({ jsonrpc: "2.0", id: 1, result });
      return undefined;
    });
    expect(namesOf(await list(upstream.origin))).toEqual(NAMES);
  });

  it("the official SDK's server, with all four kinds", async () => {
    const handler = toNodeHandler(
      createMcpHandler(() => {
        const server = new McpServer({ name: "f", version: "1" });
        server.registerTool("t", { description: "d" }, () => ({ content: [] }));
        server.registerPrompt("p", {}, () => ({ messages: [] }));
        server.registerResource("r", "docs://r", {}, () => ({ contents: [] }));
        server.registerResource("i", new ResourceTemplate("docs://{id}", { list: undefined }), {}, () => ({
          contents: [],
        }));
        return server;
      }),
    );
    const server = createServer((request, response) => void handler(request as never, response as never));
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    opened.push({ close: () => (server.closeAllConnections(), server.close()) });
    const address = server.address() as { port: number };
    const listing = await list(`http://127.0.0.1:${address.port}`);
    expect(namesOf(listing)).toEqual({
      tools: ["t"],
      prompts: ["p"],
      resources: ["docs://r"],
      templates: ["docs://{id}"],
    });
    expect(listing.stats).toEqual({ dropped: {}, changed: {} });
  });
});

describe("what a server offers", () => {
  it("is asked for, and nothing else", async () => {
    const upstream = await fake(modernServer({ prompts: [{ name: "p" }] }));
    const { offers } = await list(upstream.origin);
    expect(offers).toMatchObject({
      tools: false,
      prompts: true,
      resources: false,
      completions: false,
      subscribe: false,
    });
    expect(upstream.requests.map(({ method }) => method)).toEqual(["server/discover", "prompts/list"]);
  });

  it.each<[string, boolean, JsonObject]>([
    ["it declares them", true, { extensions: { "io.modelcontextprotocol/tasks": {} } }],
    ["it declares another extension", false, { extensions: { "example.com/other": {} } }],
    ["it declares the tasks of an older revision", false, { tasks: {} }],
    ["its extensions are no object", false, { extensions: ["io.modelcontextprotocol/tasks"] }],
  ])("F78: tasks if %s", async (_, isOffered, capabilities) => {
    const upstream = await fake(({ method }, response) =>
      method === "server/discover"
        ? { supportedVersions: ["2026-07-28"], capabilities: { prompts: {}, ...capabilities } }
        : modernServer({ prompts: [{ name: "p" }] })({ method, headers: MODERN_HEADERS } as never, response),
    );
    expect((await list(upstream.origin)).offers.tasks).toBe(isOffered);
  });

  it("a list that it does not know after all is empty", async () => {
    const inner = sessionServer(LISTS);
    const upstream = await fake((request, response) =>
      request.method === "resources/templates/list" ? rpcError(response, 200, -32601) : inner(request, response),
    );
    expect(namesOf(await list(upstream.origin))).toEqual({ ...NAMES, templates: [] });
  });
});

describe("the era is read from answers that say something about it", () => {
  const legacyAfter = (probe: Respond): Respond => {
    const inner = sessionServer(LISTS);
    return (request, response) =>
      request.method === "server/discover" ? probe(request, response) : inner(request, response);
  };

  it.each<[string, Respond]>([
    ["400", (_, response) => rpcError(response, 400, -32000)],
    ["400 without JSON", (_, response) => void response.writeHead(400).end("Bad Request")],
    ["404", (_, response) => void response.writeHead(404).end()],
    ["405", (_, response) => void response.writeHead(405).end()],
    ["200 with an error", (_, response) => rpcError(response, 200, -32601)],
  ])("%s: an older one", async (_, probe) => {
    const upstream = await fake(legacyAfter(probe));
    expect(namesOf(await list(upstream.origin))).toEqual(NAMES);
  });

  it.each<[string, string, Respond]>([
    ["401", "status_401", (_, response) => void response.writeHead(401).end()],
    ["403", "status_403", (_, response) => void response.writeHead(403).end()],
    ["500", "status_500", (_, response) => void response.writeHead(500).end()],
    ["503", "status_503", (_, response) => void response.writeHead(503).end()],
    ["a redirect", "status_302", (_, response) => void response.writeHead(302, { location: "/elsewhere" }).end()],
    ["a header that it minds", "discover_refused", (_, response) => rpcError(response, 400, -32020)],
    ["a capability that it wants", "discover_refused", (_, response) => rpcError(response, 400, -32021)],
    ["revisions of tomorrow only", "discover_refused", (_, response) => rpcError(response, 400, -32022)],
  ])("%s: neither, and nothing more is asked", async (_, word, probe) => {
    const upstream = await fake(legacyAfter(probe));
    expect(await faultOf(upstream.origin)).toBe(word);
    expect(upstream.requests).toHaveLength(1);
  });

  it.each(["2019-01-01", "2026-07-28", 1, null])(
    "a handshake to %j is none, and its session is ended",
    async (version) => {
      const upstream = await fake(sessionServer(LISTS, version as string));
      expect(await faultOf(upstream.origin)).toBe("initialize_version");
      expect(upstream.requests.map(({ http }) => http)).toEqual(["POST", "POST", "DELETE"]);
      expect(upstream.requests.at(-1)?.headers["mcp-session-id"]).toBe("session-1");
    },
  );
});

describe("B51: limits", () => {
  const paged = (page: (cursor: string | undefined) => object): Respond => {
    const inner = modernServer({ tools: [] });
    return (request, response) =>
      request.method === "tools/list" ? page(request.params["cursor"] as string | undefined) : inner(request, response);
  };

  it("pages are turned to the last", async () => {
    const upstream = await fake(
      paged((cursor) => {
        const page = Number(cursor ?? "0");
        return { tools: [tool(`t${page}`)], ...(page < 98 && { nextCursor: String(page + 1) }) };
      }),
    );
    const { tools } = await list(upstream.origin);
    expect(tools).toHaveLength(99);
  });

  it("a page may be empty, and its cursor too", async () => {
    const upstream = await fake(
      paged((cursor) => (cursor === undefined ? { tools: [], nextCursor: "" } : { tools: [tool("t")] })),
    );
    expect((await list(upstream.origin)).tools).toHaveLength(1);
  });

  it.each<[string, string, number, (cursor: string | undefined) => object]>([
    [
      "more than 100 pages",
      "too_many_pages",
      100,
      (cursor) => ({ tools: [tool(`t${cursor ?? "0"}`)], nextCursor: String(Number(cursor ?? "0") + 1) }),
    ],
    ["the same cursor again", "cursor_repeats", 1, () => ({ tools: [tool("t")], nextCursor: "x" })],
    [
      "cursors in a circle",
      "cursor_repeats",
      4,
      (cursor) => ({
        tools: [tool(`t${cursor ?? ""}`)],
        nextCursor: cursor === "a" ? "b" : cursor === "b" ? "c" : "a",
      }),
    ],
    [
      "more than 8 MiB in all",
      "too_large",
      1,
      (cursor) => ({ tools: [tool(cursor ?? "t"), tool("x".repeat(1_000_000))], nextCursor: `${cursor ?? ""}x` }),
    ],
  ])("%s: what was read is kept, and it is named", async (_, word, least, page) => {
    const { tools, incomplete, broken } = await list((await fake(paged(page))).origin);
    expect(tools.length).toBeGreaterThanOrEqual(least);
    expect([incomplete, broken]).toEqual([{ tools: word }, null]);
  });

  it.each<[string, string, Respond]>([
    ["an error", "rpc_error", (_, response) => rpcError(response, 200, -32603)],
    ["no list", "malformed_list", () => ({ tools: {} })],
    ["a status", "status_500", (_, response) => void response.writeHead(500).end()],
    ["silence", "timeout", () => undefined],
  ])("a second page that is %s: the first is kept, and the list counts as broken off", async (_, word, second) => {
    const inner = modernServer({ tools: [], prompts: [{ name: "p" }] });
    const upstream = await fake((request, response) => {
      if (request.method !== "tools/list") return inner(request, response);
      if (request.params["cursor"] !== undefined) return second(request, response);
      return { tools: [tool("a")], nextCursor: "x" };
    });
    const { tools, prompts, broken, incomplete } = await list(upstream.origin, { timeoutMs: 1500 });
    expect([tools.map(({ name }) => name), broken, incomplete["tools"]]).toEqual([["a"], word, word]);
    // After an answer of its own a server can be asked on.
    expect(prompts).toHaveLength(word === "timeout" ? 0 : 1);
  });

  it("a list that fails as a whole takes no other with it", async () => {
    const inner = modernServer({ tools: [tool("a")], prompts: [{ name: "p" }] });
    const upstream = await fake((request, response) =>
      request.method === "prompts/list" ? rpcError(response, 200, -32603) : inner(request, response),
    );
    const { tools, incomplete, broken } = await list(upstream.origin);
    expect([tools.length, incomplete, broken]).toEqual([1, { prompts: "rpc_error" }, "rpc_error"]);
  });

  it.each<[string, string, (cursor: string | undefined) => object]>([
    ["no list", "malformed_list", () => ({ tools: {} })],
    ["null", "malformed_list", () => ({})],
  ])("nothing read at all is a failure: %s", async (_, word, page) => {
    expect(await faultOf((await fake(paged(page))).origin)).toBe(word);
  });

  it("1,000 entries a kind; templates share with resources", async () => {
    const many = (key: string) =>
      Array.from({ length: 1200 }, (_, i) => ({
        [key]: key === "name" ? `a${i}` : `docs:a${i}`,
        name: `a${i}`,
        inputSchema: { type: "object" },
      }));
    const upstream = await fake(
      modernServer({
        tools: many("name"),
        resources: many("uri").slice(0, 700),
        resourceTemplates: many("uriTemplate"),
      }),
    );
    const { tools, resources, templates, stats } = await list(upstream.origin);
    expect([tools.length, resources.length, templates.length, counted(stats.dropped)]).toEqual([
      1000,
      700,
      300,
      { too_many: 200 + 900 },
    ]);
  });

  it.each<[string, string, Respond]>([
    [
      "a body that never ends",
      "too_large",
      (_, response) => flood(response.writeHead(200, { "content-type": "application/json" })),
    ],
    [
      "a stream that never ends",
      "too_large",
      (_, response) => flood(response.writeHead(200, { "content-type": "text/event-stream" })),
    ],
    [
      "a compressed body",
      "encoded",
      (_, response) => void response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync("{}")),
    ],
    [
      "a compressed stream",
      "encoded",
      (_, response) =>
        void response
          .writeHead(200, { "content-type": "text/event-stream", "content-encoding": "gzip" })
          .end(gzipSync("{}")),
    ],
    ["a connection that breaks", "cut_off", (_, response) => void response.destroy()],
    ["nothing", "timeout", () => undefined],
    [
      "a head and no body",
      "timeout",
      (_, response) => response.writeHead(200, { "content-type": "application/json" }).flushHeaders(),
    ],
  ])("%s: %s", async (_, word, respond) => {
    const upstream = await fake(respond);
    expect(await faultOf(upstream.origin, { timeoutMs: word === "timeout" ? 200 : 5000 })).toBe(word);
  });

  function flood(response: NodeJS.WritableStream): undefined {
    const more = () => void response.write(Buffer.alloc(65_536, "x"), () => setImmediate(more));
    more();
    return undefined;
  }

  it.each([
    ["HTML", "<html>"],
    ["nothing", ""],
    ["two documents", "{}{}"],
    ["a name twice", '{"jsonrpc":"2.0","id":1,"result":{},"result":{"tools":[]}}'],
    ["a comma too many", '{"jsonrpc":"2.0","id":1,"result":{"tools":[],}}'],
    ["a result twice, spelled otherwise", '{"jsonrpc":"2.0","id":1,"result":{},"r\\u0065sult":{"tools":[]}}'],
    ["an open string", '{"jsonrpc":"2.0","id":1,"result":{"tools":["'],
    ["257 levels", `{"jsonrpc":"2.0","id":1,"result":${"[".repeat(256)}${"]".repeat(256)}}`],
    ["another id", '{"jsonrpc":"2.0","id":2,"result":{"tools":[]}}'],
    ["no object", "[]"],
  ])("%s is no answer", async (_, text) => {
    const inner = modernServer({ tools: [] });
    const upstream = await fake((request, response) =>
      request.method === "tools/list"
        ? void response.writeHead(200, { "content-type": "application/json" }).end(text)
        : inner(request, response),
    );
    expect(await faultOf(upstream.origin)).toBe("malformed_answer");
  });

  it.each([
    ["a lone surrogate", '{"name":"\\ud800"}'],
    ["a name twice", '{"name":"x","name":"y","inputSchema":{"type":"object"}}'],
    ["a number beyond range", '{"name":"x","inputSchema":{"type":"object"},"a":1e400}'],
    ["257 levels", `{"name":"x","a":${"[".repeat(257)}${"]".repeat(257)}}`],
    ["brackets that do not fit", '{"name":"x","a":[}}'],
    ["no JSON", "xyz"],
    ["bytes that are not UTF-8", Buffer.from([0x22, 0xff, 0x22]).toString("latin1")],
    ["130 KiB", `{"name":"x","a":"${"y".repeat(130 * 1024)}"}`],
    ["65 members", JSON.stringify(tool("x", Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`m${i}`, 1]))))],
    ["F14: a member's name of 200 combining marks", JSON.stringify(tool("x", { [`a${"\u0301".repeat(200)}`]: 1 }))],
  ])("an item that is no definition (%s) costs itself alone", async (_, item) => {
    const inner = modernServer({ tools: [] });
    const text = `{"jsonrpc":"2.0","id":1,"result":{"tools":[${JSON.stringify(tool("a"))} , ${item},${JSON.stringify(tool("b"))}]}}`;
    const upstream = await fake((request, response) =>
      request.method === "tools/list"
        ? void response
            .writeHead(200, { "content-type": "application/json" })
            .end(Buffer.from(text, item.includes("\xff") ? "latin1" : "utf8"))
        : inner(request, response),
    );
    const { tools, stats } = await list(upstream.origin);
    expect([tools.map(({ name }) => name), Object.values(counted(stats.dropped))]).toEqual([["a", "b"], [1]]);
  });

  it("nothing that a server writes gets into the word", async () => {
    const upstream = await fake((_, response) =>
      json(response, 200, { jsonrpc: "2.0", id: 1, error: { code: -1, message: "SECRET" } }),
    );
    expect(await faultOf(upstream.origin)).toBe("initialize_200");
  });

  it("where nobody listens, the word is Node's", async () => {
    const upstream = await fake(() => undefined);
    await upstream.close();
    expect(await faultOf(upstream.origin)).toBe("ECONNREFUSED");
  });
});

describe("as whom", () => {
  it("the configured credential goes with every request, and nothing else", async () => {
    const upstream = await fake(sessionServer(LISTS));
    await list(upstream.origin, {
      path: "/a%2Fb/../mcp?x=1",
      credential: { header: "x-api-key", value: new Secret("k") },
    });
    const ours = new Set(
      "x-api-key accept content-type content-length mcp-protocol-version mcp-session-id mcp-method host connection".split(
        " ",
      ),
    );
    for (const { headers, path } of upstream.requests) {
      expect([headers["x-api-key"], path]).toEqual(["k", "/a%2Fb/../mcp?x=1"]);
      expect(Object.keys(headers).filter((name) => !ours.has(name))).toEqual([]);
    }
  });

  it("none, where none is configured", async () => {
    const upstream = await fake(modernServer(LISTS));
    await list(upstream.origin);
    for (const { headers } of upstream.requests) expect(headers).not.toHaveProperty("authorization");
  });
});

describe("F5: a server has a budget of bytes, for all kinds together", () => {
  const long = (kind: string, i: number) => `${kind}${i}`.padEnd(100, "x");
  const many = (count: number, make: (i: number) => object) => Array.from({ length: count }, (_, i) => make(i));
  const nameBytes = (listing: Listing) =>
    Object.values(namesOf(listing))
      .flat()
      .reduce((sum, name) => sum + Buffer.byteLength(JSON.stringify(name)) + 1, 0);

  it("of names: what is beyond is left out, and a short one that still fits is not", async () => {
    const lists = {
      tools: [...many(400, (i) => tool(long("t", i))), tool("short")],
      prompts: many(300, (i) => ({ name: long("p", i) })),
      resources: many(1000, (i) => ({ uri: `docs://d/${i}${"中".repeat(600)}`, name: "r" })),
    };
    const listing = await list((await fake(modernServer(lists))).origin);
    expect(nameBytes(listing)).toBeLessThanOrEqual(64 * 1024);
    expect(listing.tools).toHaveLength(401);
    expect(listing.prompts.length).toBeGreaterThan(200);
    expect(counted(listing.stats.dropped)).toEqual({
      too_large: 300 - listing.prompts.length + 1000 - listing.resources.length,
    });
    const one = await list((await fake(modernServer(lists))).origin, {
      limits: { ...LIMITS, serverNameBytes: 40_000 },
    });
    expect([nameBytes(one) <= 40_000, one.tools.map(({ name }) => name).includes("short")]).toEqual([true, true]);
  });

  it("of definitions", async () => {
    const tools = many(60, (i) => tool(`t${i + 10}`, { description: "d".repeat(4000), x: "y".repeat(50_000) }));
    const listing = await list((await fake(modernServer({ tools: [...tools, tool("a")] }))).origin);
    const bytes = listing.tools.reduce((sum, { json }) => sum + json.length, 0);
    expect(bytes).toBeLessThanOrEqual(2 * 1024 * 1024);
    expect([listing.tools.length, counted(listing.stats.dropped), listing.tools[0]?.name]).toEqual([
      39,
      { too_large: 22 },
      "a",
    ]);
  });

  it("names as they stand in a wristband: what JSON escapes takes more", async () => {
    const resources = many(1000, (i) => ({ uri: `docs://${i}${'"'.repeat(60)}`, name: "r" }));
    const listing = await list((await fake(modernServer({ resources }))).origin);
    expect(nameBytes(listing)).toBeLessThanOrEqual(64 * 1024);
    expect(listing.resources.length).toBeLessThan(500);
  });
});

describe("F14: a long list is read in slices, and what has no room is not read", () => {
  it("46,000 tools: a thousand are kept, the rest is counted", async () => {
    const slices = createSlices();
    const tools = Array.from({ length: 46_000 }, (_, i) => tool(`t${i}`));
    const listing = await list((await fake(modernServer({ tools }))).origin, { slices });
    expect([listing.tools.length, counted(listing.stats.dropped)]).toEqual([1000, { too_many: 45_000 }]);
    expect(slices.count).toBeGreaterThan(JSON.stringify(tools).length / (128 * 1024));
  });

  it("no slice is longer than the longest item and a step", async () => {
    const spent = [0];
    const counting: Slices = {
      count: 0,
      spend(bytes) {
        spent[spent.length - 1] = (spent.at(-1) ?? 0) + bytes;
        const pause = inner.spend(bytes);
        if (pause !== null) spent.push(0);
        return pause;
      },
    };
    const inner = createSlices();
    const marks = `a${"\u0301".repeat(60)}`;
    const odd = tool("t", Object.fromEntries(Array.from({ length: 50 }, (_, i) => [marks + i, 1])));
    const tools = Array.from({ length: 900 }, (_, i) => ({ ...odd, name: `t${i}` }));
    await list((await fake(modernServer({ tools }))).origin, { slices: counting });
    expect(spent.length).toBeGreaterThan(60);
    expect(Math.max(...spent)).toBeLessThan(64 * 1024 + 16 * 1024);
  });
});

it("B45: an output schema that does not compile is left out on both endpoints and named; its tool and the others stay", async () => {
  const output = (pattern: string) => ({ outputSchema: { type: "object", properties: { a: { pattern } } } });
  const tools = [tool("bad", output("broken")), tool("good", output("a")), tool("none")];
  const listing = await list((await fake(modernServer({ tools }))).origin);
  const [bad, good] = listing.tools;
  expect([bad?.json, bad?.merged]).toEqual([JSON.stringify(tool("bad")), JSON.stringify(tool("s_bad"))]);
  expect(good?.json).toContain('"pattern":"a"');
  expect([listing.tools.length, listing.stats.changed]).toEqual([3, { output_schema: { count: 1, names: ["bad"] } }]);
});
