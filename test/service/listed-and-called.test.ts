// What the broker lists it can also call, at the path as written: lists and calls speak to a server by the same rules.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { freePorts } from "../../demo/ports.ts";
import { startBroker } from "../../src/app/broker/broker.ts";
import { loadConfig, type Config } from "../../src/config/load.ts";
import { virtualHosts } from "../../src/envoy-config/routes.ts";
import { createLog } from "../../src/ops/log.ts";
import { destinationOf } from "../../src/authz/destination.ts";
import { bodyDigest } from "../../src/wristband/claims.ts";
import { tool } from "../fakes/listing.ts";
import { claimsOf, WRISTBAND } from "../fakes/wristband.ts";
import { compact, makeKey, startIssuer, type FakeIssuer } from "../fakes/issuer.ts";
import {
  json,
  modernServer,
  rpcError,
  sessionServer,
  startFakeServer,
  type FakeServer,
  type Respond,
} from "../fakes/mcp-server.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-listed-"));
const key = makeKey("k1");
let serve: FakeIssuer;
const opened: (() => Promise<void>)[] = [];
beforeAll(async () => {
  serve = await startIssuer(key);
});
afterEach(async () => {
  for (const close of opened.splice(0).toReversed()) await close();
});
afterAll(async () => {
  await serve.close();
  rmSync(folder, { recursive: true, force: true });
});

/** On a direct route, but for the URLs that none can have. */
function configOf(url: string, broker: number, brokerOps: number) {
  const file = join(folder, "mcp-authz.yaml");
  const text = stringify({
    publicOrigin: "https://gw.example.com",
    listen: { broker: `127.0.0.1:${broker}`, brokerOps: `127.0.0.1:${brokerOps}` },
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { ...WRISTBAND, keys: [{ kid: "k1", file: "w.pem" }], jwksUrl: `${serve.issuer}/jwks` },
    servers: { s: { url, callRouting: url.includes("?") ? "broker" : "direct", credential: [{ none: {} }] } },
  });
  writeFileSync(file, text);
  return loadConfig(file, {}).config;
}

function mapRelayed(servers: Config["servers"]): Config["servers"] {
  return Object.fromEntries(
    Object.entries(servers).map(([name, server]) => [name, { ...server, callRouting: "broker" }]),
  );
}

/** Starts a broker before this server, and gives what became of one list and one call. */
async function listAndCall(upstream: FakeServer, url: string) {
  const ports = await freePorts();
  const config = configOf(url, ports.broker, ports.brokerOps);
  const broker = await startBroker(
    // A server of a direct route is asked for its older revisions too, when it is listed.
    { ...config, callRouting: "broker", servers: mapRelayed(config.servers) },
    createLog(() => {}, "info", Date.now),
  );
  opened.push(() => broker.stop());
  const listing = upstream.requests.splice(0);
  const ask = async (method: string, params: object, use: "list" | "call") => {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    const proof = {
      use,
      tools: { s: ["t"] },
      ...(use === "call" && { body: bodyDigest(Buffer.from(body)), destinations: { s: destinationOf(url) } }),
    };
    const wristband = compact(key, { alg: "ES256", typ: "wristband+jwt", kid: "k1" }, claimsOf(proof));
    const response = await fetch(`http://127.0.0.1:${ports.broker}/servers/s/mcp`, {
      method: "POST",
      body,
      headers: {
        "content-type": "application/json",
        accept: "application/json",
        "x-authorized-tools": wristband,
        "x-mcp-server": "s",
      },
    });
    return (await response.json()) as { result?: { tools?: { name: string }[]; content?: unknown } };
  };
  const listed = (await ask("tools/list", {}, "list")).result?.tools?.map(({ name }) => name);
  const called = (await ask("tools/call", { name: "t", arguments: {} }, "call")).result?.content;
  return { listed, called, listing, calling: upstream.requests };
}

const LISTS = { tools: [tool("t")] };
const CONTENT = [{ type: "text", text: "ok" }];

function answeringCalls(inner: Respond): Respond {
  return (request, response) =>
    request.method === "tools/call" ? { content: CONTENT, resultType: "complete" } : inner(request, response);
}

async function startServer(respond: Respond): Promise<FakeServer> {
  const upstream = await startFakeServer(answeringCalls(respond));
  opened.push(() => upstream.close());
  return upstream;
}

const older = sessionServer(LISTS);
/** An older server, but for its answer to one method. */
const olderBut =
  (method: string, special: Respond): Respond =>
  (request, response) =>
    request.method === method ? special(request, response) : older(request, response);

const raw = (response: ServerResponse, status: number, type: string, body: string | Buffer, encoding?: string) =>
  void response
    .writeHead(status, { "content-type": type, ...(encoding !== undefined && { "content-encoding": encoding }) })
    .end(body);

const event = (message: object) => `data: ${JSON.stringify(message)}\n\n`;
const welcome = (more: object = {}) => ({
  jsonrpc: "2.0",
  id: 1,
  result: { protocolVersion: "2025-06-18", capabilities: { tools: {} }, serverInfo: {}, ...more },
});
const withSession = (response: ServerResponse) => response.setHeader("mcp-session-id", "session-1");

