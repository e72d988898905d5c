// F6: a direct server gets no header of the client's but those that the broker passes on, and gives back no header and no
// status that the broker would not give. Raw bytes through the real Envoy.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  answerOk,
  json,
  result,
  startEraServer,
  withHeaders,
  type Arrival,
  type EraServer,
} from "../fakes/mcp-server.ts";
import { DEMO_CREDENTIAL, startLab, type Lab } from "../../demo/lab.ts";
import { freePorts, type Ports } from "../../demo/ports.ts";
import { legacy, modern, type Reply } from "./client.ts";
import { http2Post, rawBytes, rawRequest } from "./raw-http.ts";

/** Names by a seed: odd but legal, short and long. */
function generatedNames(count: number): string[] {
  const tokens = "!#$%&'*+-.^`|~0123456789abcdefghijklmnopqrstuvwxyz";
  let seed = 20_261_130;
  const next = (below: number) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 4_294_967_296) * below);
  };
  const names = new Set<string>();
  while (names.size < count) {
    const length = next(10) === 0 ? 100 + next(400) : 1 + next(24);
    const name = Array.from({ length }, () => tokens[next(tokens.length)] ?? "").join("");
    if (!/^(?:mcp-|te$|upgrade$|connection$|host$)/.test(name)) names.add(name);
  }
  return [...names];
}

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-direct-edge-"));
/** Of the server's URL: written so that whoever cleans a path would change it. */
const PATH = "/a/../%2e/b%2Fc//mcp|x";
let lab: Lab;
let ports: Ports;
let server: EraServer;
let alice: string;

beforeAll(async () => {
  server = await startEraServer("legacy");
  ports = await freePorts();
  lab = await startLab({
    folder,
    ports,
    policyFolder: null,
    progress: () => {},
    config: (config) => {
      config["cors"] = { origins: ["https://app.example.com"] };
      const servers = config["servers"] as Record<string, Record<string, unknown>>;
      const headers = { headers: { "x-mcp-toolsets": "issues" }, passHeaders: ["x-tenant"] };
      servers["demo"] = { ...servers["demo"], url: server.origin + PATH, ...headers };
      servers["tickets"] = { ...servers["demo"], passthrough: true };
    },
  });
  alice = await lab.idp.mint("alice");
});
afterAll(async () => {
  await lab.stop();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const callOf = (name: string) =>
  JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: {} } });
/** Both ways to one server. */
const ROUTES = [
  ["directly", "/servers/demo/mcp", "echo"],
  ["by the broker", "/mcp", "demo_echo"],
] as const;
const inFifties = (names: readonly string[]) =>
  Array.from({ length: Math.ceil(names.length / 50) }, (_, i) => names.slice(50 * i, 50 * i + 50));

const CALL = callOf("echo");

/** What may stand in a request to a server. Host, length and connection are Envoy's own. */
const ARRIVES = new Set([
  ...["accept", "content-type", "authorization", "traceparent", "x-request-id", "mcp-protocol-version"],
  ...["mcp-method", "mcp-name", "host", "content-length", "transfer-encoding", "connection", "x-mcp-toolsets"],
]);

/** Names that servers and proxies in the field believe, and names that nobody has. */
const ODD = [
  ..."sudo impersonate-user impersonate-group impersonate-uid impersonate-extra-scopes x-remote-user x-remote-group".split(
    " ",
  ),
  ..."private-token job-token deploy-token x-user-id x-auth-request-email x-auth-request-user true-client-ip".split(
    " ",
  ),
  ..."x-http-method-override x-http-method x-method-override x-original-method x-original-host x-rewrite-url".split(
    " ",
  ),
  ..."x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port x-forwarded-server x-forwarded-by".split(" "),
  ..."forwarded via x-real-ip x-client-ip x-cluster-client-ip cf-connecting-ip fastly-client-ip x-azure-clientip".split(
    " ",
  ),
  ..."x-envoy-external-address x-envoy-internal x-envoy-original-path x-envoy-retry-on x-envoy-max-retries".split(" "),
  ..."x-goog-authenticated-user-email x-goog-iap-jwt-assertion x-amzn-oidc-data x-ms-client-principal-name".split(" "),
  ..."x-api-key api-key apikey x-access-token x-auth-token x-csrf-token x-xsrf-token x-amz-security-token".split(" "),
  ..."x-github-otp x-gitlab-token x-hub-signature x-slack-signature x-consumer-username x-credential-identifier".split(
    " ",
  ),
  ..."user-agent accept-encoding accept-language cache-control pragma range if-match if-none-match referer from".split(
    " ",
  ),
  ..."baggage b3 x-b3-traceid x-datadog-trace-id uber-trace-id x-cloud-trace-context sentry-trace".split(" "),
  ..."te trailer keep-alive proxy-connection proxy-authenticate expect-ct dnt early-data priority save-data".split(" "),
  ..."last-event-id content-language content-location content-md5 digest want-digest content-disposition".split(" "),
  ..."! # $ % & ' * + - . ^ ` | ~ 0 x x-' a.b.c --- 1-2 x-mcp-subject-2 x-upstream-other".split(" "),
  "y".repeat(200),
];

