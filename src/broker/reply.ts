// The reply to a request, once it is decided: a result of the broker's own, a call that the relay carries, a stream, or the
// response of the replica that owns the session. I/O.
import type { ServerResponse } from "node:http";
import { rpcRefusal, type RefusalFacts, type RefusalResponseSettings } from "../authz/refusal-response.ts";
import type { Located } from "../authz/endpoint.ts";
import { refuse, type Refused } from "../authz/step.ts";
import type { Reason } from "../authz/refusal.ts";
import { MODERN } from "../mcp/versions.ts";
import { acceptsOf } from "../mcp/accept-header.ts";
import type { Hold } from "./held-bytes.ts";
import type { RelayCall } from "./relay/admit.ts";
import { stateUnknown, type Relay } from "./relay/relay.ts";
import type { Sender } from "./request.ts";
import type { SessionParts } from "./session-requests.ts";
import type { ClientSession } from "./sessions/client-session.ts";
import { MessageResponse, type ResponseSink } from "./sessions/message-response.ts";

/** What replies are made with. */
export interface ReplyParts {
  readonly answers: RefusalResponseSettings;
  readonly relay: Relay;
  readonly sessions: SessionParts | null;
  readonly observe: (method: string | null, reason: Reason | null) => void;
}

/** Milliseconds that a client may leave a response unread. */
export const UNREAD_RESPONSE_MS = 60_000;

/** The reply to a client. */
export type Reply =
  /** A result of the broker's own. `session`: the id of a session that begins with it. */
  | {
      readonly kind: "result";
      readonly message: string;
      readonly session: string | null;
      readonly etag: string | null;
    }
  /** 202 for a notification or an answer, 204 for the end of a session. */
  | { readonly kind: "status"; readonly status: 202 | 204 }
  /** The stream of a session. */
  | StreamReply
  /** The stream that this request asks for has begun. */
  | { readonly kind: "begun" }
  /** The response of the replica that owns the session. */
  | { readonly kind: "forward"; readonly owner: string; readonly body: Buffer | null }
  /** The server's response to a call. */
  | CallReply;
interface StreamReply {
  readonly kind: "stream";
  readonly session: ClientSession;
  /** Where messages are posted, to a client of HTTP+SSE. */
  readonly messagePath: string | null;
  readonly maxMs: number;
}
interface CallReply {
  readonly kind: "call";
  readonly call: RelayCall;
  readonly hold: Hold;
}

/** The facts of a refusal, and the method for the metrics; written as they become known. */
export interface RequestFacts extends RefusalFacts {
  /** Of the Check that refused, for what serve refused. */
  requestId: string;
  endpoint: RefusalFacts["endpoint"];
  rpc: RefusalFacts["rpc"];
  method: string | null;
}

/** One request, its response, and its facts. */
export interface RequestContext extends Incoming {
  readonly facts: RequestFacts;
  /** What the reply is written to: the response, or its part of a stream of HTTP+SSE. */
  readonly sink: ResponseSink;
}

export interface Incoming extends Sender {
  readonly response: ServerResponse;
}

/** What the reply to a request at this endpoint is written to. */
export function sinkFor(located: Located | null, response: ServerResponse): ResponseSink {
  const isMessage = located?.endpoint.kind === "mcp" && (located.endpoint.legacySse?.session ?? null) !== null;
  return isMessage ? new MessageResponse() : response;
}

/**
 * Tells a client of HTTP+SSE on her stream that a request of hers is refused: what a response says beside its status she does not
 * read, and some clients end at a status of failure. False for what belongs into the response: no stream, no request.
 */
export function refuseMessage(
  { answers }: Pick<ReplyParts, "answers">,
  { response, sink, facts }: RequestContext,
  refused: Refused,
): boolean {
  if (sink === response) return false;
  const isTold = sink instanceof MessageResponse && sink.isAttached && facts.rpc !== null && !facts.rpc.notification;
  if (!isTold) {
    sink.destroy();
    return response.headersSent;
  }
  if (!response.headersSent) response.writeHead(202).end();
  sink.writeHead(200, RESULT_HEADERS).end(JSON.stringify(rpcRefusal(answers, refused, facts)));
  return true;
}

/** A refusal; null once the client has its response. */
export async function reply(options: ReplyParts, what: Reply, context: RequestContext): Promise<Refused | null> {
  const { request, response, sink } = context;
  if (sink !== response && what.kind !== "forward") response.writeHead(202).end();
  if (what.kind === "result") {
    const session = what.session === null ? {} : { "mcp-session-id": what.session };
    const etag = what.etag === null ? {} : { etag: what.etag };
    sink.writeHead(200, { ...RESULT_HEADERS, ...session, ...etag }).end(what.message);
    return null;
  }
  if (what.kind === "status") {
    sink.writeHead(what.status).end();
    return null;
  }
  if (!response.writableEnded) request.socket.setTimeout(0); // the relay has its own timeouts
  if (what.kind === "begun") return null;
  if (what.kind === "stream") {
    listen(options, what, context);
    return null;
  }
  const refused = what.kind === "call" ? await carry(options, what, context) : await forward(options, what, context);
  if (!response.writableFinished) request.socket.setTimeout(UNREAD_RESPONSE_MS);
  return refused;
}

const RESULT_HEADERS = { "content-type": "application/json", "cache-control": "no-store" };

function carry(
  { relay, answers }: ReplyParts,
  { call, hold }: CallReply,
  { request, response, sink, facts }: RequestContext,
) {
  return relay.carry(call, {
    response: sink,
    accepts: sink === response ? acceptsOf(request.headers.accept) : { json: false, stream: true },
    requestId: facts.requestId,
    hold,
    errorBody: (why) => JSON.stringify(rpcRefusal(answers, why, facts)),
  });
}

function listen(
  { sessions }: ReplyParts,
  { session, maxMs, messagePath }: StreamReply,
  { request, response }: RequestContext,
): void {
  const from = messagePath === null ? request.headersDistinct["last-event-id"] : [];
  if (from?.length === 1 && session.resumeAt(from[0] ?? "", { response, expiresAt: Date.now() + maxMs })) return;
  session.streams.open(response, { keepAliveMs: sessions?.keepAliveMs ?? 0, maxMs, messagePath });
}

async function forward(
  { sessions, observe }: ReplyParts,
  { owner, body }: Extract<Reply, { kind: "forward" }>,
  { request, response, sink, facts }: RequestContext,
): Promise<Refused | null> {
  const forwarded = await sessions?.forwarder.forward(owner, { request, response, body });
  if (sink !== response) sink.destroy();
  if (forwarded?.ok === true) return null;
  // A client of the stateless revision has no session: what was forwarded goes on with a call that waits there.
  const refused = facts.rpc?.version === MODERN ? stateUnknown() : (forwarded ?? refuse("session_unknown"));
  observe(facts.method, refused.reason);
  return refused;
}
