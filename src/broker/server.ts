// The broker's listener: reads one MCP request, verifies its wristband, and answers it here or hands it to the relay. I/O.
import type { IncomingMessage, ServerResponse } from "node:http";
import { randomUUID } from "node:crypto";
import {
  refusalResponse,
  rpcError,
  type RefusalFacts,
  type RefusalResponseSettings,
} from "../authz/refusal-response.ts";
import type { Endpoint, McpEndpoint } from "../authz/endpoint.ts";
import { pass, refuse, type Refused, type Step } from "../authz/step.ts";
import type { Reason } from "../authz/refusal.ts";
import { createByteCollector } from "../http/byte-collector.ts";
import type { ListenAddress } from "../http/listen.ts";
import { createTlsOrPlainServer, type HttpServer, type TlsMaterial } from "../http/server.ts";
import type { JsonObject } from "../json/types.ts";
import type { Operation } from "../mcp/operation.ts";
import { readOperation, rpcContextOf } from "../mcp/read-operation.ts";
import { MODERN } from "../mcp/versions.ts";
import { callerKey, type WristbandClaims } from "../wristband/claims.ts";
import type { Verification } from "../wristband/verify.ts";
import { acceptsOf } from "./accept-header.ts";
import { housekeeping, type BrokerView } from "./housekeeping.ts";
import { admitCall, scopeOf, type AdmitCallOptions, type IncomingCall, type RelayCall } from "./relay/admit.ts";
import type { Hold, HeldBytes } from "./held-bytes.ts";
import type { Relay } from "./relay/relay.ts";
import { NO_ROOM } from "./room.ts";

export interface BrokerOptions {
  readonly address: ListenAddress;
  readonly tls: TlsMaterial | null;
  readonly endpoints: ReadonlyMap<string, Endpoint>;
  readonly answers: RefusalResponseSettings;
  readonly wristbandHeader: string;
  /** The largest body of a request. */
  readonly maxBodyBytes: number;
  /** Verifies a wristband; may wait for a new key. */
  readonly verify: (jws: string) => Promise<Verification>;
  readonly view: (endpoint: McpEndpoint, wristband: WristbandClaims) => BrokerView;
  readonly calls: AdmitCallOptions;
  readonly relay: Relay;
  /** Bytes that are held for callers: request bodies, and responses that they have not read. */
  readonly held: HeldBytes;
  /** Receives each request that ends here; the relay reports calls. @param method null when it could not be read */
  readonly observe: (method: string | null, reason: Reason | null) => void;
}

export interface Broker {
  listen(): Promise<number>;
  /** Takes new certificates, for connections from now on. */
  setTls(material: TlsMaterial): void;
  close(graceMs: number): Promise<void>;
}

/** Milliseconds that a client may leave a response unread. */
const UNREAD_RESPONSE_MS = 60_000;
const LIMITS = {
  /** A wristband of 32 KiB and a credential, with room. */
  maxHeaderSize: 64 * 1024,
  // Both end with the request's last byte: a stream may last as long as it likes.
  requestTimeout: 30_000,
  headersTimeout: 10_000,
  /** Envoy closes an idle connection after an hour: if we did it sooner, a request could be on its way already. */
  keepAliveTimeout: 65 * 60_000,
  maxConnections: 4096,
  silenceMs: UNREAD_RESPONSE_MS,
};

/**
 * Answers the handshake and the lists, and relays calls. Knows callers by the wristband alone: without a valid one it shows
 * and does nothing, wherever the request came from (B55).
 */
export function createBroker(options: BrokerOptions): Broker {
  const { address, tls, relay } = options;
  const server: HttpServer = createTlsOrPlainServer(LIMITS, tls, (request, response) => {
    const isExpected = server.isExpected(request.socket);
    void respond(options, { request, response, isExpected }).catch(() => response.destroy());
  });
  return {
    listen: () => server.listen("listen.broker", address),
    setTls: server.setTls,
    // After the grace each call still gets its last event.
    close: (graceMs) => server.close(graceMs, () => void relay.endAll()),
  };
}