describe("a server that is listed can be called", () => {
  it.each<[string, Respond]>([
    ["speaks the stateless revision", modernServer(LISTS)],
    ["speaks an older one", older],
    [
      "refuses a revision that is yet to be negotiated",
      olderBut("initialize", (request, response) =>
        request.headers["mcp-protocol-version"] === undefined
          ? older(request, response)
          : rpcError(response, 400, -32000),
      ),
    ],
    [
      "refuses the probe with a page in an encoding",
      olderBut("server/discover", (_, response) => raw(response, 404, "text/html", gzipSync("no"), "gzip")),
    ],
    [
      "refuses the probe with JSON in an encoding",
      olderBut("server/discover", (_, response) => raw(response, 400, "application/json", gzipSync("{}"), "gzip")),
    ],
    [
      "refuses the probe with an error that answers another message",
      olderBut("server/discover", (_, response) =>
        json(response, 400, { jsonrpc: "2.0", id: 7, error: { code: -32_022, message: "no" } }),
      ),
    ],
    [
      "says the name of a prototype in its handshake",
      olderBut("initialize", (_, response) => {
        withSession(response);
        raw(response, 200, "application/json", JSON.stringify(welcome()).replace('{"tools', '{"__proto__":{},"tools'));
      }),
    ],
    [
      "says much before it answers the handshake",
      olderBut("initialize", (_, response) => {
        withSession(response);
        const log = event({ jsonrpc: "2.0", method: "notifications/message", params: { data: "x".repeat(1000) } });
        raw(response, 200, "text/event-stream", log.repeat(400) + event(welcome()));
      }),
    ],
  ])("%s", async (_, respond) => {
    const upstream = await startServer(respond);
    const { listed, called, listing, calling } = await listAndCall(upstream, upstream.url);
    expect({ listed, called }).toEqual({ listed: ["t"], called: CONTENT });
    const greeted = (requests: typeof listing) => requests.some(({ method }) => method === "initialize");
    expect(greeted(calling)).toBe(greeted(listing));
  });

  it.each<[string, Respond]>([
    [
      "the handshake's answer is 200 KiB",
      olderBut("initialize", (_, response) => {
        withSession(response);
        json(response, 200, welcome({ instructions: "x".repeat(200 * 1024) }));
      }),
    ],
    [
      "the handshake's only answer is an error for another message",
      olderBut("initialize", (_, response) =>
        json(response, 200, { jsonrpc: "2.0", id: 7, error: { code: -32_600, message: "no" } }),
      ),
    ],
    [
      "the handshake's answer is in an encoding",
      olderBut("initialize", (_, response) =>
        raw(response, 200, "application/json", gzipSync(JSON.stringify(welcome())), "gzip"),
      ),
    ],
  ])("neither, where %s", async (_, respond) => {
    const upstream = await startServer(respond);
    expect(await listAndCall(upstream, upstream.url)).toMatchObject({ listed: [], called: undefined });
  });
});

/** Of a server's URL, behind its origin; and the path of each request. */
const PATHS = [
  ["/mcp", "/mcp"],
  ["", "/"],
  ["/", "/"],
  ["/a/../mcp", "/a/../mcp"],
  ["/a/./mcp", "/a/./mcp"],
  ["/a/%2e%2E/mcp", "/a/%2e%2E/mcp"],
  ["//x", "//x"],
  ["/x//mcp/", "/x//mcp/"],
  ["/a%2Fb", "/a%2Fb"],
  ["/a|b^c{d}`e'f", "/a|b^c{d}`e'f"],
] as const;
const QUERIES = [
  ["/mcp?tenant=1&x=%20", "/mcp?tenant=1&x=%20"],
  ["?x=1", "/?x=1"],
  ["/a/../mcp?b=/../c", "/a/../mcp?b=/../c"],
  ["/mcp?q='\"<>", "/mcp?q='\"<>"],
] as const;

describe("one path per server, as it is written", () => {
  it.each([...PATHS, ...QUERIES])("%j is listed and called at %j", async (written, path) => {
    const upstream = await startServer(older);
    const { listed, called, listing, calling } = await listAndCall(upstream, upstream.origin + written);
    expect({ listed, called }).toEqual({ listed: ["t"], called: CONTENT });
    const paths = [...listing, ...calling].map((request) => request.path);
    expect([paths.length > 6, new Set(paths)]).toEqual([true, new Set([path])]);
  });

  it.each(PATHS)("Envoy sends a direct call for %j to %j", (written, path) => {
    const hosts = JSON.stringify(virtualHosts(configOf(`http://127.0.0.1:1${written}`, 1, 2)));
    expect(hosts).toContain(`"prefix_rewrite":${JSON.stringify(path)}`);
  });

  it.each([
    "http://127.0.0.1:1\\mcp",
    "http:\\\\127.0.0.1:1/mcp",
    "http:/127.0.0.1:1/mcp",
    "http:127.0.0.1/mcp",
    "http:///127.0.0.1/mcp",
  ])("%j, which two readers take apart differently, is refused at the start", (url) =>
    expect(() => configOf(url, 1, 2)).toThrow("servers.s.url"),
  );
});
