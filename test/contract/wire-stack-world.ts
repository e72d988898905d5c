// A wire stack on loopback, with a real client and with raw HTTP/2: for the contract of both stacks and for what each has alone.
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type ClientHttp2Session, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials, type ChannelCredentials } from "@grpc/grpc-js";
import { afterAll, afterEach, expect } from "vitest";
import { createCheck, type Check } from "../../src/authz/check.ts";
import { newCheckFacts } from "../../src/authz/facts.ts";
import { refuse } from "../../src/authz/step.ts";
import { createCheckHandler } from "../../src/envoy/check-handler.ts";
import type { GrpcServer, GrpcServerOptions } from "../../src/envoy/grpc/grpc-server.ts";
import { toCheckResponse } from "../../src/envoy/to-check-response.ts";
import { loadWireStack, type WireStackName } from "../../src/envoy/wire-stack.ts";
import { allowingPorts, checkSettings } from "../fakes/authz.ts";
import { checkMessage, codecs, FULL_PROTO } from "../fakes/check-request.ts";
import { someInFlight } from "../fakes/handover.ts";

export const { request, response } = codecs(FULL_PROTO);
const answers = { publicOrigin: "https://gw.example.com", scopes: [], denial: "jsonrpc" as const };
export const BODY = JSON.stringify({
  jsonrpc: "2.0",
  id: 1,
  method: "tools/call",
  params: { name: "read", arguments: {} },
});
export const GOOD = request.encode(checkMessage({ body: BODY, headers: { authorization: "Bearer token" } }));
export const CHECK = "/envoy.service.auth.v3.Authorization/Check";
const asIs = (bytes: Buffer) => bytes;

/** One gRPC frame. */
export function framed(message: Buffer, flag = 0): Buffer {
  const bytes = Buffer.concat([Buffer.from([flag, 0, 0, 0, 0]), message]);
  bytes.writeUInt32BE(message.length, 1);
  return bytes;
}

export interface Result {
  /** The gRPC status; 0 for an answer. */
  grpc: number;
  /** The Check's own status code, or −1. */
  code: number;
  http: string;
}

export interface Seen {
  readonly status: number | undefined;
  readonly grpc: string | undefined;
  readonly body: Buffer;
}

/** Sends these parts as one call, with nobody's gRPC library in between. */
export function send(session: ClientHttp2Session, parts: readonly Buffer[], headers: OutgoingHttpHeaders = {}) {
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

/** The HTTP status that the answered Check tells Envoy; "" for an allow. */
export function verdictOf({ body }: Seen): string {
  expect(body.readUInt32BE(1)).toBe(body.length - 5);
  const seen = response.decode(body.subarray(5)) as { denied_response?: { status: { code: string } } };
  return seen.denied_response?.status.code ?? "";
}

/** Starts servers of one stack, and ends them, with their clients, after each test. */
export function wireWorld(name: WireStackName) {
  const folder = mkdtempSync(join(tmpdir(), "mcp-authz-grpc-"));
  const servers: GrpcServer[] = [];
  const clients: Client[] = [];
  const sessions: ClientHttp2Session[] = [];
  const records: { decision: string; reason: string | null }[] = [];
  afterEach(async () => {
    for (const session of sessions.splice(0)) session.destroy();
    for (const client of clients.splice(0)) client.close();
    for (const server of servers.splice(0)) await server.drain(0);
    records.length = 0;
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  async function start(
    more: Partial<GrpcServerOptions> = {},
    check: Check = createCheck(checkSettings(), allowingPorts()),
  ) {
    const { codec, createServer } = await loadWireStack(name);
    const handler = createCheckHandler({
      check,
      codec,
      answers,
      audit: (record) => (records.push(record), Promise.resolve(true)),
      observe: () => {},
      now: Date.now,
      newRequestId: () => "r",
      inFlight: someInFlight(),
    });
    const responses = { answers, encode: codec.encode };
    const server = createServer({
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

  function client(target: string, creds: ChannelCredentials = credentials.createInsecure(), options = {}): Client {
    const made = new Client(target, creds, options);
    clients.push(made);
    return made;
  }

  async function connected(more: Partial<GrpcServerOptions> = {}, check?: Check) {
    const { server, port } = await start(more, check);
    const session = connect(`http://127.0.0.1:${port}`);
    session.on("error", () => {});
    sessions.push(session);
    return { server, session, port };
  }

  return { folder, records, start, client, connected };
}

export interface CallOptions {
  readonly method?: string;
  readonly timeoutMs?: number;
}

/** One call by the reference client. */
export function call(
  client: Client,
  bytes: Buffer,
  { method = CHECK, timeoutMs = 5000 }: CallOptions = {},
): Promise<Result> {
  return new Promise((done) => {
    const deadline = Date.now() + timeoutMs;
    client.makeUnaryRequest(method, asIs, asIs, bytes, { deadline }, (error, answer) => {
      if (error || answer === undefined) {
        done({ grpc: error?.code ?? -1, code: -1, http: "" });
        return;
      }
      const seen = response.decode(answer) as {
        status: { code: number } | null;
        denied_response?: { status: { code: string } };
      };
      done({ grpc: 0, code: seen.status?.code ?? 0, http: seen.denied_response?.status.code ?? "" });
    });
  });
}