/** Envoy takes 100 headers: so many at a time. */
const CHUNKS = [ODD.slice(0, 60), ODD.slice(60)];

describe("requests", () => {
  it.each(CHUNKS)(
    "HTTP/1.1: of names nobody listed none arrives, once or twice, in any case (from %s on)",
    async (...names) => {
      const lines = names.flatMap((name, i) =>
        i % 4 === 0 ? [`${name}: evil`, `${name}: evil2`] : [`${name.toUpperCase()}: evil`],
      );
      const headers = [
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        `Authorization: Bearer ${alice}`,
      ];
      const before = server.requests.length;
      const reply = await rawRequest(ports.gateway, rawBytes({ body: CALL, headers: [...headers, ...lines] }));
      expect([reply.status, server.requests.length - before]).toEqual([200, 1]);
      onlyKnown(server.requests.at(-1));
    },
  );

  it.each(ROUTES)(
    "MS-08, MO-08: of 500 generated names none arrives %s, by HTTP/1.1 with trailers or HTTP/2",
    async (_, target, tool) => {
      const body = callOf(tool);
      const usual = ["Content-Type: application/json", "Accept: */*", `Authorization: Bearer ${alice}`];
      const trailers = `x-trailer: evil\r\nAuthorization: evil\r\nsudo: evil\r\n`;
      const chunk = `${body.length.toString(16)}\r\n${body}\r\n0\r\n${trailers}\r\n`;
      for (const some of inFifties(generatedNames(500))) {
        const lines = some.map((name, n) => `${n % 3 === 0 ? name.toUpperCase() : name}: evil`);
        const framed = ["Transfer-Encoding: chunked", "Trailer: sudo", "Connection: close"];
        const parts = { target, body: chunk, contentLength: null, headers: [...usual, ...framed, ...lines] };
        const before = server.requests.length;
        const reply = await rawRequest(ports.gateway, rawBytes(parts), 5000);
        const evil = Object.fromEntries(some.map((name) => [name, "evil"]));
        const frames = [Buffer.from(body)];
        const two = await http2Post(
          ports.gateway,
          { ":path": target, authorization: `Bearer ${alice}`, ...evil },
          frames,
        );
        const arrived = server.requests.slice(before).filter(({ method }) => method === "tools/call");
        expect([reply.status, two.status, arrived.length]).toEqual([200, 200, 2]);
        for (const arrival of arrived) onlyKnown(arrival);
      }
    },
  );

  it.each(CHUNKS)("HTTP/2: none arrives (from %s on)", async (...names) => {
    const taken = new Set(["keep-alive", "proxy-connection", "te"]); // Node does not send these
    const headers = Object.fromEntries(names.filter((name) => !taken.has(name)).map((name) => [name, "evil"]));
    const before = server.requests.length;
    const reply = await http2Post(ports.gateway, { ...headers, te: "trailers", authorization: `Bearer ${alice}` }, [
      Buffer.from(CALL),
    ]);
    expect([reply.status, server.requests.length - before]).toEqual([200, 1]);
    onlyKnown(server.requests.at(-1));
  });

  it("arrive at the path of the server's URL, byte for byte, as lists do", async () => {
    await legacy(lab.gateway, "tools/call", { name: "echo", arguments: {} }, { token: alice });
    expect(server.of("tools/call").at(-1)?.path).toBe(PATH);
    expect(new Set(server.requests.map(({ path }) => path))).toEqual(new Set([PATH]));
  });

  it("a call has one id, Envoy's: for her, for its server and in our log", async () => {
    const reply = await legacy(lab.gateway, "tools/call", { name: "echo", arguments: {} }, { token: alice });
    const id = reply.headers.get("x-request-id");
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(server.requests.at(-1)?.headers["x-request-id"]).toBe(id);
    expect(readFileSync(lab.auditFile, "utf8")).toContain(`"mesh_request_id":"${id}"`);
  });

  it("what the broker passes on arrives as it was sent", async () => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const passing = { traceparent, "mcp-protocol-version": "2025-11-25", "mcp-later": "x" };
    await legacy(lab.gateway, "tools/call", { name: "echo", arguments: {} }, { token: alice, headers: passing });
    expect(server.requests.at(-1)?.headers).toMatchObject({ ...passing, authorization: `Bearer ${DEMO_CREDENTIAL}` });
  });
});

