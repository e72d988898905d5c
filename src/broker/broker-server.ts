import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { randomUUID } from "node:crypto";
import { answer, type AnswerSettings } from "../authz/answer.ts";
import type { Endpoint } from "../authz/endpoint.ts";
import { refuse, type Refused, type Step } from "../authz/outcome.ts";
import { newTrail, type Trail } from "../authz/trail.ts";
import { readEnvelope } from "../mcp/envelope.ts";
import type { Operation } from "../mcp/operation.ts";
import { readOperation } from "../mcp/read-operation.ts";
import { MODERN } from "../mcp/versions.ts";
import type { WristbandClaims } from "../wristband/claims.ts";
import { housekeeping, type BrokerView } from "./answers.ts";

export interface BrokerOptions {
  readonly address:
    | { readonly kind: "tcp"; readonly host: string; readonly port: number }
    | { readonly kind: "unix"; readonly path: string };
  readonly tls: { readonly key: Buffer; readonly cert: Buffer; readonly clientCa: Buffer | null } | null;
  readonly endpoints: ReadonlyMap<string, Endpoint>;
  readonly answers: AnswerSettings;
  readonly wristbandHeader: string;
  /** Verifies a wristband; may wait for a key that was just rotated in. */
  readonly verify: (jws: string) => Promise<Step<WristbandClaims>>;
  readonly view: (server: string | null, wristband: WristbandClaims) => BrokerView;
}

export interface Broker {
  listen(): Promise<number>;
  close(graceMs: number): Promise<void>;
}

const MAX_BODY_BYTES = 1024 * 1024;
/** A wristband of 32 KiB and a credential, with room. */
const MAX_HEADER_BYTES = 64 * 1024;

/**
 * The endpoint that answers the handshake and the lists. It knows callers by the wristband alone: without a valid one
 * it shows and does nothing, wherever the request came from (B55).
 */
export function createBroker(options: BrokerOptions): Broker {
  const limits = { maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: 30_000, headersTimeout: 10_000 };
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    void respond(options, request, response).catch(() => response.destroy());
  };
  const { tls } = options;
  const server: Server =
    tls === null
      ? createServer(limits, listener)
      : createTlsServer(
          {
            ...limits,
            key: tls.key,
            cert: tls.cert,
            minVersion: "TLSv1.3",
            ...(tls.clientCa && { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
          },
          listener,
        );
  return { listen: () => listen(server, options), close: (graceMs) => close(server, graceMs) };
}

async function respond(options: BrokerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const trail = newTrail(randomUUID(), Date.now());
  const outcome = await decide(options, request, trail).catch(() => refuse("internal"));
  if (!outcome.ok) {
    const { status, headers, body } = answer(options.answers, outcome, trail);
    response.writeHead(status, Object.fromEntries(headers)).end(body);
    return;
  }
  if (outcome.value === null) {
    response.writeHead(202).end();
    return;
  }
  response
    .writeHead(200, { "content-type": "application/json", "cache-control": "no-store" })
    .end(JSON.stringify(outcome.value));
}

/** The JSON-RPC answer; null for an accepted notification. */
async function decide(options: BrokerOptions, request: IncomingMessage, trail: Trail): Promise<Step<object | null>> {
  const endpoint = options.endpoints.get(request.url?.split("?")[0] ?? "");
  if (endpoint?.kind !== "mcp") return refuse("route_unknown");
  trail.endpoint = endpoint;
  const wristband = await wristbandOf(options, request);
  if (!wristband.ok) return wristband;
  if (request.method !== "POST") return refuse("method_not_allowed");
  const body = await readBody(request);
  if (body === null) return refuse("body_too_large");
  const read = readOperation(body, headersOf(request));
  if (!read.ok) {
    trail.rpc = read.rpc;
    return { ok: false, ...read.fault } satisfies Refused;
  }
  const { operation } = read;
  trail.rpc = { id: operation.id, notification: operation.id === null, version: operation.version };
  if (operation.class === "notification") return { ok: true, value: null };
  // Relaying calls is not in this version: they go directly, on /servers/NAME/mcp.
  if (operation.class === "named") return refuse("route_unknown", "calls are not relayed");
  const result = housekeeping(
    operation,
    requestedVersion(body, operation),
    options.view(endpoint.server, wristband.value),
  );
  return { ok: true, value: { jsonrpc: "2.0", id: operation.id, result } };
}

async function wristbandOf(options: BrokerOptions, request: IncomingMessage): Promise<Step<WristbandClaims>> {
  const copies = request.headersDistinct[options.wristbandHeader];
  const [jws] = copies ?? [];
  if (jws === undefined || copies?.length !== 1) return refuse("wristband_invalid", "none, or several");
  return options.verify(jws);
}

/** `initialize` names its revision in params; the others in headers and `_meta`. */
function requestedVersion(body: Buffer, operation: Operation): unknown {
  if (operation.method !== "initialize" || operation.version === MODERN) return undefined;
  const read = readEnvelope(body);
  return read.ok ? read.envelope.params["protocolVersion"] : undefined;
}

function headersOf(request: IncomingMessage) {
  return {
    get: (name: string) => request.headersDistinct[name]?.join(","),
    repeated: (name: string) => (request.headersDistinct[name]?.length ?? 0) > 1,
  };
}

async function readBody(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function listen(server: Server, { address }: BrokerOptions): Promise<number> {
  return new Promise((done, fail) => {
    const where = address.kind === "unix" ? address.path : `${address.host}:${address.port}`;
    server.once("error", (error: NodeJS.ErrnoException) => {
      fail(
        new Error(
          `listen.broker: cannot listen on ${where}: ${error.code === "EADDRINUSE" ? "another program listens there" : (error.code ?? "failed")}`,
        ),
      );
    });
    const listening = () => {
      const bound = server.address();
      done(typeof bound === "object" && bound !== null ? bound.port : 0);
    };
    if (address.kind === "unix") server.listen(address.path, listening);
    else server.listen(address.port, address.host, listening);
  });
}

function close(server: Server, graceMs: number): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(timer);
      done();
    });
    server.closeIdleConnections();
  });
}
