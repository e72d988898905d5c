// The gRPC service with a real client on loopback: TCP, socket, mTLS, garbage, deadlines, health, drain.
import { execFileSync, spawnSync } from "node:child_process";
import {
  connect,
  constants,
  type ClientHttp2Session,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials, status, type ChannelCredentials } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { createCheck, type Check } from "../../src/authz/check.ts";
import { refuse } from "../../src/authz/step.ts";
import { newCheckFacts } from "../../src/authz/facts.ts";
import type { GrpcServer, GrpcServerOptions } from "../../src/envoy/grpc/grpc-server.ts";
import { createGrpcServer } from "../../src/envoy/grpc/server.ts";
import { toCheckResponse } from "../../src/envoy/to-check-response.ts";
import { CHECK_CODEC } from "../../src/envoy/check-codec.ts";
import { createCheckHandler } from "../../src/envoy/check-handler.ts";
import { allowingPorts, checkSettings } from "../fakes/authz.ts";
import { someInFlight } from "../fakes/handover.ts";
import { checkMessage, codecs, FULL_PROTO } from "../fakes/check-request.ts";

const { request, response } = codecs(FULL_PROTO);
const answers = { publicOrigin: "https://gw.example.com", scopes: [], denial: "jsonrpc" as const };
const responses = { answers, encode: CHECK_CODEC.encode };
const BODY = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "read", arguments: {} } });
const GOOD = request.encode(checkMessage({ body: BODY, headers: { authorization: "Bearer token" } }));
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-grpc-"));
const servers: GrpcServer[] = [];
const clients: Client[] = [];
const records: { decision: string; reason: string | null }[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const server of servers.splice(0)) await server.drain(0);
  records.length = 0;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function start(
  more: Partial<GrpcServerOptions> = {},
  check: Check = createCheck(checkSettings(), allowingPorts()),
) {
  const handler = createCheckHandler({
    check,
    answers,
    audit: (record) => (records.push(record), Promise.resolve(true)),
    observe: () => {},
    now: Date.now,
    newRequestId: () => "r",
    codec: CHECK_CODEC,
    inFlight: someInFlight(),
  });
  const server = createGrpcServer({
    address: { kind: "tcp", host: "127.0.0.1", port: 0 },
    tls: null,
    handler,
    unknownClientResponse: () => toCheckResponse(responses, refuse("internal"), newCheckFacts("r", 0)).bytes,
    checkTimeoutMs: 800,
    ...more,
  });
  servers.push(server);
  return { server, port: await server.listen() };
}

/** The client's first words (RFC 9113 §3.4): the preface, and SETTINGS of nothing. */
const PREFACE = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);
const LEAVES_A_SOCKET = `require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`;

function selfSigned() {
  const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a"];
  execFileSync("openssl", [...args, "-keyout", "self.key", "-out", "self.pem"], { cwd: folder, stdio: "ignore" });
  return { key: readFileSync(join(folder, "self.key")), cert: readFileSync(join(folder, "self.pem")) };
}

const identity = (bytes: Buffer) => bytes;

interface Result {
  /** The gRPC status; 0 for an answer. */
  grpc: number;
  /** The Check's own status code, or −1. */
  code: number;
  http: string;
}

function call(
  target: string,
  bytes: Buffer,
  options: { method?: string; timeoutMs?: number; creds?: ChannelCredentials; client?: Client } = {},
): Promise<Result> {
  const client = options.client ?? new Client(target, options.creds ?? credentials.createInsecure());
  if (options.client === undefined) clients.push(client);
  return new Promise((done) => {
    const method = options.method ?? "/envoy.service.auth.v3.Authorization/Check";
    client.makeUnaryRequest(
      method,
      identity,
      identity,
      bytes,
      { deadline: Date.now() + (options.timeoutMs ?? 5000) },
      (error, answer) => {
        if (error || answer === undefined) {
          done({ grpc: error?.code ?? -1, code: -1, http: "" });
          return;
        }
        const seen = response.decode(answer) as {
          status: { code: number } | null;
          denied_response?: { status: { code: string } };
        };
        done({ grpc: 0, code: seen.status?.code ?? 0, http: seen.denied_response?.status.code ?? "" });
      },
    );
  });
}