/** Of one connection, and of the message's form on it: the two routes have different senders. */
const OF_THE_HOP = new Set(["connection", "content-length", "transfer-encoding"]);

describe("both routes carry the same, byte for byte [MS-08]", () => {
  const TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const arrived = async (path: string, tool: string, lines: readonly string[]) => {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: tool, arguments: {} } });
    const usual = ["Content-Type: application/json", `Authorization: Bearer ${alice}`];
    const count = server.requests.length;
    const { status } = await rawRequest(ports.gateway, rawBytes({ target: path, body, headers: [...usual, ...lines] }));
    const arrival = server.requests.slice(count).find(({ method }) => method === "tools/call");
    const pairs = Object.entries(arrival?.headers ?? {}).filter(([name]) => !OF_THE_HOP.has(name));
    const shown = (name: string, value: unknown) => (name === "x-request-id" ? "Envoy's" : String(value));
    return { status, arrived: pairs.map(([name, value]) => `${name}: ${shown(name, value)}`).sort() };
  };

  it.each<[number, string, string[]]>([
    [200, "the least", []],
    [200, "what passes", ["X-Tenant: t", "Mcp-Later: x", `Traceparent: ${TRACE}`]],
    [200, "a fixed name", ["X-Mcp-Toolsets: all"]],
    [200, "no trace that is none", ["Traceparent: evil", "Tracestate: a=b", "Baggage: a=b"]],
    [200, "a trace twice", [`Traceparent: ${TRACE}`, `Traceparent: ${TRACE}`]],
    [
      200,
      "MS-08, CF-15, CF-17",
      ["X-Mcp-User: admin", "X-Vault-Tokens: {}", "X-Api-Key: k", "X-Upstream-Authorization: x"],
    ],
    [200, "cookies", ["Cookie: a=b", "Cookie2: a", "Set-Cookie: a=b"]],
    [200, "headers that mirror the body", ["Mcp-Method: tools/call"]],
    [400, "what passes, twice", ["X-Tenant: t", "X-Tenant: u"]],
    [400, "what passes, empty", ["X-Tenant:"]],
    [400, "what passes, beyond ASCII", ["X-Tenant: \u00e9"]],
    [400, "of MCP, twice", ["Mcp-Later: t", "Mcp-Later: u"]],
  ])("%i: %s", async (status, _, lines) => {
    const all = ["Accept: application/json;evil=1, text/event-stream", "Mcp-Protocol-Version: 2025-06-18", ...lines];
    const direct = await arrived("/servers/demo/mcp", "echo", all);
    expect(direct).toEqual(await arrived("/mcp", "demo_echo", all));
    expect([direct.status, direct.arrived.length > 0]).toEqual([status, status === 200]);
  });
});

function onlyKnown(arrival: Arrival | undefined): void {
  expect(Object.keys(arrival?.headers ?? {}).filter((name) => !ARRIVES.has(name))).toEqual([]);
  expect(JSON.stringify(arrival?.rawHeaders)).not.toContain("evil");
  expect(arrival?.headers.authorization).toBe(`Bearer ${DEMO_CREDENTIAL}`);
}

