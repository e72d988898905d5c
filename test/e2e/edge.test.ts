// Each hole of the edge, tried on the real Envoy with raw bytes: nothing of these may reach the server.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { DEMO_CREDENTIAL, startLab, type Lab } from "../../demo/lab.ts";
import { freePorts, type Ports } from "../../demo/ports.ts";
import { legacy } from "./client.ts";
import { http2Post, rawBytes, rawRequest, type RawParts } from "./raw-http.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-edge-"));
let lab: Lab;
let ports: Ports;
let alice: string;

beforeAll(async () => {
  ports = await freePorts();
  lab = await startLab({ folder, ports, policyFolder: null, progress: () => {} });
  alice = await lab.idp.mint("alice");
});
afterAll(async () => {
  await lab.stop();
  rmSync(folder, { recursive: true, force: true });
});

let before = 0;
beforeEach(() => {
  before = lab.demo.arrivals.length;
});
const reached = () => lab.demo.arrivals.length - before;

const CALL = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "whoami", arguments: {} } });
/** `limits.bodyBytes` by default. */
const BODY_BYTES = 256 * 1024;
const JSON_TYPE = "Content-Type: application/json";
const ACCEPT = "Accept: application/json, text/event-stream";
const bearer = () => `Authorization: Bearer ${alice}`;
const good = (more: RawParts = {}): RawParts => ({
  body: CALL,
  ...more,
  headers: [JSON_TYPE, ACCEPT, bearer(), ...(more.headers ?? [])],
});
const send = (parts: RawParts) => rawRequest(ports.gateway, rawBytes(parts));
const chunked = (text: string) => Buffer.from(`${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`);

