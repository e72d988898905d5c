import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import {
  createServer as createPlainServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import { createServer as createTcpServer, type AddressInfo, type Server } from "node:net";
import { setImmediate } from "node:timers/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect, promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { createHttpClient, drainOrClose, HttpFault, readBounded, type HttpRequest } from "./client.ts";

const run = promisify(execFile);
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

async function detailOf(promise: Promise<unknown>): Promise<string> {
  const error = (await promise.catch((reason: unknown) => reason)) as HttpFault;
  return `${error.code} ${error.systemCode}`;
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

  it("takes no other parser because the environment names one", async () => {
    const origin = await speak("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab");
    const program = `
      import { createHttpClient } from ${JSON.stringify(join(import.meta.dirname, "client.ts"))};
      const request = { method: "GET", path: "/", headers: {}, body: null, signal: AbortSignal.timeout(2000) };
      const http = createHttpClient({ origin: ${JSON.stringify(origin)}, ca: null });
      await http.fetch(request, 10).catch(({ code }) => console.log(code));
      http.close();
    `;
    const env = { ...process.env, UNDICI_USE_MILO: "1" };
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", program], { env });
    expect(stdout).toBe("not_http\n");
  });

  it.each<[string, string, string]>([
    ["an endless body", `HTTP/1.1 200 OK\r\n\r\n${"x".repeat(2000)}`, "too_large"],
    ["a body that is cut off", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc", "cut_off"],
    ["a chunked body that is cut off", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", "cut_off"],
    ["two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", "not_http"],
    ["a compressed body", "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx", "encoded"],
    ["two encodings", "HTTP/1.1 200 OK\r\ncontent-encoding: identity\r\ncontent-encoding: gzip\r\n\r\nx", "encoded"],
    ["no HTTP at all", "SSH-2.0-x\r\n", "not_http"],
    ["nothing", "", "cut_off"],
    ["a head without end", `HTTP/1.1 200 OK\r\n${`a: ${"b".repeat(500)}\r\n`.repeat(100)}`, "headers_too_large"],
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
    expect(await faultOf(client(origin).fetch(ask("/", 500), 10))).toBe("cut_off");
  });

  it("G09: a time limit ends a request that waits for a connection", async () => {
    let asked = 0;
    const origin = await serve(() => void (asked += 1));
    const http = createHttpClient({ origin, ca: null, maxConnections: 1 });
    closing.push(() => http.close());
    const first = http.open(ask("/1", 5000)).catch(() => {});
    expect(await faultOf(http.fetch(ask("/2", 50), 10))).toBe("timeout");
    expect(await faultOf(http.open(ask("/3", 50)))).toBe("timeout");
    http.close();
    await first;
    expect(asked).toBe(1);
  });

  it("G09: an abort ends the attempt to connect: no other request waits behind it, and its body is not kept", async () => {
    const closed: Promise<unknown>[] = [];
    const silent = createTcpServer((socket) => {
      socket.on("error", () => {});
      closed.push(new Promise((done) => socket.on("close", done).resume()));
    });
    const origin = `https://127.0.0.1:${await listening(silent)}`; // no TLS handshake comes about
    const http = createHttpClient({ origin, ca: null, maxConnections: 1 });
    closing.push(() => http.close());
    const started = performance.now();
    const faults = await Promise.all(["/1", "/2", "/3"].map((path) => faultOf(http.open(ask(path, 100)))));
    expect(faults).toEqual(["timeout", "timeout", "timeout"]);
    expect(await faultOf(http.open(ask("/4", 100)))).toBe("timeout");
    await Promise.all(closed);
    expect(closed.length).toBeGreaterThan(1);
    expect(performance.now() - started).toBeLessThan(3000);
  });

  it("close ends attempts to connect, too: none keeps the process", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const silent = createTcpServer((socket) => {
      http.close();
      socket.on("error", () => {}).on("close", resolve);
      socket.resume();
    });
    const http = createHttpClient({ origin: `https://127.0.0.1:${await listening(silent)}`, ca: null });
    const started = performance.now();
    expect(await faultOf(http.open(ask("/", 60_000)))).toBe("aborted");
    await promise;
    expect(performance.now() - started).toBeLessThan(3000);
  });

  it.each<[string, (request: IncomingMessage, response: ServerResponse) => void]>([
    ["closes at once", (request) => request.socket.destroy()],
    ["resets", (request) => request.socket.resetAndDestroy()],
    ["closes amid its head", (request) => request.socket.end("HTTP/1.1 200 OK\r\nx-a: ")],
    ["closes amid its body", (request) => request.socket.end("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")],
    ["says 100 and no more", (request) => request.socket.end("HTTP/1.1 100 Continue\r\n\r\n")],
  ])("a call is sent once, to a server that %s", async (_, listener) => {
    const seen: string[] = [];
    const origin = await serve((request, response) => {
      seen.push(`${request.method} ${request.url}`);
      if (request.url === "/warm") response.end("ok");
      else listener(request, response);
    });
    const http = client(origin);
    for (const method of ["POST", "GET", "DELETE"]) {
      await http.fetch(ask("/warm"), 10);
      expect(await faultOf(http.fetch({ ...ask("/call"), method, body: Buffer.from("{}") }, 10))).toBe("cut_off");
    }
    const calls = ["POST", "GET", "DELETE"].flatMap((method) => ["GET /warm", `${method} /call`]);
    expect(seen).toEqual(calls);
  });

  it("a body that fails while nobody reads it ends neither the process nor the next request", async () => {
    const origin = await serve((request, response) => {
      if (request.url === "/next") response.end("ok");
      else request.socket.end("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc");
    });
    const http = client(origin);
    const left = await http.open(ask());
    await new Promise((done) => left.on("close", done).resume());
    await expect(readBounded(left, 10)).rejects.toMatchObject({ code: "cut_off" });
    expect((await http.fetch(ask("/next"), 10)).body.toString()).toBe("ok");
  });

  it("an abort while the body comes is told with its reason", async () => {
    const origin = await serve((_, response) => void response.writeHead(200).write("a"));
    const controller = new AbortController();
    const response = await client(origin).open({ ...ask(), signal: controller.signal });
    const body = readBounded(response, 10);
    controller.abort(new HttpFault("caller_expired"));
    expect(await faultOf(body)).toBe("caller_expired");
  });

  it("a path that leads elsewhere is not sent", async () => {
    let asked = 0;
    const origin = await serve((_, response) => void response.end(String((asked += 1))));
    for (const path of ["http://127.0.0.1:1/x", "x", "", "*"])
      expect(await faultOf(client(origin).fetch(ask(path), 10))).toBe("invalid_request");
    expect(asked).toBe(0);
  });

  it("a host of the caller's is not sent, and a header that came twice is one value", async () => {
    const hosts: unknown[] = [];
    const origin = await serve((request, response) => {
      hosts.push(request.headersDistinct["host"]);
      response.setHeader("content-type", ["application/json", "text/html"]);
      response.end();
    });
    const { headers } = await client(origin).fetch({ ...ask(), headers: { host: "evil.example.com" } }, 10);
    expect([hosts, headers["content-type"]]).toEqual([[[new URL(origin).host]], "application/json, text/html"]);
  });

  it("nobody listens", async () => {
    const server = createTcpServer();
    const port = await listening(server);
    await new Promise((done) => server.close(done));
    expect(await faultOf(client(`http://127.0.0.1:${port}`).fetch(ask(), 10))).toBe("unreachable");
  });

  it("a path or a header that cannot be sent is a fault, not a throw", async () => {
    const origin = await serve((_, response) => response.end());
    expect(await faultOf(client(origin).fetch(ask("/a b"), 10))).toBe("invalid_request");
    const headers = { "x-vault-token": "s3cr3t-canary\r\nx: y" };
    expect(await faultOf(client(origin).fetch({ ...ask(), headers }, 10))).toBe("invalid_request");
    const opened = client(origin).open({ ...ask(), headers }); // no throw here either
    expect(await faultOf(opened)).toBe("invalid_request");
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
    expect(await detailOf(client(origin, other.cert).fetch(ask(), 10))).toBe("tls DEPTH_ZERO_SELF_SIGNED_CERT");
    expect(await detailOf(client(origin).fetch(ask(), 10))).toBe("tls DEPTH_ZERO_SELF_SIGNED_CERT");
    expect(await detailOf(client(await start(other), other.cert).fetch(ask(), 10))).toBe(
      "tls ERR_TLS_CERT_ALTNAME_INVALID",
    );
  });
});

describe("drainOrClose", () => {
  /** Connections that two requests after each other take. */
  const connections = async (listener: RequestListener) => {
    const sockets = new Set<unknown>();
    const origin = await serve((request, response) => {
      sockets.add(request.socket);
      listener(request, response);
    });
    const http = client(origin);
    for (let i = 0; i < 2; i += 1) {
      const response = await http.open(ask());
      const closed = new Promise((done) => response.on("close", done));
      drainOrClose(response);
      await closed;
      await setImmediate(); // a connection is not used again in the turn in which its response ended
    }
    return sockets.size;
  };

  it.each<[string, number, RequestListener]>([
    ["keeps the connection when little is left", 1, (_, response) => response.end("x".repeat(1000))],
    ["closes it when much is left", 2, (_, response) => response.end("x".repeat(1024 * 1024))],
    ["closes it when the rest does not come", 2, (_, response) => response.writeHead(200).write("x")],
  ])("%s", async (_, expected, listener) => expect(await connections(listener)).toBe(expected));
});