const RETURNS = new Set([
  ...["content-type", "content-length", "cache-control", "date", "server", "x-request-id", "transfer-encoding"],
  ...["connection", "keep-alive"],
]);
const HOSTILE = {
  location: "https://evil.example/",
  refresh: "0;url=https://evil.example",
  "clear-site-data": '"*"',
  "alt-svc": 'h2="evil.example:443"',
  "access-control-allow-origin": "*",
  "access-control-allow-credentials": "true",
  "mcp-session-id": "evil",
  "mcp-other": "evil",
  "set-cookie": "a=evil",
  "www-authenticate": 'Bearer resource_metadata="https://evil.example/"',
  "authentication-info": "evil",
  "content-location": "https://evil.example/",
  "content-disposition": 'attachment; filename="evil"',
  "strict-transport-security": "max-age=1",
  "report-to": "{}",
  nel: "{}",
  link: "<https://evil.example/>; rel=preload",
  "service-worker-allowed": "/",
  sourcemap: "https://evil.example/",
  "x-accel-redirect": "/evil",
  "x-sendfile": "/evil",
  "x-mcp-origin": "stream_idle_timeout",
  "x-envoy-overloaded": "true",
  "x-envoy-ratelimited": "true",
  "x-authorized-tools": "evil",
  "x-request-id": "evil",
  server: "evil",
  via: "1.1 evil",
  age: "1",
  "cache-control": "public, max-age=31536000",
  "x-nobody-knows": "evil",
};

async function answered(onCall: (arrival: Arrival, response: ServerResponse) => void, origin?: string): Promise<Reply> {
  server.onCall = onCall;
  const headers = origin === undefined ? {} : { origin };
  const reply = await legacy(lab.gateway, "tools/call", { name: "echo", arguments: {} }, { token: alice, headers });
  server.onCall = answerOk;
  return reply;
}

const BAD_GATEWAY = {
  jsonrpc: "2.0",
  id: 1,
  error: {
    code: 502,
    message: expect.stringContaining("failed"),
    data: { reason: "upstream_unavailable", requestId: expect.any(String) },
  },
};

