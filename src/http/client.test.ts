import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as createPlainServer, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { createServer as createTcpServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { createHttpClient, HttpFault, type HttpRequest } from "./client.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-http-"));
const closing: (() => void)[] = [() => rmSync(folder, { recursive: true, force: true })];
afterAll(() => {
  for (const close of closing.toReversed()) close();
});

async function listening(server: Server): Promise<number> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  closing.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function serve(listener: RequestListener): Promise<string> {
  const server = createPlainServer(listener);
  closing.push(() => server.closeAllConnections());
  return `http://127.0.0.1:${await listening(server)}`;
}

/** A server that answers any connection with these bytes and closes it. */
async function speak(bytes: string): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end(bytes));
  });
  return `http://127.0.0.1:${await listening(server)}`;
}

function ask(path = "/", ms = 2000): HttpRequest {
  return {
    method: "GET",
    path,
    headers: { "x-vault-token": "s3cr3t-canary" },
    body: null,
    signal: AbortSignal.timeout(ms),
  };
}

function client(origin: string, ca: Buffer | null = null) {
  const made = createHttpClient({ origin, ca });
  closing.push(() => made.close());
  return made;
}

async function faultOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(HttpFault);
  expect(`${inspect(error, { depth: 9 })}${JSON.stringify(error)}${String(error)}`).not.toContain("s3cr3t-canary");
  return (error as HttpFault).code;
}

describe("createHttpClient", () => {
  it("M10: sends the path byte for byte", async () => {
    const seen: (string | undefined)[] = [];
    const origin = await serve((request, response) => {
      seen.push(request.url);
      response.end();
    });
    const paths = ["/v1/a/../b", "/v1/%2e%2e/x", "/v1//a", "/v1/a?b=c"];
    for (const path of paths) await client(origin).fetch(ask(path), 10);
    expect(seen).toEqual(paths);
  });

  it("G06: a redirect is an answer, and nobody follows it", async () => {
    let followed = 0;
    const elsewhere = await serve((_, response) => {
      followed += 1;
      response.end("evil");
    });
    const origin = await serve((_, response) => response.writeHead(307, { location: `${elsewhere}/v1/x` }).end());
    const answer = await client(origin).fetch(ask(), 10);
    expect([answer.status, followed]).toEqual([307, 0]);
  });

  it("does not ask a proxy of the environment", async () => {
    const proxy = await serve((_, response) => response.end("proxy"));
    const origin = await serve((_, response) => response.end("origin"));
    const before = { ...process.env };
    Object.assign(process.env, { HTTP_PROXY: proxy, http_proxy: proxy, NODE_USE_ENV_PROXY: "1" });
    const answer = await client(origin).fetch(ask(), 10);
    process.env = before;
    expect(answer.body.toString()).toBe("origin");
  });

  it.each<[string, string, string]>([
    ["an endless body", `HTTP/1.1 200 OK\r\n\r\n${"x".repeat(2000)}`, "too_large"],
    ["a body that is cut off", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc", "ECONNRESET"],
    ["a compressed body", "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx", "encoded"],
    ["no HTTP at all", "SSH-2.0-x\r\n", "HPE_INVALID_CONSTANT"],
    ["nothing", "", "ECONNRESET"],
    ["a head without end", `HTTP/1.1 200 OK\r\n${`a: ${"b".repeat(500)}\r\n`.repeat(100)}`, "HPE_HEADER_OVERFLOW"],
  ])("G09, G19: %s is a fault without content", async (_, bytes, code) => {
    expect(await faultOf(client(await speak(bytes)).fetch(ask(), 1000))).toBe(code);
  });

  it("G09: a server that never answers, or never ends, is a timeout", async () => {
    const silent = await serve(() => {});
    expect(await faultOf(client(silent).fetch(ask("/", 50), 10))).toBe("timeout");
    const slow = await serve((_, response) => void response.writeHead(200).write("a"));
    expect(await faultOf(client(slow).fetch(ask("/", 50), 10))).toBe("timeout");
  });

  it("N01: an upgrade that nobody asked for is a fault, and no question without an end", async () => {
    const origin = await speak("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
    expect(await faultOf(client(origin).fetch(ask("/", 500), 10))).toBe("no_answer");
  });

  it("nobody listens", async () => {
    const server = createTcpServer();
    const port = await listening(server);
    await new Promise((done) => server.close(done));
    expect(await faultOf(client(`http://127.0.0.1:${port}`).fetch(ask(), 10))).toBe("ECONNREFUSED");
  });

  it("a path or a header that cannot be sent is a fault, not a throw", async () => {
    const origin = await serve((_, response) => response.end());
    expect(await faultOf(client(origin).fetch(ask("/a b"), 10))).toBe("ERR_UNESCAPED_CHARACTERS");
    const headers = { "x-vault-token": "s3cr3t-canary\r\nx: y" };
    expect(await faultOf(client(origin).fetch({ ...ask(), headers }, 10))).toBe("ERR_INVALID_CHAR");
    const opened = client(origin).open({ ...ask(), headers }); // no throw here either
    expect(await faultOf(opened)).toBe("ERR_INVALID_CHAR");
  });

  it("G20: TLS is verified: its CA, and that the certificate is for this host", async () => {
    const make = (name: string, san: string) => {
      const file = (kind: string) => join(folder, `${name}.${kind}`);
      execFileSync("openssl", [
        ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"],
        ...["-keyout", file("key"), "-out", file("crt"), "-subj", `/CN=${name}`, "-addext", `subjectAltName=${san}`],
      ]);
      return { key: readFileSync(file("key")), cert: readFileSync(file("crt")) };
    };
    const right = make("right", "IP:127.0.0.1");
    const other = make("other", "DNS:other.example.com");
    const start = async (pair: typeof right) =>
      `https://127.0.0.1:${await listening(createTlsServer(pair, (_, response) => response.end("ok")))}`;
    const origin = await start(right);
    expect((await client(origin, right.cert).fetch(ask(), 10)).body.toString()).toBe("ok");
    expect(await faultOf(client(origin, other.cert).fetch(ask(), 10))).toBe("DEPTH_ZERO_SELF_SIGNED_CERT");
    expect(await faultOf(client(origin).fetch(ask(), 10))).toBe("DEPTH_ZERO_SELF_SIGNED_CERT");
    expect(await faultOf(client(await start(other), other.cert).fetch(ask(), 10))).toBe("ERR_TLS_CERT_ALTNAME_INVALID");
  });
});
