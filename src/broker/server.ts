// The broker's listener: reads one MCP request, verifies its wristband, and answers it here or hands it to the relay. I/O.
import { randomUUID } from "node:crypto";
import { refusalResponse, type RefusalResponseSettings } from "../authz/refusal-response.ts";
import { endpointAt, type Located } from "../authz/endpoint.ts";
import { pass, refuse, refuseBody, type Step } from "../authz/step.ts";
import type { Reason } from "../authz/refusal.ts";
import type { ListenAddress } from "../http/listen.ts";
import { createTlsOrPlainServer, type HttpServer, type TlsMaterial } from "../http/server.ts";
import type { JsonObject } from "../json/types.ts";
import { revisionIn, versionOf } from "../mcp/header-agreement.ts";
import { RESPONSE } from "../mcp/method-table.ts";
import { rpcContextOf } from "../mcp/read-operation.ts";
import { readMeantOperation } from "../mcp/search-mode.ts";
import { MODERN } from "../mcp/versions.ts";
import { callerKey } from "../wristband/claims.ts";
import { acceptsOf } from "../mcp/accept-header.ts";
import { ownResult, type OwnResults } from "./own-result.ts";
import { audienceOf } from "./audience.ts";
import type { ListenRequest, Listeners } from "./listen.ts";
import { admitCall, scopeOf, type AdmitCallOptions, type IncomingCall } from "./relay/admit.ts";
import type { Hold, HeldBytes } from "./held-bytes.ts";
import type { Relay } from "./relay/relay.ts";
import {
  refuseMessage,
  reply,
  sinkFor,
  UNREAD_RESPONSE_MS,
  type Incoming,
  type Reply,
  type RequestContext,
  type RequestFacts,
} from "./reply.ts";
import { headersOf, holdFor, readBody, wristbandOf, type WristbandSource } from "./request.ts";
import { NO_ROOM } from "./room.ts";
import {
  beginSession,
  beginSse,
  enterSession,
  NO_SESSION,
  sessionOf,
  streamUntilClosed,
  type Asked,
  type SessionParts,
} from "./session-requests.ts";
import { admitWatched, isWatching } from "./watch/admit.ts";
import { MessageResponse, type ResponseSink } from "./sessions/message-response.ts";
import { passMessage } from "./sessions/messages.ts";

export interface BrokerOptions extends WristbandSource, OwnResults {
  readonly address: ListenAddress;
  readonly tls: TlsMaterial | null;
  /** The endpoints of the configuration that is in force, by path. */
  readonly endpoints: Parameters<typeof endpointAt>[0];
  readonly answers: RefusalResponseSettings;
  /** The largest body of a request. */
  readonly maxBodyBytes: number;
  readonly calls: AdmitCallOptions;
  readonly relay: Relay;
  /** Sessions of clients of the older revisions; null without them. */
  readonly sessions: SessionParts | null;
  /** Streams of the stateless revision that tell which lists have changed. */
  readonly listeners: Listeners;
  /** Bytes that are held for callers: request bodies, and responses that they have not read. */
  readonly held: HeldBytes;
  /** Receives each request that ends here; the relay reports calls. @param method null when it could not be read */
  readonly observe: (method: string | null, reason: Reason | null) => void;
}

export interface Broker {
  listen(): Promise<number>;
  /** Takes new certificates, for connections from now on. */
  setTls(material: TlsMaterial): void;
  /** Serves on, and each response ends its connection. */
  leave(): void;
  close(graceMs: number): Promise<void>;
}

const LIMITS = {
  /** A wristband of 32 KiB and a credential, with room. */
  maxHeaderSize: 64 * 1024,
  // Both end with the request's last byte: a stream may last as long as it likes.
  requestTimeout: 30_000,
  headersTimeout: 10_000,
  /** Envoy closes an idle connection after an hour: if we did it sooner, a request could be on its way already. */
  keepAliveTimeout: 65 * 60_000,
  maxConnections: 16_384,
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
    leave: server.leave,
    // After the grace each call still gets its last event.
    close(graceMs) {
      options.listeners.endAll();
      return server.close(graceMs, () => void relay.endAll());
    },
  };
}

async function respond(options: BrokerOptions, incoming: Incoming): Promise<void> {
  const { response } = incoming;
  const facts: RequestFacts = {
    ...{ requestId: randomUUID(), path: null, corsOrigin: null },
    ...{ endpoint: null, rpc: null, method: null },
  };
  response.on("error", () => {}); // a client that leaves while we write
  const located = endpointAt(options.endpoints, incoming.request.url?.split("?")[0] ?? "");
  const context = { ...incoming, facts, sink: sinkFor(located, response) };
  const outcome = await decide(options, context, located).catch(() => refuse("internal"));
  if (!outcome.ok) options.observe(facts.method, outcome.reason);
  else if (outcome.value.kind === "result" || outcome.value.kind === "status") options.observe(facts.method, null);
  const refused = outcome.ok ? await reply(options, outcome.value, context) : outcome;
  if (refused === null || refuseMessage(options, context, refused)) return;
  const { status, headers, body } = refusalResponse(options.answers, refused, facts);
  response.writeHead(status, Object.fromEntries(headers)).end(body);
}