describe("responses", () => {
  it("a good answer passes, and of its headers those that say what it is", async () => {
    const reply = await answered((arrival, response) => json(withHeaders(response, HOSTILE), 200, result(arrival)));
    expect([reply.status, reply.message]).toMatchObject([200, { id: 1, result: {} }]);
    expect([...reply.headers.keys()].filter((name) => !RETURNS.has(name))).toEqual([]);
    expect(JSON.stringify([...reply.headers])).not.toContain("evil");
    expect(reply.headers.get("cache-control")).toBe("no-store");
  });

  it.each(ROUTES)("MS-10: of 500 generated names of a server none comes back %s", async (_, target, tool) => {
    const names = generatedNames(500).filter((name) => !RETURNS.has(name));
    for (const some of inFifties(names)) {
      const said = Object.fromEntries(some.map((name, n) => [n % 3 === 0 ? name.toUpperCase() : name, "evil"]));
      server.onCall = (arrival, response) => json(withHeaders(response, said), 200, result(arrival));
      const params = { name: tool, arguments: {} };
      const reply = await legacy(lab.gateway, "tools/call", params, { token: alice, path: target });
      expect([reply.status, [...reply.headers.keys()].filter((name) => !RETURNS.has(name))]).toEqual([200, []]);
      expect(JSON.stringify([...reply.headers])).not.toContain("evil");
    }
    server.onCall = answerOk;
  });

  it.each(["Application/JSON", "application/json ;charset=UTF-8", 'application/json; charset="utf-8"; a=evil'])(
    "%s arrives as its bare type",
    async (type) => {
      const reply = await answered((arrival, response) => {
        response.writeHead(200, { "content-type": type, "content-encoding": "identity" });
        response.end(JSON.stringify(result(arrival)));
      });
      expect([reply.status, reply.headers.get("content-type")]).toEqual([200, "application/json"]);
      expect(reply.headers.has("content-encoding")).toBe(false);
    },
  );

  it.each([
    ["7", "7"],
    ["evil", null],
    ["1, evil", null],
    ["99999999999", null],
    ["Fri, 31 Dec 9999 23:59:59 GMT", null],
  ])("retry-after %s: %s", async (value, passes) => {
    const error = { jsonrpc: "2.0", id: 1, error: { code: 429, message: "busy" } };
    const reply = await answered((_, response) => json(withHeaders(response, { "retry-after": value }), 429, error));
    expect([reply.status, reply.headers.get("retry-after")]).toEqual([429, passes]);
  });

  it("an origin that we list is told by us, whatever the server says", async () => {
    const origin = "https://app.example.com";
    const reply = await answered(
      (arrival, response) => json(withHeaders(response, HOSTILE), 200, result(arrival)),
      origin,
    );
    expect(reply.headers.get("access-control-allow-origin")).toBe(origin);
    expect(reply.headers.has("access-control-allow-credentials")).toBe(false);
  });

  it.each([
    201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 304, 305, 307, 308, 401, 403, 405, 407, 410, 418, 451, 500, 502,
    503, 504, 511,
  ])("status %i is a fault of the server's", async (status) => {
    const reply = await answered((arrival, response) => {
      withHeaders(response, HOSTILE).writeHead(status, { "content-type": "application/json" });
      response.end([204, 205, 304].includes(status) ? undefined : JSON.stringify(result(arrival)));
    });
    expect([reply.status, reply.message]).toEqual([502, BAD_GATEWAY]);
    expect([...reply.headers.keys()].filter((name) => !RETURNS.has(name))).toEqual([]);
    expect(JSON.stringify([...reply.headers])).not.toContain("evil");
  });

  it.each([400, 404])("an error of JSON-RPC passes with its status %i", async (status) => {
    const error = { jsonrpc: "2.0", id: 1, error: { code: -32601, message: "no" } };
    const reply = await answered((_, response) => json(response, status, error));
    expect([reply.status, reply.message]).toEqual([status, error]);
  });

  it.each<[string, Record<string, string>, string | Buffer]>([
    ["HTML", { "content-type": "text/html" }, "<script>evil()</script>"],
    ["HTML beside JSON", { "content-type": "application/json,text/html" }, "{}"],
    ["HTML behind a parameter of JSON", { "content-type": "application/json; a=b,text/html" }, "{}"],
    ["another charset", { "content-type": 'application/json; a=b; charset = "utf-16"' }, "{}"],
    ["no type", {}, "{}"],
    [
      "an encoding that nobody asked for",
      { "content-type": "application/json", "content-encoding": "gzip" },
      gzipSync("{}"),
    ],
    ["a type that begins like JSON", { "content-type": "application/json-seq" }, "{}"],
  ])("%s is a fault of the server's", async (_, headers, body) => {
    const reply = await answered((_arrival, response) => response.writeHead(200, headers).end(body));
    expect([reply.status, reply.message]).toEqual([502, BAD_GATEWAY]);
    expect(reply.text).not.toContain("evil");
  });

  it.each<[string, number, (response: ServerResponse) => void]>([
    ["longer than Envoy holds", 500, (response) => void response.writeHead(500).end("evil".repeat(1_000_000))],
    [
      "cut off",
      502,
      (response) => {
        response.writeHead(500, { "content-length": 100 }).write("evil");
        setTimeout(() => response.destroy(), 100);
      },
    ],
  ])("an error's body that is %s: %i with a message of JSON-RPC", async (_, status, onCall) => {
    const reply = await answered((_arrival, response) => onCall(response));
    expect([reply.status, reply.message]).toMatchObject([status, { jsonrpc: "2.0", error: { code: status } }]);
    expect(reply.text).not.toContain("evil");
  });

  it("a redirect with a body that never ends is no way through either", async () => {
    const reply = await answered((_, response) => {
      response.writeHead(302, HOSTILE);
      const more = setInterval(() => response.write("evil".repeat(1000)), 5);
      response.on("close", () => clearInterval(more));
    });
    expect([500, 502]).toContain(reply.status);
    expect(reply.text + JSON.stringify([...reply.headers])).not.toContain("evil");
  });
});