describe("what passes", () => {
  it.each<[string, () => RawParts]>([
    ["a plain request", () => good()],
    ["chunked", () => good({ headers: ["Transfer-Encoding: chunked"], contentLength: null, body: chunked(CALL) })],
    ["Expect: 100-continue", () => good({ headers: ["Expect: 100-continue"] })],
    [
      "h2c, which Envoy takes off: the request goes on as HTTP/1.1",
      () => good({ headers: ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAAA"] }),
    ],
    ["the host in capitals with a port", () => good({ host: "LOCALHOST:9999" })],
    ["a dot behind the host", () => good({ host: "localhost." })],
    ["a dot behind the host, and a port", () => good({ host: "LocalHost.:9999" })],
    ["an encoded path that Envoy normalises to ours", () => good({ target: "/servers/%64emo/mcp" })],
    ["dots that Envoy resolves to ours", () => good({ target: "/servers/x/../demo/mcp" })],
  ])("%s", async (_, parts) => {
    const reply = await send(parts());
    expect([/HTTP\/1\.1 200/.test(reply.text), reached()]).toEqual([true, 1]);
    expect(lab.demo.arrivals.at(-1)?.path).toBe("/mcp");
  });
  it("HTTP/2", async () => {
    const reply = await http2Post(ports.gateway, { authorization: `Bearer ${alice}` }, [Buffer.from(CALL)]);
    expect([reply.status, reached()]).toEqual([200, 1]);
  });
});

describe("what reaches nobody", () => {
  it.each<[string, () => RawParts, number | readonly number[]]>([
    ["C05 two Authorization", () => good({ headers: ["Authorization: Bearer x"] }), 400],
    ["A47 token in the query", () => ({ ...good(), target: `/servers/demo/mcp?access_token=${alice}` }), 400],
    ["any query", () => good({ target: "/servers/demo/mcp?x=/.well-known/" }), 400],
    ["C12 two Host", () => good({ headers: ["Host: evil.example.com"] }), [400, 404]],
    ["two dots behind the host", () => good({ host: "localhost.." }), [400, 404]],
    ["a dot alone", () => good({ host: "." }), [400, 404]],
    ["C12 unknown Host", () => good({ host: "evil.example.com" }), 404],
    ["C12 no Host", () => good({ host: null }), 400],
    ["C12 empty Host", () => good({ host: "" }), [400, 404]],
    ["C12 user info", () => good({ host: "a@127.0.0.1" }), [400, 404]],
    ["C12 absolute form with another host", () => good({ target: "http://evil.example.com/servers/demo/mcp" }), 404],
    ["C10 //", () => good({ target: "//evil/servers/demo/mcp" }), 404],
    ["C10 %2f", () => good({ target: "/servers%2fdemo/mcp" }), 400],
    ["C10 %5c", () => good({ target: "/servers%5cdemo/mcp" }), 400],
    ["C10 ..%2f", () => good({ target: "/.well-known/..%2fservers/demo/mcp" }), 400],
    ["C10 %00", () => good({ target: "/servers/demo/mcp%00" }), 400],
    ["C10 ;", () => good({ target: "/servers/demo/mcp;x" }), 404],
    ["C10 case", () => good({ target: "/Servers/demo/mcp" }), 404],
    ["C10 trailing slash", () => good({ target: "/servers/demo/mcp/" }), 404],
    ["C10 double encoding", () => good({ target: "/servers%252fdemo/mcp" }), 404],
    ["C10 fragment", () => good({ target: "/servers/demo/mcp#x" }), 400],
    [
      "I11 through the public document",
      () => good({ target: "/.well-known/oauth-protected-resource/..;/servers/demo/mcp" }),
      [400, 404],
    ],
    ["I11 a POST to the public document", () => good({ target: "/.well-known/oauth-protected-resource" }), 405],
    ["C18 websocket", () => good({ headers: ["Connection: Upgrade", "Upgrade: websocket"] }), [400, 403]],
    ["C19 CONNECT", () => ({ method: "CONNECT", target: "127.0.0.1:80" }), [400, 404, 405]],
    ["C19 TRACE", () => good({ method: "TRACE" }), [400, 405]],
    ["C19 PUT", () => good({ method: "PUT" }), 405],
    ["C19 PATCH", () => good({ method: "PATCH" }), 405],
    ["B29 GET", () => good({ method: "GET", body: "" }), 405],
    ["B29 GET with a body", () => good({ method: "GET" }), 405],
    ["DELETE", () => good({ method: "DELETE", body: "" }), 405],
    ["C02 an underscore in a name of ours", () => good({ headers: ["x_authorized_tools: x"] }), 400],
    ["C02 any underscore", () => good({ headers: ["a_b: x"] }), 400],
    ["B28 gzip", () => good({ headers: ["Content-Encoding: gzip"], body: gzipSync(CALL) }), 415],
    ["B28 only claims gzip", () => good({ headers: ["Content-Encoding: gzip"] }), 415],
    ["B27 text/plain", () => ({ body: CALL, headers: ["Content-Type: text/plain", ACCEPT, bearer()] }), 415],
    ["B27 two content types", () => good({ headers: ["Content-Type: text/plain"] }), 415],
    ["N-07 another origin", () => good({ headers: ["Origin: https://evil.example.com"] }), 403],
    ["B52 Origin null", () => good({ headers: ["Origin: null"] }), 403],
    ["B25 no body", () => good({ body: "" }), 400],
    ["B24 256 KiB and a byte", () => good({ body: " ".repeat(BODY_BYTES + 1) }), 413],
    ["CL and TE", () => good({ headers: ["Transfer-Encoding: chunked"], body: chunked(CALL) }), 400],
    ["two Content-Length", () => good({ headers: [`Content-Length: ${CALL.length}`] }), 400],
    ["N-01 a lying Mcp-Name", () => good({ headers: ["Mcp-Name: echo"] }), 400],
    ["B20 Mcp-Method twice", () => good({ headers: ["Mcp-Method: tools/call", "Mcp-Method: tools/list"] }), 400],
    ["B01 a batch", () => good({ body: `[${CALL}]` }), 400],
    [
      "A17 a token of 20 KB",
      () => ({ body: CALL, headers: [JSON_TYPE, ACCEPT, `Authorization: Bearer ${"a".repeat(20_000)}`] }),
      431,
    ],
    ["431 too many headers", () => good({ headers: Array.from({ length: 110 }, (_, i) => `x-h${i}: 1`) }), 431],
    ["no token", () => ({ body: CALL, headers: [JSON_TYPE, ACCEPT] }), 401],
    ["no token, GET", () => ({ method: "GET", headers: [ACCEPT] }), 401],
    ["a space before the colon", () => good({ headers: ["x-a : 1"] }), 400],
    ["HTTP/1.0 is not spoken", () => ({ ...good(), method: "POST", target: "/servers/demo/mcp" }), 200],
  ])("%s", async (name, parts, expected) => {
    const bytes = rawBytes(parts());
    const reply = await rawRequest(
      ports.gateway,
      name.startsWith("HTTP/1.0")
        ? Buffer.from(bytes.toString("latin1").replace("HTTP/1.1", "HTTP/1.0"), "latin1")
        : bytes,
    );
    const accepted = name.startsWith("HTTP/1.0") ? [426] : [expected].flat();
    expect(accepted).toContain(reply.status);
    expect(reached()).toBe(0);
    expect(reply.text).not.toContain(DEMO_CREDENTIAL);
  });

  it.each<[string, Buffer[]]>([
    ["one frame over the limit", [Buffer.from(CALL.padEnd(BODY_BYTES - 100)), Buffer.alloc(5000, 32)]],
    ["the last frame alone is over", [Buffer.alloc(BODY_BYTES, 32), Buffer.from(CALL)]],
  ])("lab 1.2, B24 over HTTP/2: %s", async (_, frames) => {
    const reply = await http2Post(ports.gateway, { authorization: `Bearer ${alice}` }, frames);
    expect([413, 0]).toContain(reply.status);
    expect(reached()).toBe(0);
  });

  it("F4: a length that is refused at once costs none of what large bodies may take", async () => {
    const announced = [];
    for (let i = 0; i < 8; i += 1) announced.push(await send(good({ contentLength: 10_000_000 })));
    expect(announced.map(({ status }) => status)).toEqual(announced.map(() => 413));
    expect((await send(good({ body: CALL.padEnd(BODY_BYTES) }))).status).toBe(200);
  });
});

describe("C01, P10: managed headers are ours", () => {
  const SPOOFED = [
    "x-authorized-tools: evil",
    "X-Authorized-Tools: evil",
    "x-mcp-server: other",
    "x-upstream-authorization: Bearer evil",
    "mcp-session-id: evil",
    "cookie: a=evil",
    "proxy-authorization: Basic evil",
    "x-vault-token: evil",
    "x-vault-namespace: evil",
    "x-mcp-subject: evil",
    "x-mcp-route: broker",
    "x-mcp-authorized: evil",
    "x-envoy-auth-partial-body: false",
    "x-envoy-auth-failure-mode-allowed: true",
    "x-forwarded-user: evil",
    "x-original-url: /evil",
    "x-real-ip: 6.6.6.6",
    "forwarded: for=evil",
  ];
  it("none arrives, however it is sent", async () => {
    const reply = await send(good({ headers: SPOOFED }));
    expect(/HTTP\/1\.1 200/.test(reply.text)).toBe(true);
    const arrival = lab.demo.arrivals.at(-1);
    expect(reached()).toBe(1);
    expect(JSON.stringify(arrival?.headers)).not.toMatch(/evil|6\.6\.6\.6/);
    expect(arrival?.headers.authorization).toBe(`Bearer ${DEMO_CREDENTIAL}`);
    expect(JSON.stringify(arrival)).not.toContain(alice);
  });
  it("C03: a Connection header cannot take ours away", async () => {
    await send(good({ headers: ["Connection: close, authorization"] }));
    for (const arrival of lab.demo.arrivals.slice(before))
      expect(arrival.headers.authorization).toBe(`Bearer ${DEMO_CREDENTIAL}`);
  });
  it("B55: the broker shows nothing to somebody who comes without Envoy", async () => {
    for (const headers of [{}, { "x-authorized-tools": "a.b.c" }, { authorization: `Bearer ${alice}` }]) {
      const response = await fetch(`http://127.0.0.1:${ports.broker}/mcp`, {
        method: "POST",
        body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" }),
        headers: { "content-type": "application/json", ...headers },
      });
      expect([
        response.status,
        ((await response.json()) as { error: { data: { reason: string } } }).error.data.reason,
      ]).toEqual([403, "wristband_invalid"]);
    }
    const catalogue = await fetch(`http://127.0.0.1:${ports.brokerOps}/catalog`, {
      headers: { authorization: `Bearer ${alice}` },
    });
    expect(catalogue.status).toBe(401);
  });
});

describe("operator endpoints", () => {
  it("admin is on a socket; the ops listener gives readiness and metrics only", async () => {
    const ops = `http://127.0.0.1:${ports.envoyOps}`;
    expect((await fetch(`${ops}/ready`)).status).toBe(200);
    expect(await (await fetch(`${ops}/stats/prometheus`)).text()).toContain("envoy_http_ext_authz_denied");
    for (const path of ["/config_dump", "/quitquitquit", "/", "/ready/../config_dump"])
      expect((await fetch(ops + path)).status).toBe(404);
    const dump = await new Promise<number>((done) => {
      httpRequest({ socketPath: join(folder, "run/envoy-admin.sock"), path: "/ready" }, (r) =>
        done(r.statusCode ?? 0),
      ).end();
    });
    expect(dump).toBe(200);
  });

  it("serve's metrics count by closed labels, its keys are public halves, its audit has a line per Check", async () => {
    const ops = `http://127.0.0.1:${ports.ops}`;
    const lines = () => readFileSync(lab.auditFile, "utf8").trim().split("\n").length;
    const were = lines();
    await legacy(lab.gateway, "tools/call", { name: "nope\u0435", arguments: {} }, { token: alice });
    await fetch(`${lab.gateway}/.well-known/oauth-protected-resource`);
    await fetch(`${lab.gateway}/nowhere`);
    await vi.waitFor(() => expect(lines() - were).toBe(3), 3000); // a refusal does not wait for its line
    const metrics = await (await fetch(`${ops}/metrics`)).text();
    expect(metrics).toMatch(/mcp_authz_checks_total\{decision="deny",reason="policy_denied"\} [1-9]/);
    expect(metrics).toMatch(/mcp_authz_checks_total\{decision="public",reason=""\} [1-9]/);
    expect(metrics).toMatch(/mcp_authz_checks_total\{decision="fail",reason="internal"\} 0/);
    expect(metrics).toContain("mcp_authz_policy_info");
    const jwks = await (await fetch(`${ops}/.well-known/jwks.json`)).text();
    expect(jwks).toMatch(/"kty":"EC"/);
    expect(jwks).not.toMatch(/"d":/);
    expect((await fetch(`${ops}/metrics`, { method: "POST" })).status).toBe(405);
    expect((await fetch(`${ops}/healthz`)).status).toBe(200);
    expect((await fetch(`${ops}/other`)).status).toBe(404);
  });
});

it("a stream's events arrive one by one (SSE is not buffered), and the upstream's own headers stay inside", async () => {
  const reply = await legacy(lab.gateway, "tools/call", { name: "echo", arguments: { text: "x" } }, { token: alice });
  expect(reply.headers.get("content-type")).toContain("text/event-stream");
  for (const name of ["set-cookie", "x-powered-by", "www-authenticate", "x-envoy-upstream-service-time"])
    expect(reply.headers.has(name)).toBe(false);
});