/** The reply to a client: a result of the broker's own, 202 for a notification, or the server's response to a call. */
type Reply = { readonly kind: "result"; readonly message: string } | { readonly kind: "accepted" } | CallReply;
interface CallReply {
  readonly kind: "call";
  readonly call: RelayCall;
  readonly hold: Hold;
}

/** The facts of a refusal, and the method for the metrics; written as they become known. */
interface RequestFacts extends RefusalFacts {
  endpoint: RefusalFacts["endpoint"];
  rpc: RefusalFacts["rpc"];
  method: string | null;
}

/** One request, its response, and its facts. */
interface RequestContext extends Incoming {
  readonly facts: RequestFacts;
}

interface Incoming {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** False for a client whose certificate has none of the names. */
  readonly isExpected: boolean;
}

async function respond(options: BrokerOptions, incoming: Incoming): Promise<void> {
  const { response } = incoming;
  const facts: RequestFacts = {
    ...{ requestId: randomUUID(), path: null, corsOrigin: null },
    ...{ endpoint: null, rpc: null, method: null },
  };
  response.on("error", () => {}); // a client that leaves while we write
  const context = { ...incoming, facts };
  const outcome = await decide(options, context).catch(() => refuse("internal"));
  if (!outcome.ok) options.observe(facts.method, outcome.reason);
  else if (outcome.value.kind !== "call") options.observe(facts.method, null);
  const refused = outcome.ok ? await reply(options.relay, outcome.value, context) : outcome;
  if (refused === null) return;
  const { status, headers, body } = refusalResponse(options.answers, refused, facts);
  response.writeHead(status, Object.fromEntries(headers)).end(body);
}

/** A refusal; null once the client has its response. */
async function reply(relay: Relay, what: Reply, context: RequestContext): Promise<Refused | null> {
  const { request, response, facts } = context;
  if (what.kind === "call") {
    request.socket.setTimeout(0); // the relay has its own timeouts
    const refused = await relay.carry(what.call, {
      response,
      accepts: acceptsOf(request.headers.accept),
      requestId: facts.requestId,
      hold: what.hold,
      errorBody: (why) => JSON.stringify(rpcError(why, facts)),
    });
    if (!response.writableFinished) request.socket.setTimeout(UNREAD_RESPONSE_MS);
    return refused;
  }
  if (what.kind === "accepted") response.writeHead(202).end();
  else response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store" }).end(what.message);
  return null;
}

async function decide(options: BrokerOptions, context: RequestContext): Promise<Step<Reply>> {
  const { request, response, facts } = context;
  const endpoint = options.endpoints.get(request.url?.split("?")[0] ?? "");
  if (endpoint?.kind !== "mcp") return refuse("route_unknown");
  facts.endpoint = endpoint;
  const wristband = await wristbandOf(options, context);
  if (!wristband.ok) return wristband;
  if (request.method !== "POST") return refuse("method_not_allowed");
  const hold = holdFor(options.held, wristband.value, response);
  const received = await readBody(request, { hold, maxBytes: options.maxBodyBytes });
  if (!received.ok) return received;
  const body = received.value;
  const read = readOperation(body, headersOf(request));
  if (!read.ok) {
    facts.rpc = read.rpc;
    return { ok: false, ...read.fault } satisfies Refused;
  }
  const { operation } = read;
  facts.rpc = rpcContextOf(operation);
  facts.method = operation.method;
  const incoming = { endpoint, operation, body, wristband: wristband.value, headers: request.headersDistinct };
  return authorized(options, incoming, { params: read.params, hold });
}

/** The account of this request's bytes, until its response is closed. */
function holdFor(held: HeldBytes, wristband: WristbandClaims, response: ServerResponse): Hold {
  const hold = held.open(callerKey(wristband));
  if (response.closed) hold.release();
  else response.once("close", () => hold.release());
  return hold;
}

/** The params of a request, and the account of its bytes. */
interface ParsedRequest {
  readonly params: JsonObject;
  readonly hold: Hold;
}