describe("bytes of a server that nobody expects", () => {
  const GOOD = JSON.stringify({ jsonrpc: "2.0", id: 1, result: { content: [] } });
  const OK = `Content-Type: application/json\r\nContent-Length: ${GOOD.length}\r\n`;
  const chunked = `Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n`;
  const chunks = `${GOOD.length.toString(16)}\r\n${GOOD}\r\n0\r\n`;
  it.each<[string, string, number[]]>([
    [
      "103 before the answer",
      `103 Early Hints\r\nSet-Cookie: a=evil\r\nLink: </evil>\r\n\r\nHTTP/1.1 200 OK\r\n${OK}\r\n${GOOD}`,
      [200, 502],
    ],
    [
      "101 that nobody asked for",
      `101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: evil\r\n\r\nevil`,
      [502, 503],
    ],
    ["trailers", `200 OK\r\n${chunked}Trailer: x-evil\r\n\r\n${chunks}X-Evil: evil\r\nSet-Cookie: evil\r\n\r\n`, [200]],
    ["two values of retry-after", `429 Busy\r\nRetry-After: 7\r\nRetry-After: evil\r\n${OK}\r\n${GOOD}`, [429]],
    ["two types", `200 OK\r\nContent-Type: text/html;evil\r\n${OK}\r\n${GOOD}`, [502]],
    ["a type and another", `200 OK\r\n${OK}Content-Type: text/html;evil\r\n\r\n${GOOD}`, [502]],
    ["two encodings", `200 OK\r\nContent-Encoding: identity\r\nContent-Encoding: evil\r\n${OK}\r\n${GOOD}`, [502]],
    [
      "it says it is Envoy",
      `503 No\r\nX-MCP-Origin: overload\r\nx-mcp-origin: evil\r\nX-Envoy-Overloaded: evil\r\n${OK}\r\n${GOOD}`,
      [502, 503],
    ],
    ["a folded line", `200 OK\r\nSet-Cookie: b\r\n evil: evil\r\n${OK}\r\n${GOOD}`, [200, 502]],
    ["two lengths", `200 OK\r\nContent-Length: 4\r\n${OK}\r\n${GOOD}evil`, [502]],
    ["a length and chunks", `200 OK\r\nContent-Length: 4\r\n${chunked}\r\n${chunks}\r\nevil`, [200, 502]],
    ["another answer behind", `200 OK\r\n${OK}\r\n${GOOD}HTTP/1.1 200 OK\r\nX-Evil: evil\r\n\r\nevil`, [200]],
  ])("%s", async (_, bytes, statuses) => {
    for (const target of ["/servers/demo/mcp", "/servers/tickets/mcp"]) {
      server.onCall = (_arrival, response) => void response.socket?.end(`HTTP/1.1 ${bytes}`);
      const usual = [
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        `Authorization: Bearer ${alice}`,
        "Connection: close",
      ];
      const reply = await rawRequest(ports.gateway, rawBytes({ target, body: CALL, headers: usual }), 5000);
      server.onCall = answerOk;
      expect([target, reply.text.includes("evil") ? reply.text : ""]).toEqual([target, ""]);
      // A refusal of ours is under 200 for a client of an older revision.
      const isFault = reply.text.includes('"reason":"upstream_unavailable"');
      expect(statuses, reply.text).toContain(isFault ? 502 : reply.status);
    }
  });
});

it("B05: a header that takes rights away and is dropped is in the audit line and counted, on both routes alike", async () => {
  const dropped: unknown[] = [];
  const lines = ["X-Mcp-Readonly: true", "X-Mcp-Toolsets: none", "X-Tenant: t", "X-Nobody-Knows: x"];
  const usual = [
    "Content-Type: application/json",
    "Accept: */*",
    `Authorization: Bearer ${alice}`,
    "Connection: close",
  ];
  for (const [, target, tool] of ROUTES) {
    const parts = { target, body: callOf(tool), headers: [...usual, ...lines] };
    expect((await rawRequest(ports.gateway, rawBytes(parts), 5000)).status).toBe(200);
    const last = readFileSync(lab.auditFile, "utf8").trim().split("\n").at(-1) ?? "{}";
    dropped.push((JSON.parse(last) as Record<string, unknown>)["headers_dropped"]);
  }
  expect(dropped).toEqual(Array.from({ length: 2 }, () => ["x-mcp-readonly", "x-mcp-toolsets"]));
  const metrics = await fetch(`http://127.0.0.1:${ports.ops}/metrics`).then((reply) => reply.text());
  expect(metrics).toContain('mcp_authz_headers_dropped_total{header="x-mcp-readonly"} 2');
});