async function decide(options: BrokerOptions, context: RequestContext, located: Located | null): Promise<Step<Reply>> {
  const { request, sink, facts } = context;
  if (located?.endpoint.kind !== "mcp") return refuse("route_unknown");
  const { endpoint } = located;
  facts.endpoint = endpoint;
  const wristband = await wristbandOf(options, context);
  if (!wristband.ok) return wristband;
  const asked = { endpoint, wristband: wristband.value, headers: request.headersDistinct };
  if (request.method !== "POST") return decideBodiless(options, context, { ...asked, path: located.path });
  const hold = holdFor(options.held, wristband.value, sink);
  const received = await readBody(request, { hold, maxBytes: options.maxBodyBytes });
  if (!received.ok) return received;
  const body = received.value;
  const read = readMeantOperation(body, headersOf(request), endpoint.search);
  facts.rpc = read.ok ? rpcContextOf(read.operation) : read.rpc;
  if (wristband.value.use === "refusal") return tellRefusal(options, context, { ...asked, body });
  if (!read.ok) return refuseBody(read.fault);
  const { operation, params } = read;
  facts.method = operation.method;
  const jws = request.headersDistinct[options.wristbandHeader]?.[0] ?? "";
  return inSession(options, { ...asked, operation, body, jws, session: null }, { params, hold, response: sink });
}

/** The reply to a request in the MCP session whose id it has, if any; here or at the replica that owns the session. */
function inSession(
  options: BrokerOptions,
  incoming: IncomingCall,
  parsed: ParsedRequest,
): Step<Reply> | Promise<Step<Reply>> {
  const { operation, body } = incoming;
  // A handshake begins a session: it is in none. To one of HTTP+SSE the stream is the session.
  const isFirst = operation.method === "initialize" && incoming.endpoint.legacySse === null;
  const found = isFirst ? pass(null) : sessionOf(options.sessions, incoming, operation.version);
  if (!found.ok) return found;
  const { session, owner } = found.value ?? NO_SESSION;
  if (owner !== null) return pass({ kind: "forward", owner, body });
  if (parsed.response instanceof MessageResponse) {
    const stream = session?.streams.last ?? null;
    if (stream === null) return refuse("session_unknown", "its stream has ended");
    parsed.response.attach(stream);
  }
  if (session !== null) enterSession(session, incoming.wristband, parsed.response);
  return authorized(options, { ...incoming, session }, parsed);
}

/** Tells the client on her stream what serve has refused. */
function tellRefusal(
  options: BrokerOptions,
  { sink, facts }: RequestContext,
  { body, ...asked }: Asked & Pick<IncomingCall, "body">,
): Step<Reply> {
  const { wristband } = asked;
  if (wristband.use !== "refusal" || !(sink instanceof MessageResponse))
    return refuse("wristband_invalid", "another use");
  const found = sessionOf(options.sessions, asked, facts.rpc?.version ?? "");
  if (!found.ok) return found;
  const { session, owner } = found.value ?? NO_SESSION;
  if (owner !== null) return pass({ kind: "forward", owner, body });
  const stream = session?.streams.last ?? null;
  if (stream === null) return refuse("session_unknown", "its stream has ended");
  sink.attach(stream);
  const { requestId, ...refused } = wristband.refusal;
  facts.requestId = requestId;
  return { ok: false, ...refused };
}

/** GET opens a stream of a session, DELETE ends it. */
function decideBodiless(
  options: BrokerOptions,
  context: RequestContext,
  asked: Asked & { readonly path: string },
): Step<Reply> {
  const { request, response, facts } = context;
  const version = versionOf(undefined, revisionIn(headersOf(request)));
  facts.rpc = { id: null, notification: true, version };
  facts.method = request.method ?? null;
  if (asked.endpoint.legacySse !== null) return decideSse(options, context, asked);
  const found = sessionOf(options.sessions, asked, version);
  if (!found.ok) return found;
  const isStream = request.method === "GET" && acceptsOf(request.headers.accept).stream;
  if (found.value === null || (request.method !== "DELETE" && !isStream)) return refuse("method_not_allowed");
  const { use, caller_exp: callerExp } = asked.wristband;
  if (use !== "session") return refuse("wristband_invalid", "another use");
  const { session, owner } = found.value;
  if (owner !== null) return pass({ kind: "forward", owner, body: null });
  if (isStream) {
    if (!streamUntilClosed(session, response)) return refuse("rate_limited", "streams of sessions");
    return pass({ kind: "stream", session, messagePath: null, maxMs: callerExp * 1000 - Date.now() });
  }
  session.end();
  return pass({ kind: "status", status: 204 });
}