/** The reply, if the wristband allows it: a wristband for a call shows no list, one for lists calls nothing (relay/admit.ts). */
function authorized(
  { calls, view, relay }: BrokerOptions,
  incoming: IncomingCall,
  { params, hold }: ParsedRequest,
): Step<Reply> {
  const { endpoint, operation, wristband } = incoming;
  if (operation.class === "named") {
    const call = admitCall(calls, incoming);
    return call.ok ? pass({ kind: "call", call: call.value, hold }) : call;
  }
  if (wristband.use !== (operation.class === "session" ? "session" : "list"))
    return refuse("wristband_invalid", "another use");
  if (operation.class === "session" || operation.class === "listen") return refuse("method_unknown", "not served yet");
  if (operation.class === "notification") {
    cancelled(relay, incoming, params);
    return pass({ kind: "accepted" });
  }
  const reply = housekeepingReply(operation, params, view(endpoint, wristband));
  if (!reply.ok) return reply;
  // An unread page is held, as the response to a call is.
  return hold.take(reply.value.message.length) ? reply : refuse("rate_limited", NO_ROOM);
}

/**
 * A client of an older revision cancels by a notification (MCP 2025-11-25, Cancellation), one of the stateless revision closes
 * her request. Unknown ids are no fault: the answer may be on its way.
 */
function cancelled(relay: Relay, incoming: IncomingCall, { requestId }: JsonObject): void {
  const { method, version } = incoming.operation;
  if (method !== "notifications/cancelled" || version === MODERN) return;
  if (typeof requestId === "string" || typeof requestId === "number") relay.cancel(scopeOf(incoming), requestId);
}

function housekeepingReply(
  operation: Operation,
  params: JsonObject,
  view: BrokerView,
): Step<Extract<Reply, { kind: "result" }>> {
  const result = housekeeping(operation, params, view);
  if (!result.ok) return result;
  const id = JSON.stringify(operation.id);
  return pass({ kind: "result", message: `{"jsonrpc":"2.0","id":${id},"result":${result.value}}` });
}

async function wristbandOf(options: BrokerOptions, context: RequestContext): Promise<Step<WristbandClaims>> {
  const { request, isExpected } = context;
  if (!isExpected) return refuse("wristband_invalid", "client certificate");
  const copies = request.headersDistinct[options.wristbandHeader];
  const [jws] = copies ?? [];
  if (jws === undefined || copies?.length !== 1) return refuse("wristband_invalid", "none, or several");
  const verified = await options.verify(jws);
  if (verified.ok) return verified;
  return refuse(verified.fault === "catalog" ? "catalog_unavailable" : "wristband_invalid", verified.fault);
}

function headersOf(request: IncomingMessage) {
  return {
    get: (name: string) => request.headersDistinct[name]?.join(","),
    repeated: (name: string) => (request.headersDistinct[name]?.length ?? 0) > 1,
  };
}

/** Refuses a body that is too large, is cut off, or for which its caller has no room left; the rest of it is not read. */
function readBody(
  request: IncomingMessage,
  { hold, maxBytes }: { readonly hold: Hold; readonly maxBytes: number },
): Promise<Step<Buffer>> {
  const bytes = createByteCollector(maxBytes);
  const tooLarge: Refused = { ...refuse("body_too_large"), limitBytes: maxBytes };
  return new Promise((done) => {
    if (Number(request.headers["content-length"] ?? 0) > maxBytes) {
      done(tooLarge);
      return;
    }
    request.on("data", (chunk: Buffer) => {
      const isTooLarge = bytes.length + chunk.length > maxBytes;
      if (!isTooLarge && hold.take(chunk.length)) {
        bytes.push(chunk);
        return;
      }
      request.pause();
      done(isTooLarge ? tooLarge : refuse("rate_limited", NO_ROOM));
    });
    request.on("end", () => done(pass(bytes.take())));
    request.on("error", () => done(refuse("body_too_large")));
  });
}
