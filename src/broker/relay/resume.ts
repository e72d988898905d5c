// Goes on with a call whose server has ended its stream before the answer: asks the server for the rest, at once for a client
// who waits, and when she asks for it where her own stream has ended too. I/O.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#resumability-and-redelivery
import { setTimeout as delay } from "node:timers/promises";
import { drainOrClose, HttpFault, isEncoded, type HttpResponse } from "../../http/client.ts";
import type { Operation } from "../../mcp/operation.ts";
import { MODERN } from "../../mcp/versions.ts";
import { faultIn } from "../abort.ts";
import type { ClientSession } from "../sessions/client-session.ts";
import { mediaOf } from "../upstream/body.ts";
import { streamHeaders } from "../upstream/client.ts";
import { credentialHeader, type UpstreamCredential } from "../upstream/upstream.ts";
import type { RelayCall } from "./admit.ts";
import type { CallTimeout } from "./call-timeout.ts";
import type { CallClient } from "./call-client.ts";
import type { EventWriter } from "./client-response.ts";
import type { RelayRequest } from "./request.ts";

/** A call whose answer comes on a stream. */
export interface StreamingCall {
  readonly call: RelayCall;
  readonly client: CallClient;
  readonly timeout: CallTimeout;
  readonly request: RelayRequest;
}

/** Where a stream is. */
export interface StreamPosition {
  /** The server's last id; null for a stream that cannot be resumed. */
  lastEventId: string | null;
  /** Milliseconds after which the server wants to be asked again; null if it did not say. */
  retryMs: number | null;
  /** The last id that the client has got; null for none. */
  toldId: string | null;
  /** True once a part of the answer has gone to the client. */
  hasFlowed: boolean;
}

/** The first revision in which a server ends a stream so that its client asks again. */
const POLLING_SINCE = "2025-11-25";
const DEFAULT_RETRY_MS = 1000;
const MIN_RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;

export function newPosition(): StreamPosition {
  return { lastEventId: null, retryMs: null, toldId: null, hasFlowed: false };
}

/** The client's session if she can be told to come back: events have ids for her there, else she could not. */
export function pollingSession({ session, operation }: RelayCall, { dialect }: RelayRequest): ClientSession | null {
  // A client of HTTP+SSE has one stream, and cannot come back to it.
  const canComeBack = session?.holder.isSse !== true && canPoll(operation);
  return dialect.era === "legacy" && canComeBack ? session : null;
}

function canPoll({ version }: Operation): boolean {
  return version >= POLLING_SINCE && version !== MODERN;
}

/** An id of the server's for the client. */
export function clientEventId({ call, request }: StreamingCall, id: string | null): string | null {
  const session = pollingSession(call, request);
  return id === null || session === null
    ? null
    : session.eventId({ server: call.upstream.name, id, call: request.wireId });
}

/** Tells the client where the stream is, if she does not know: an event without data. */
export function tellPosition(
  streaming: StreamingCall,
  position: StreamPosition,
  writer: () => EventWriter | null,
): void {
  const { lastEventId, retryMs, toldId } = position;
  const id = lastEventId === toldId ? null : clientEventId(streaming, lastEventId);
  const stream = id === null ? null : writer();
  if (id === null || stream === null) return;
  stream.position(id, retryMs === null ? null : retryOf(retryMs));
  position.toldId = lastEventId;
}

function retryOf(retryMs: number | null): number {
  return Math.min(Math.max(retryMs ?? DEFAULT_RETRY_MS, MIN_RETRY_MS), MAX_RETRY_MS);
}

/** True if the server may have more to say: the stream ended without the answer, and no part of that was passed on. */
function hasRest({ lastEventId, hasFlowed }: StreamPosition, fault: unknown): boolean {
  const isCut = fault instanceof HttpFault && ["no_answer", "cut_off"].includes(fault.code);
  return isCut && lastEventId !== null && !hasFlowed;
}

/**
 * The rest of a stream that ended with this fault. A client who knows where it is gets its end, and the call waits for her;
 * for any other the broker asks, after the time that the server wants to be left.
 * @throws {HttpFault} this fault if there is no rest; why the call ended while it waited
 */
export async function resumeStream(
  streaming: StreamingCall,
  position: StreamPosition,
  fault: unknown,
): Promise<HttpResponse> {
  const { request, timeout } = streaming;
  const { signal } = timeout;
  if (request.dialect.era !== "legacy" || signal.aborted || !hasRest(position, fault)) throw fault;
  const due = Date.now() + retryOf(position.retryMs);
  if (position.toldId !== null) position.lastEventId = (await comeBack(streaming)) ?? position.lastEventId;
  await delay(Math.max(0, due - Date.now()), null, { signal }).catch(() => {
    throw faultIn(signal);
  });
  const headers = streamHeaders(request.dialect, position.lastEventId);
  const response = await askForRest(streaming, headers);
  if (response?.statusCode === 200 && mediaOf(response) === "stream" && !isEncoded(response)) return response;
  if (response !== null) drainOrClose(response);
  throw signal.aborted ? faultIn(signal) : fault;
}

/** Ends the client's stream and waits for her. Returns the last event that she has got; null if she was not sent away. */
async function comeBack({ call: { session }, client, request, timeout }: StreamingCall): Promise<string | null> {
  if (session === null || client.isAway) return null;
  const waiting = session.left.wait(request.wireId, AbortSignal.any([timeout.signal, session.ended]));
  client.leave();
  const back = await waiting;
  timeout.endAt(back.expiresAt);
  client.comeBack(back.response);
  return back.lastEventId;
}

function askForRest(
  { call, timeout: { signal } }: StreamingCall,
  headers: Record<string, string>,
): Promise<HttpResponse | null> {
  const { upstream, session } = call;
  const { name, destination } = upstream;
  const now = session?.upstreams
    .open()
    .find((open) => open.upstream.name === name && open.upstream.destination === destination);
  const credential: UpstreamCredential | null = (now ?? call).credential;
  const all = { ...headers, ...credentialHeader(credential) };
  return upstream.streams.request({ method: "GET", headers: all, body: null, signal }).catch(() => null);
}