describe("transports", () => {
  it("TCP: allowed, and refused without a token", async () => {
    const { port } = await start();
    expect(await call(`127.0.0.1:${port}`, GOOD)).toEqual({ grpc: 0, code: 0, http: "" });
    expect(await call(`127.0.0.1:${port}`, request.encode(checkMessage({ body: BODY })))).toEqual({
      grpc: 0,
      code: 16,
      http: "Unauthorized",
    });
  });

  it("a Unix socket, over one that a dead process left; other files are not touched", async () => {
    const path = join(folder, "authz.sock");
    const dead = spawnSync(process.execPath, ["-e", LEAVES_A_SOCKET, path]);
    expect([dead.signal, existsSync(path)]).toEqual(["SIGKILL", true]);
    await start({ address: { kind: "unix", path } });
    expect((await call(`unix:${path}`, GOOD)).code).toBe(0);
    await expect(start({ address: { kind: "unix", path } })).rejects.toThrow(
      `listen.authz: cannot listen on ${path}: another program listens there`,
    );
    expect((await call(`unix:${path}`, GOOD)).code).toBe(0);
    const file = join(folder, "not-a-socket");
    writeFileSync(file, "keep me");
    await expect(start({ address: { kind: "unix", path: file } })).rejects.toThrow(/listen\.authz/);
    expect(readFileSync(file, "utf8")).toBe("keep me");
  });

  it("a taken port is said by its key", async () => {
    const { port } = await start();
    await expect(start({ address: { kind: "tcp", host: "127.0.0.1", port } })).rejects.toThrow(
      /listen\.authz: cannot listen on 127\.0\.0\.1/,
    );
  });
});

describe("mTLS", () => {
  const pem = (name: string) => readFileSync(join(folder, `${name}.pem`));
  const openssl = (...args: string[]) =>
    execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "pipe", "ignore"] });

  beforeAll(() => {
    openssl(
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-keyout",
      "ca.key",
      "-out",
      "ca.pem",
      "-subj",
      "/CN=ca",
      "-days",
      "2",
    );
    for (const [name, san] of [
      ["server", "DNS:mcp-authz"],
      ["envoy", "DNS:envoy.mesh"],
      ["stranger", "DNS:stranger.mesh"],
    ] as const) {
      writeFileSync(join(folder, `${name}.ext`), `subjectAltName=${san}`);
      openssl(
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        `${name}.key`,
        "-out",
        `${name}.csr`,
        "-subj",
        `/CN=${name}`,
      );
      openssl(
        "x509",
        "-req",
        "-in",
        `${name}.csr`,
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-out",
        `${name}.pem`,
        "-days",
        "2",
        "-extfile",
        `${name}.ext`,
      );
    }
  });

  it("takes the named client, refuses a stranger of the same CA, and speaks to nobody without a certificate", async () => {
    const tls = {
      key: readFileSync(join(folder, "server.key")),
      cert: pem("server"),
      clientCa: pem("ca"),
      clientSans: ["envoy.mesh"],
    };
    const { port } = await start({ tls });
    const as = (name: string | null) => {
      const creds =
        name === null
          ? credentials.createSsl(pem("ca"))
          : credentials.createSsl(pem("ca"), readFileSync(join(folder, `${name}.key`)), pem(name));
      const client = new Client(`127.0.0.1:${port}`, creds, { "grpc.ssl_target_name_override": "mcp-authz" });
      clients.push(client);
      return call("", GOOD, { client });
    };
    expect(await as("envoy")).toEqual({ grpc: 0, code: 0, http: "" });
    expect(await as("stranger")).toEqual({ grpc: 0, code: 14, http: "InternalServerError" });
    expect((await as(null)).grpc).toBe(status.UNAVAILABLE);
  });
});