describe("D10: a server of 2025-06-18, without a session", () => {
  const path = "/servers/demo/mcp";

  it("its endpoint announces what it speaks, and /mcp what the gateway speaks", async () => {
    const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "t", version: "1" } };
    const chosen = async (at: string) =>
      (await legacy(lab.gateway, "initialize", params, { token: alice, path: at })).message?.["result"];
    expect(await chosen(path)).toMatchObject({ protocolVersion: "2025-06-18" });
    expect(await chosen("/mcp")).toMatchObject({ protocolVersion: "2025-11-25" });
    const spoken = async (at: string) =>
      (await modern(lab.gateway, "server/discover", {}, { token: alice, path: at })).message?.["result"];
    expect(await spoken(path)).toMatchObject({ supportedVersions: ["2025-06-18", "2025-03-26", "2024-11-05"] });
    expect(await spoken("/mcp")).toMatchObject({ supportedVersions: expect.arrayContaining(["2026-07-28"]) });
  });

  it("operators are told in /readyz, log and metric", async () => {
    const told = await fetch(`http://127.0.0.1:${ports.brokerOps}/readyz`).then((reply) => reply.json());
    expect(told).toMatchObject({
      upstreams: expect.arrayContaining([expect.objectContaining({ server: "demo", direct: ["older_only"] })]),
    });
    const metrics = await fetch(`http://127.0.0.1:${ports.brokerOps}/metrics`).then((reply) => reply.text());
    expect(metrics).toContain('mcp_authz_upstream_direct_unfit{server="demo",fault="older_only"} 1');
    const lines = lab.children.broker.output().split("\n");
    const warned = lines.filter((line) => line.includes("direct_cannot_carry") && line.includes('"demo"'));
    expect(warned).toHaveLength(1);
  });
});

describe("PO-12: a server with passthrough: true", () => {
  const at = (onCall: (arrival: Arrival, response: ServerResponse) => void) => {
    server.onCall = onCall;
    return legacy(
      lab.gateway,
      "tools/call",
      { name: "echo", arguments: {} },
      { token: alice, path: "/servers/tickets/mcp" },
    ).finally(() => (server.onCall = answerOk));
  };
  const SAID = { ...HOSTILE, "www-authenticate": 'Bearer realm="its own"', "x-its-own": "yes" };

  it.each([401, 403, 500, 503])(
    "says %i itself, and its challenge; nothing that speaks for our origin",
    async (status) => {
      const reply = await at((_, response) =>
        withHeaders(response, SAID).writeHead(status, { "content-type": "text/html" }).end("<b>its own</b>"),
      );
      expect([reply.status, reply.text]).toEqual([status, "<b>its own</b>"]);
      expect([reply.headers.get("www-authenticate"), reply.headers.get("x-its-own")]).toEqual([
        'Bearer realm="its own"',
        "yes",
      ]);
      expect(reply.headers.get("content-security-policy")).toContain("sandbox");
      for (const name of [
        "set-cookie",
        "location",
        "refresh",
        "clear-site-data",
        "access-control-allow-origin",
        "alt-svc",
      ])
        expect(reply.headers.has(name)).toBe(false);
      for (const name of ["strict-transport-security", "mcp-session-id", "x-authorized-tools", "x-mcp-by-server"])
        expect(reply.headers.get(name)).not.toBe("evil");
    },
  );

  it.each([301, 302, 307])("redirects nobody: %i", async (status) => {
    const reply = await at((_, response) => withHeaders(response, SAID).writeHead(status).end());
    expect([reply.status, reply.headers.has("location")]).toEqual([502, false]);
  });

  it("is called in JSON as ever", async () => {
    const reply = await at((arrival, response) => json(withHeaders(response, SAID), 200, result(arrival)));
    expect([reply.status, reply.headers.get("x-its-own"), reply.headers.has("set-cookie")]).toEqual([
      200,
      "yes",
      false,
    ]);
  });
});
