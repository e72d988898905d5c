import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { HttpResponse } from "../../http/client.ts";
import { createServer, type Server } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { modernServer, startFakeServer, type FakeServer, type Respond } from "../../../test/fakes/mcp-server.ts";
import { faultWord } from "../../broker/catalog/listing.ts";
import { createUpstreams } from "../../broker/upstream/upstream.ts";
import { checkSettings } from "../../config/settings.ts";
import { loadConfig } from "../../config/load.ts";
import { listersOf, upstreamSettings } from "./upstreams.ts";
import { partsOf } from "../../http/url.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-upstreams-"));
const tools = { tools: [{ name: "t", inputSchema: { type: "object" } }] };
let plain: FakeServer;
let tls: Server;

beforeAll(async () => {
  writeFileSync(join(folder, "key"), "secret-of-the-gateway\n", { mode: 0o600 });
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  const made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
  execFileSync("openssl", [...made, ...subject, "-keyout", join(folder, "tls.key"), "-out", join(folder, "tls.pem")], {
    stdio: "ignore",
  });
  plain = await startFakeServer(modernServer(tools));
  const [key, cert] = ["tls.key", "tls.pem"].map((name) => readFileSync(join(folder, name)));
  tls = createServer({ key, cert }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { method = "" } = JSON.parse(Buffer.concat(chunks).toString()) as { method?: string };
      const result =
        method === "server/discover" ? { supportedVersions: ["2026-07-28"], capabilities: { tools: {} } } : tools;
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ jsonrpc: "2.0", id: 1, result }));
    });
  });
  await new Promise<void>((done) => tls.listen(0, "127.0.0.1", done));
});
afterAll(async () => {
  tls.closeAllConnections();
  tls.close();
  await plain.close();
  rmSync(folder, { recursive: true, force: true });
});

function listed(server: object) {
  const file = join(folder, "mcp-authz.yaml");
  const issuers = [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }];
  const text = stringify({
    publicOrigin: "https://gw.example.com",
    identity: { issuers },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k", file: "w.pem" }] },
    servers: { s: { callRouting: "direct", credential: [{ none: {} }], ...server } },
  });
  writeFileSync(file, text);
  const { config } = loadConfig(file, {});
  const upstreams = createUpstreams(upstreamSettings(config));
  const lister = listersOf(config, upstreams, {
    ...checkSettings(config),
    outputSchemas: { compile: (texts) => Promise.resolve(texts.map(() => true)) },
  }).get("s");
  return (lister?.() ?? Promise.reject(new Error("no server"))).finally(() => upstreams.close());
}

const portOf = () => (tls.address() as { port: number }).port;

it.each([
  ["https://a.example.com/mcp", "https://a.example.com", "/mcp"],
  ["https://a.example.com", "https://a.example.com", "/"],
  ["https://a.example.com:8443?x=1", "https://a.example.com:8443", "/?x=1"],
  ["http://[::1]:1/a%2Fb/../c?d=/e", "http://[::1]:1", "/a%2Fb/../c?d=/e"],
])("%s is taken apart as it is written", (url, origin, path) => expect(partsOf(url)).toEqual({ origin, path }));

describe("as whom a server is listed", () => {
  const headersFor = async (discovery: object[] | undefined) => {
    plain.requests.length = 0;
    await listed({ url: plain.url, ...(discovery && { discovery }) });
    return plain.requests.map(({ headers }) => [headers.authorization, headers["x-api-key"]]);
  };
  /** Era, the older handshake of two messages (it is direct), list. */
  const always = (one: unknown[]) => [one, one, one, one];

  it("nobody, unless it is said", async () => {
    expect(await headersFor(undefined)).toEqual(always([undefined, undefined]));
    expect(await headersFor([{ none: {} }])).toEqual(always([undefined, undefined]));
  });

  it("with the discovery credential, in its header and scheme", async () => {
    expect(await headersFor([{ static: { file: "key" } }])).toEqual(
      always(["Bearer secret-of-the-gateway", undefined]),
    );
    const key = { static: { file: "key", header: "x-api-key", scheme: "" } };
    expect(await headersFor([key, { none: {} }])).toEqual(always([undefined, "secret-of-the-gateway"]));
    expect(await headersFor([{ none: {} }, key])).toEqual(always([undefined, undefined]));
  });

  it.each([
    [[], "an empty chain"],
    [[{ vault: { mount: "m", path: "p" } }], "is for callers, and discovery has none"],
    [[{ static: { file: "key", header: "content-length" } }], "cannot carry a credential"],
    [[{ static: { file: "key", header: "mcp-session-id" } }], "cannot carry a credential"],
    [[{ static: { file: "key", header: "accept" } }], "cannot carry a credential"],
    [[{ static: { file: "key", header: "x_key" } }], "must not hold '_'"],
  ])("the chain %j is refused at the start", (discovery, why) => {
    expect(() => listed({ url: plain.url, discovery })).toThrow(why);
  });
});

describe("TLS is verified, CA and host name", () => {
  const word = (server: object) =>
    listed(server).then(({ tools: found }) => found.map(({ name }) => name).join(), faultWord);

  it("with its CA it is listed, without it not, under another name not", async () => {
    const caFile = join(folder, "tls.pem");
    expect(await word({ url: `https://localhost:${portOf()}/mcp`, caFile })).toBe("t");
    expect(await word({ url: `https://localhost:${portOf()}/mcp` })).toBe("DEPTH_ZERO_SELF_SIGNED_CERT");
    expect(await word({ url: `https://127.0.0.1:${portOf()}/mcp`, caFile })).toBe("ERR_TLS_CERT_ALTNAME_INVALID");
  });

  it("a CA that cannot be read is said at the start", () => {
    expect(() => listed({ url: plain.url, caFile: "nowhere.pem" })).toThrow("servers.s.caFile");
  });
});

it("K05: calls that hang hold up no list, and lists that hang no call", async () => {
  const waiting: (() => void)[] = [];
  const held: Respond = (_, response) => void waiting.push(() => response.writeHead(204).end());
  const server = await startFakeServer(held);
  const settings = {
    url: server.url,
    ca: null,
    timeoutMs: 1000,
    maxResponseBytes: 1e6,
    sessions: "client" as const,
    credentialHeaders: new Set<string>(),
  };
  const upstreams = createUpstreams(new Map([["s", { ...settings, needsCredential: false }]]));
  const upstream = upstreams.get("s") ?? expect.fail();
  const message = { method: "POST", headers: {}, body: Buffer.from("{}"), signal: AbortSignal.timeout(20_000) };
  const drain = (response: HttpResponse) => void response.resume();
  const lists = Array.from({ length: 10 }, () => upstream.lists.request(message).then(drain));
  await expect.poll(() => server.requests.length).toBe(2);
  const calls = Array.from({ length: 1100 }, () => upstream.request(message).then(drain));
  await expect.poll(() => server.requests.length, { timeout: 10_000 }).toBe(2 + 1024);
  // All that may be open is open: a list that ends makes way for a list, a call for a call.
  waiting.shift()?.();
  await expect.poll(() => server.requests.length).toBe(2 + 1024 + 1);
  waiting.splice(2, 1)[0]?.();
  await expect.poll(() => server.requests.length).toBe(2 + 1024 + 2);
  const answering = setInterval(() => waiting.splice(0).forEach((answer) => answer()), 5);
  await Promise.all([...lists, ...calls]);
  clearInterval(answering);
  expect(server.requests).toHaveLength(1110);
  upstreams.close();
  await server.close();
});