describe("M2, D02, D03: never a gRPC error for a Check", () => {
  it.each<[string, Buffer, string]>([
    ["garbage", Buffer.from("garbage"), "BadRequest"],
    ["nothing", Buffer.alloc(0), "BadRequest"],
    ["a string that is not UTF-8", Buffer.from([0x0a, 0x06, 0x22, 0x04, 0x12, 0x02, 0x22, 0xff]), "BadRequest"],
    [
      "5 MiB",
      request.encode(
        checkMessage({ body: Buffer.alloc(5 * 1024 * 1024, 0x5b), headers: { authorization: "Bearer token" } }),
      ),
      "PayloadTooLarge",
    ],
  ])("%s", async (_, bytes, http) => {
    const { port } = await start();
    expect(await call(`127.0.0.1:${port}`, bytes)).toMatchObject({ grpc: 0, http });
    expect(records).toHaveLength(1);
  });

  it("D14, M4: answers before the caller's patience ends", async () => {
    const { port } = await start({ checkTimeoutMs: 10_000 }, () => new Promise(() => {}));
    expect(await call(`127.0.0.1:${port}`, GOOD, { timeoutMs: 2000 })).toMatchObject({
      grpc: 0,
      http: "ServiceUnavailable",
    });
    expect(records).toMatchObject([{ reason: "deadline" }]);
  });

  it("D13: other methods are not there", async () => {
    const { port } = await start();
    for (const method of [
      "/envoy.service.auth.v2.Authorization/Check",
      "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ]) {
      expect((await call(`127.0.0.1:${port}`, GOOD, { method })).grpc).toBe(status.UNIMPLEMENTED);
    }
  });

  it("D05, D16: clients that give up harm nobody else, and each Check has its record", async () => {
    const { port } = await start({}, async (...args) => {
      await new Promise((done) => setTimeout(done, 20));
      return createCheck(checkSettings(), allowingPorts())(...args);
    });
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    clients.push(client);
    const quitters = Array.from({ length: 200 }, () => {
      const pending = client.makeUnaryRequest(
        "/envoy.service.auth.v3.Authorization/Check",
        identity,
        identity,
        GOOD,
        () => {},
      );
      setTimeout(() => pending.cancel(), 5);
    });
    const stayers = await Promise.all(Array.from({ length: 50 }, () => call("", GOOD, { client })));
    expect(quitters).toHaveLength(200);
    expect(stayers.every(({ grpc, code }) => grpc === 0 && code === 0)).toBe(true);
  });
});

describe("the wire below: HTTP/2 by hand", () => {
  const CHECK = "/envoy.service.auth.v3.Authorization/Check";
  const framed = (message: Buffer, flag = 0) => {
    const bytes = Buffer.concat([Buffer.from([flag, 0, 0, 0, 0]), message]);
    bytes.writeUInt32BE(message.length, 1);
    return bytes;
  };

  interface Seen {
    readonly status: number | undefined;
    readonly grpc: string | undefined;
    readonly body: Buffer;
  }

  /** Sends these parts as one call, with nobody's gRPC library in between. */
  function send(session: ClientHttp2Session, parts: readonly Buffer[], headers: OutgoingHttpHeaders = {}) {
    const stream = session.request({
      ...{ ":method": "POST", ":path": CHECK, "content-type": "application/grpc", te: "trailers" },
      ...headers,
    });
    const seen = new Promise<Seen>((done, fail) => {
      const body: Buffer[] = [];
      let head: IncomingHttpHeaders = {};
      let tail: IncomingHttpHeaders = {};
      stream.on("response", (received: IncomingHttpHeaders) => (head = received));
      stream.on("trailers", (received: IncomingHttpHeaders) => (tail = received));
      stream.on("data", (part: Buffer) => body.push(part));
      stream.on("error", fail);
      stream.on("close", () => {
        const status = head[":status"] as number | undefined;
        const grpc = (tail["grpc-status"] ?? head["grpc-status"]) as string | undefined;
        done({ status, grpc, body: Buffer.concat(body) });
      });
    });
    for (const part of parts) stream.write(part);
    stream.end();
    return { stream, seen };
  }

  async function connected(more: Partial<GrpcServerOptions> = {}, check?: Check) {
    const { server, port } = await start(more, check);
    const session = connect(`http://127.0.0.1:${port}`);
    sessions.push(session);
    return { server, session };
  }
  const sessions: ClientHttp2Session[] = [];
  afterEach(() => {
    for (const session of sessions.splice(0)) session.destroy();
  });
  /** The HTTP status that the answered Check tells Envoy; "" for an allow. */
  const verdictOf = ({ body }: Seen) => {
    expect(body.readUInt32BE(1)).toBe(body.length - 5);
    const seen = response.decode(body.subarray(5)) as { denied_response?: { status: { code: string } } };
    return seen.denied_response?.status.code ?? "";
  };

  it("a message in pieces is one message", async () => {
    const { session } = await connected();
    const seen = await send(
      session,
      [...framed(GOOD)].map((byte) => Buffer.from([byte])),
    ).seen;
    expect(seen).toMatchObject({ status: 200, grpc: "0" });
    expect(verdictOf(seen)).toBe("");
  });

  it.each<[string, Buffer]>([
    ["nothing", Buffer.alloc(0)],
    ["half a prefix", Buffer.from([0, 0, 0])],
    ["a prefix alone, for a message that does not come", Buffer.from([0, 0, 0, 0, 9])],
    ["less than its prefix says", framed(GOOD).subarray(0, 50)],
    ["more than its prefix says, a field at that", Buffer.concat([framed(GOOD), Buffer.from([0x78, 1])])],
    ["two messages", Buffer.concat([framed(GOOD), framed(GOOD)])],
    ["a compressed message", framed(GOOD, 1)],
    ["an unknown flag", framed(GOOD, 2)],
    ["a length with its highest bit", Buffer.concat([Buffer.from([0, 0x80, 0, 0, 0]), GOOD])],
  ])("D02: %s is refused, with a record, and never by a gRPC error", async (_, bytes) => {
    const { session } = await connected();
    const seen = await send(session, [bytes]).seen;
    expect(seen).toMatchObject({ status: 200, grpc: "0" });
    expect(verdictOf(seen)).toBe("BadRequest");
    expect(records).toMatchObject([{ decision: "deny", reason: "header_malformed" }]);
  });

  it("D02: a message beyond the limit is refused before its end", async () => {
    const { session } = await connected();
    const bytes = framed(Buffer.alloc(9 * 1024 * 1024));
    const stream = session.request({ ":method": "POST", ":path": CHECK, "content-type": "application/grpc" });
    const answered = new Promise<Buffer>((done) => stream.once("data", done));
    stream.on("error", () => {});
    stream.write(bytes); // and no end
    const body = await answered;
    expect(response.decode(body.subarray(5))).toMatchObject({ denied_response: { status: { code: "BadRequest" } } });
    expect(records).toMatchObject([{ decision: "deny", reason: "header_malformed" }]);
    await new Promise((done) => stream.once("close", done)); // it goes on sending, and is stopped
  });

  it.each<[string, Buffer[]]>([
    ["nothing of it comes", []],
    ["a piece of it comes", [framed(GOOD).subarray(0, 50)]],
  ])("M4, D08: a message that is not here in time is refused in time, and the call is closed: %s", async (_, parts) => {
    const { session } = await connected({ checkTimeoutMs: 60_000 });
    const stream = session.request({
      ...{ ":method": "POST", ":path": CHECK, "content-type": "application/grpc", "grpc-timeout": "2000m" },
    });
    for (const part of parts) stream.write(part);
    const started = performance.now();
    const body = await new Promise<Buffer>((done) => stream.once("data", done));
    expect(performance.now() - started).toBeLessThan(2000);
    expect(response.decode(body.subarray(5))).toHaveProperty("denied_response");
    expect(records).toHaveLength(1);
    expect(records[0]?.decision).not.toBe("allow");
    await new Promise((done) => stream.once("close", done));
  });

  it.each(["soon", "1000", "-5m", "1.5S", "123456789m", ""])(
    "M4: of a patience that nobody can read (%o) nothing is left",
    async (timeout) => {
      const { session } = await connected();
      expect(verdictOf(await send(session, [framed(GOOD)], { "grpc-timeout": timeout }).seen)).toBe(
        "ServiceUnavailable",
      );
      expect(records.at(-1)).toMatchObject({ reason: "deadline" });
    },
  );

  it.each(["1S", "1000m", "1000000u", "99999999n", "1M", "1H"])("a patience of %s is enough", async (timeout) => {
    const { session } = await connected();
    expect(verdictOf(await send(session, [framed(GOOD)], { "grpc-timeout": timeout }).seen)).toBe("");
  });

  it("who does not speak gRPC is told so by HTTP, and decides nothing", async () => {
    const { session } = await connected();
    const { seen: typed } = send(session, [framed(GOOD)], { "content-type": "application/json" });
    expect(await typed).toMatchObject({ status: 415, grpc: undefined });
    const { seen: got } = send(session, [], { ":method": "GET" });
    expect(await got).toMatchObject({ status: 405, grpc: undefined });
    expect(records).toEqual([]);
  });

  it("D05: three thousand calls that are given up do not cost the connection", async () => {
    const { session } = await connected();
    for (let round = 0; round < 30; round += 1) {
      const quitters = Array.from({ length: 100 }, () => send(session, [framed(GOOD)]));
      for (const { stream } of quitters) stream.close(constants.NGHTTP2_CANCEL);
      await Promise.all(quitters.map(({ seen }) => seen));
    }
    expect(verdictOf(await send(session, [framed(GOOD)]).seen)).toBe("");
  });

  it("D16: a call that ends before its message is no Check", async () => {
    const { session } = await connected();
    const { stream, seen } = send(session, []);
    stream.close(constants.NGHTTP2_CANCEL);
    await seen;
    const open = session.request({ ":method": "POST", ":path": CHECK, "content-type": "application/grpc" });
    open.write(framed(GOOD).subarray(0, 20));
    await new Promise((done) => setTimeout(done, 50));
    open.close(constants.NGHTTP2_CANCEL);
    expect(verdictOf(await send(session, [framed(GOOD)]).seen)).toBe("");
    expect(records.filter(({ decision }) => decision === "allow")).toHaveLength(1);
  });

  it("D14: the Check of a client that goes is given up", async () => {
    let signalled = false;
    const { session } = await connected({ checkTimeoutMs: 60_000 }, (_request, _facts, signal) => {
      signal.addEventListener("abort", () => (signalled = true));
      return new Promise(() => {});
    });
    const { stream, seen } = send(session, [framed(GOOD)]);
    await vi.waitFor(() => expect(stream.sentHeaders).toBeDefined());
    await new Promise((done) => setTimeout(done, 50));
    stream.close(constants.NGHTTP2_CANCEL);
    await seen;
    await vi.waitFor(() => expect(signalled).toBe(true));
    expect(records).toMatchObject([{ reason: "deadline" }]);
  });

  it("health: whoever watches sees each change", async () => {
    const { server, session } = await connected();
    const stream = session.request({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Watch",
      "content-type": "application/grpc",
    });
    const states: number[] = [];
    stream.on("data", (part: Buffer) => states.push(part.at(-1) ?? 0));
    stream.end(framed(Buffer.alloc(0)));
    await vi.waitFor(() => expect(states).toEqual([1]));
    server.setServing(false);
    await vi.waitFor(() => expect(states).toEqual([1, 2]), 3000);
    stream.close();
  });

  it.each<[string, boolean, (socket: Socket) => void]>([
    ["says nothing", false, () => {}],
    ["speaks HTTP/2 and does not leave", false, (socket) => socket.write(PREFACE)],
    ["does not begin its handshake", true, () => {}],
  ])("D06: a peer who %s does not hold up the end", async (_, isSecure, speak) => {
    const material = { clientCa: null, clientSans: [], ...selfSigned() };
    const { server, port } = await start(isSecure ? { tls: material } : {});
    const socket = connectTcp({ port, host: "127.0.0.1", allowHalfOpen: true });
    await new Promise((done) => socket.once("connect", done));
    speak(socket);
    await new Promise((done) => setTimeout(done, 50));
    const closed = new Promise((done) => socket.once("close", done));
    socket.on("error", () => {});
    socket.resume();
    await server.drain(150);
    socket.end();
    await closed;
  });

  it("what ends is ended: a call that hangs does not keep the process beyond the grace", async () => {
    const { server, session } = await connected({ checkTimeoutMs: 60_000 }, () => new Promise(() => {}));
    const { seen } = send(session, [framed(GOOD)]);
    const ended = seen.catch(() => "broken off");
    await new Promise((done) => setTimeout(done, 50));
    await server.drain(100);
    expect(await ended).not.toMatchObject({ grpc: "0" });
  });
});

describe("health and drain", () => {
  const health = async (port: number, service: string) => {
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    clients.push(client);
    const name = Buffer.from(service);
    return new Promise<number | string>((done) => {
      const ask = Buffer.concat([Buffer.from([0x0a, name.length]), name]);
      client.makeUnaryRequest("/grpc.health.v1.Health/Check", identity, identity, ask, (error, answer) =>
        done(error ? `error ${error.code}` : (answer?.[1] ?? -1)),
      );
    });
  };

  it("serves, does not know others, and says when it stops", async () => {
    const { server, port } = await start();
    expect([
      await health(port, ""),
      await health(port, "envoy.service.auth.v3.Authorization"),
      await health(port, "x"),
    ]).toEqual([1, 1, `error ${status.NOT_FOUND}`]);
    server.setServing(false);
    expect(await health(port, "")).toBe(2);
  });

  it("N04: a Check under way gets its answer, a new one finds nobody", async () => {
    const { server, port } = await start({}, async (...args) => {
      await new Promise((done) => setTimeout(done, 150));
      return createCheck(checkSettings(), allowingPorts())(...args);
    });
    const open = call(`127.0.0.1:${port}`, GOOD);
    await new Promise((done) => setTimeout(done, 50));
    const drained = server.drain(2000);
    expect(await open).toEqual({ grpc: 0, code: 0, http: "" });
    await drained;
    expect((await call(`127.0.0.1:${port}`, GOOD, { timeoutMs: 1000 })).grpc).not.toBe(0);
  });
});