/** GET of HTTP+SSE opens a stream, which is a session. */
function decideSse(
  options: BrokerOptions,
  { request, response }: RequestContext,
  asked: Asked & { readonly path: string },
): Step<Reply> {
  const isStream = request.method === "GET" && acceptsOf(request.headers.accept).stream;
  if (!isStream || asked.endpoint.legacySse?.session !== null) return refuse("method_not_allowed");
  if (asked.wristband.use !== "session") return refuse("wristband_invalid", "another use");
  const begun = beginSse(options.sessions, asked, { response, path: asked.path, audience: audienceOf(options, asked) });
  if (!begun.ok) return begun;
  return pass({ kind: "stream", ...begun.value, maxMs: asked.wristband.caller_exp * 1000 - Date.now() });
}

/** The params of a request, the account of its bytes, and its response. */
interface ParsedRequest {
  readonly params: JsonObject;
  readonly hold: Hold;
  readonly response: ResponseSink;
}

/** The reply, if the wristband allows it: that of one use is never accepted for another (relay/admit.ts for calls). */
function authorized(
  options: BrokerOptions,
  incoming: IncomingCall,
  parsed: ParsedRequest,
): Step<Reply> | Promise<Step<Reply>> {
  const { operation, wristband, body } = incoming;
  if (operation.class === "named") {
    const call = admitCall(options.calls, incoming);
    const owner = call.ok ? options.relay.ownerOf(call.value) : null;
    if (owner !== null) return pass({ kind: "forward", owner, body });
    return call.ok ? pass({ kind: "call", call: call.value, hold: parsed.hold }) : call;
  }
  if (isWatching(operation)) return watch(options, incoming, parsed);
  if (wristband.use !== (operation.class === "session" ? "session" : "list"))
    return refuse("wristband_invalid", "another use");
  if (operation.class === "listen") return subscribe(options, incoming, { ...parsed, watching: null });
  if (operation.class === "notification" || operation.method === RESPONSE) return take(options, incoming, parsed);
  return answer(options, incoming, parsed);
}

/** Begins the stream of `subscriptions/listen` that names resources, if the wristband is for it. */
function watch(options: BrokerOptions, incoming: IncomingCall, parsed: ParsedRequest): Step<Reply> {
  const servers = admitWatched(options.calls, incoming);
  if (!servers.ok) return servers;
  const { policy } = incoming.wristband;
  return subscribe(options, incoming, { ...parsed, watching: { servers: servers.value, policy } });
}

/** Begins the stream of `subscriptions/listen`. */
function subscribe(
  options: BrokerOptions,
  incoming: IncomingCall,
  { params, response, watching }: ParsedRequest & Pick<ListenRequest, "watching">,
): Step<Reply> {
  const { operation, wristband } = incoming;
  if (operation.id === null) return refuse("body_malformed", "listen without an id");
  const end = watching === null ? wristband.caller_exp : wristband.exp;
  const begun = options.listeners.open({
    ...{ response, id: operation.id, caller: callerKey(wristband), params, watching },
    ...audienceOf(options, incoming),
    maxMs: end * 1000 - Date.now(),
  });
  return begun.ok ? pass({ kind: "begun" }) : begun;
}

/** Takes a notification, or an answer to a request of a server. Nothing comes back of what becomes of it. */
function take({ relay }: BrokerOptions, incoming: IncomingCall, { params }: ParsedRequest): Step<Reply> {
  const { operation, session } = incoming;
  const message = { ...incoming, params };
  if (operation.class === "notification") cancelled(relay, incoming, params);
  const passed = session === null ? pass(null) : passMessage(session, message);
  if (!passed.ok) return passed;
  return pass({ kind: "status", status: 202 });
}

/** Answers a request of the broker's own; a handshake opens a session. */
async function answer(
  options: BrokerOptions,
  incoming: IncomingCall,
  { params, hold }: ParsedRequest,
): Promise<Step<Reply>> {
  const { operation } = incoming;
  const { capabilities } = params;
  const result = await ownResult(options, incoming, params);
  if (!result.ok) return result;
  const message = `{"jsonrpc":"2.0","id":${JSON.stringify(operation.id)},"result":${result.value.text}}`;
  // An unread page is held, as the response to a call is.
  if (!hold.take(message.length)) return refuse("rate_limited", NO_ROOM);
  const { etag } = result.value;
  if (operation.method !== "initialize") return pass({ kind: "result", message, session: null, etag });
  const opened = beginSession(options.sessions, incoming, { capabilities, audience: audienceOf(options, incoming) });
  return opened.ok ? pass({ kind: "result", message, session: opened.value, etag }) : opened;
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
