// One call: finds how its server is spoken to, sends the client's bytes, and passes the response on. Sends a call twice only
// where the server says that it does not know the session, or refuses the credential, so has not processed it. I/O by its parts.
import { randomInt } from "node:crypto";
import { drainOrClose, HttpFault, type HttpResponse } from "../../http/client.ts";
import { pass, refuse, type Refused, type Step } from "../../authz/step.ts";
import type { RpcId } from "../../mcp/operation.ts";
import type { UpstreamMessage } from "../../mcp/upstream-message.ts";
import { HandshakeFault, MODERN_CODES, type Dialect, type Eras, type LegacyDialect } from "../upstream/era.ts";
import { createNotificationBudget } from "./notification-budget.ts";
import { createBrake, type Brake, type Pacer } from "../upstream/brake.ts";
import { faultIn } from "../abort.ts";
import { createAskBack, type AskBack } from "./ask-back.ts";
import type { CallClient } from "./call-client.ts";
import type { KeptCalls } from "./kept-calls.ts";
import type { CallTimeout } from "./call-timeout.ts";
import { leaseOf } from "./lease.ts";
import { toClientResponse, type RpcResponse } from "./response.ts";
import type { RelayCall } from "./admit.ts";
import { notificationFor, takeRequest } from "./server-requests.ts";
import { askedIn, type Asked } from "./asking.ts";
import { withAnswers } from "./input-required.ts";
import { beginAnswer, beginStream, sendResponse } from "./client-response.ts";
import { passJson } from "./json-answer.ts";
import type { Refetch } from "./refetch.ts";
import { subscribeFor } from "./subscribe-for.ts";
import { relayRequest, type FindSchema, type RelayRequest } from "./request.ts";
import { clientEventId, newPosition, resumeStream, tellPosition, type StreamPosition } from "./resume.ts";
import { readStream, type StreamObserver, type StreamSink } from "./stream.ts";
import type { ReadMessage } from "../upstream/message.ts";
import type { SessionPool } from "../upstream/session-pool.ts";
import type { Lease } from "../upstream/session.ts";
import { mediaOf, readHeld } from "../upstream/body.ts";
import { createBudget, isResponseTo, sendOwn } from "../upstream/client.ts";
import type { UpstreamCredential } from "../upstream/upstream.ts";

export interface AttemptOptions {
  readonly eras: Eras;
  readonly sessions: SessionPool;
  readonly findSchema: FindSchema;
  /** Calls that wait for their clients; null where clients of the stateless revision are not asked. */
  readonly kept: KeptCalls | null;
  /** Receives counts of events that are not passed on (B50), and of those beyond the budget. */
  readonly observer: StreamObserver;
  /** Another credential for a call whose server refuses the one that it came with; absent where there is none. */
  readonly refetch?: Refetch;
  readonly pacer: Pacer;
  readonly readMessage: ReadMessage;
  readonly notificationsPerSecond: number;
  /** A silent stream to a client gets a comment at least so often. */
  readonly keepAliveMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
}

/** A call under way. */
export interface RelayAttempt {
  readonly call: RelayCall;
  readonly client: CallClient;
  readonly timeout: CallTimeout;
}

/** A response whose body has not been read, and the request that it answers. */
interface OpenResponse extends RelayAttempt {
  readonly lease: Lease | null;
  readonly request: RelayRequest;
  readonly response: HttpResponse;
  /** True for the rest of a stream that ended early. */
  readonly isRest?: boolean;
}

/** A refusal, or what the server asks the client; null once she has her response. */
type AttemptResult = Refused | Asked | null;

/** The server has refused the credential, before anything of its answer: it has not processed the call. */
interface Unauthorized {
  readonly ok: "unauthorized";
  readonly refused: Refused;
}

type TryResult = AttemptResult | Unauthorized | "session_gone";

/** So large that no two calls of all replicas have the same id, and below 2^53: an integer to any server. */
const MAX_WIRE_ID = 2 ** 47;

/** What a call is sent with, over all its rounds. */
interface Renewal {
  credential: UpstreamCredential | null;
  isSpent: boolean;
}

/** Sends a call and passes the response on; a server that asks its client first gets her answers. @throws {HttpFault} */
export function attempt(options: AttemptOptions, current: RelayAttempt): Promise<Refused | null> {
  const renewal: Renewal = { credential: current.call.credential, isSpent: false };
  return withAnswers(current, (call) => attemptOnce(options, { ...current, call }, renewal));
}

/**
 * A server that does not know the session, or refuses the credential, has not processed the call: only then it is sent again,
 * once for each; in a new session, or with a credential that was fetched anew. Not in a new session if the old one belonged to
 * one of the client's, and calls have left something in it: then the client is told.
 * @throws {HttpFault}
 */
async function attemptOnce(options: AttemptOptions, current: RelayAttempt, renewal: Renewal): Promise<AttemptResult> {
  let hasNewSession = false;
  for (;;) {
    const call = { ...current.call, credential: renewal.credential };
    const result = await tryOnce(options, { ...current, call });
    if (result === "session_gone") {
      if (hasNewSession) return refuse("upstream_unavailable", "session_gone");
      hasNewSession = true;
    } else if (result?.ok === "unauthorized") {
      const credential = renewal.isSpent ? null : await refetched(options, { ...current, call });
      if (credential === null) return result.refused;
      Object.assign(renewal, { credential, isSpent: true });
    } else return result;
  }
}

function refetched({ refetch }: AttemptOptions, { call, timeout }: RelayAttempt) {
  return refetch?.(call, timeout.signal) ?? null;
}

async function tryOnce(options: AttemptOptions, current: RelayAttempt): Promise<TryResult> {
  const lease = await leaseOf(options, current).catch(unauthorizedBy);
  if (lease !== null && "ok" in lease) return lease;
  const subscribed = lease === null ? await subscribeFor(options.eras, current) : "relayed";
  if (subscribed !== "relayed") return subscribed;
  try {
    const result = await send(options, current, lease);
    const isTold = result === "session_gone" && lease?.isBound === true && lease.wasUsed;
    return isTold ? refuse("session_unknown", "lost by the server") : result;
  } finally {
    lease?.release();
  }
}

/** A handshake that the server refuses for its credential. @throws any other fault */
function unauthorizedBy(error: unknown): Unauthorized {
  const is401 = error instanceof HandshakeFault ? error.status === 401 : isStatus401(error);
  if (!is401 || !(error instanceof HttpFault)) throw error;
  return { ok: "unauthorized", refused: refuse("upstream_unavailable", error.message) };
}

function isStatus401(error: unknown): boolean {
  return error instanceof HttpFault && error.code === "status_401";
}

async function send(options: AttemptOptions, current: RelayAttempt, lease: Lease | null): Promise<TryResult> {
  const { upstream } = current.call;
  const { signal } = current.timeout;
  const dialect: Dialect = lease?.dialect ?? { era: "modern" };
  if (dialect.era === "legacy" && current.call.asking?.inputs)
    return refuse("upstream_unavailable", "another revision");
  const first = relayRequest(current.call, { dialect, wireId: randomInt(1, MAX_WIRE_ID) }, options.findSchema);
  const { client } = current;
  const request: RelayRequest = {
    ...first,
    get clientId() {
      return client.laterId ?? first.clientId;
    },
  };
  const { headers, body } = request;
  try {
    const response = await upstream.request({ method: "POST", headers, body, signal });
    return await passOn(options, { ...current, lease, request, response });
  } finally {
    if (signal.aborted && dialect.era === "legacy") void cancel(current.call, dialect, request.wireId);
  }
}

const CANCEL_MS = 1000;

/**
 * Tells a server of the older revisions that the call has ended: there a closed connection does not (MCP 2025-11-25,
 * Cancellation), in the stateless revision it does. Best effort.
 */
async function cancel({ upstream, credential }: RelayCall, dialect: LegacyDialect, requestId: RpcId): Promise<void> {
  const send = sendOwn(upstream, credential, createBudget(AbortSignal.timeout(CANCEL_MS)));
  await send(dialect, "notifications/cancelled", { requestId }).catch(() => null);
}

async function passOn(options: AttemptOptions, opened: OpenResponse): Promise<TryResult> {
  const { response, request, call, client } = opened;
  const status = response.statusCode;
  if (status === 200 && mediaOf(response) === "stream") return passStream(options, opened);
  if (status === 200 && mediaOf(response) === "json") return passJson(opened);
  const read = await readResponse(options, opened, status);
  if (!read.ok && status === 401) return { ok: "unauthorized", refused: read };
  if (!read.ok) {
    const hadSession = isMisunderstood(status) && forgetTerms(options, opened);
    return hadSession && status !== 405 ? "session_gone" : read;
  }
  const toClient = toClientResponse(read.value, request, call.operation);
  if (toClient === null) return refuse("capability_missing", "input_required");
  sendResponse(client, toClient);
  return null;
}

/** The response to this request, or a refusal: then the body is not read to its end, and nothing of it is passed on. */
async function readResponse(
  { readMessage }: AttemptOptions,
  { call, response, request, client, timeout }: OpenResponse,
  status: number,
): Promise<Step<RpcResponse>> {
  const isRpc = [200, 400, 404].includes(status) && mediaOf(response) === "json";
  if (!isRpc) {
    drainOrClose(response);
    return refuse("upstream_unavailable", status === 200 ? "content_type" : `status_${status}`);
  }
  const { maxResponseBytes } = call.upstream;
  const { bytes, room } = await readHeld(response, { hold: client.hold, signal: timeout.signal }, maxResponseBytes);
  const read = await readMessage(bytes);
  if (timeout.signal.aborted) throw faultIn(timeout.signal);
  const message = responseIn(read, request, status);
  if (message !== null) return pass({ bytes, message, status });
  room.settle(0);
  return refuse("upstream_unavailable", status === 200 ? "not_an_answer" : `status_${status}`);
}

type RpcMessage = RpcResponse["message"];

/** The response to this request; under 400 and 404 an error only. */
function responseIn(message: UpstreamMessage | null, request: RelayRequest, status: number): RpcMessage | null {
  if (message?.kind !== "answer") return null;
  const isOurs = status === 200 ? message.id === request.wireId : isErrorFor(request, message, status);
  return isOurs ? message : null;
}

function isErrorFor({ wireId, dialect }: RelayRequest, { id, idSpan, errorCode }: RpcMessage, status: number): boolean {
  // Without an id member there is no place for the client's.
  if (errorCode === null || idSpan === null || !isResponseTo(wireId, id, true)) return false;
  if (status !== 400 || !MODERN_CODES.includes(errorCode)) return id === wireId;
  return dialect.era === "modern"; // to an older revision, it says that the server no longer speaks it
}

/** Statuses that say, without a response to this request: the server speaks another revision, or has lost the session. */
function isMisunderstood(status: number): boolean {
  return [400, 404, 405].includes(status);
}

/** Forgets the session, or the era where there was none: the next attempt asks again. True if there was a session. */
function forgetTerms({ eras }: AttemptOptions, { lease, call }: OpenResponse): boolean {
  lease?.discard();
  const hadSession = lease !== null && lease.dialect.session !== null;
  if (!hadSession) eras.forget(call.upstream.name);
  return hadSession;
}

/** The stream of a call, and what goes on with it where it ends early. */
async function passStream(options: AttemptOptions, opened: OpenResponse): Promise<AttemptResult> {
  const { call, client, timeout } = opened;
  timeout.endAt(call.wristband.caller_exp * 1000);
  const position = newPosition();
  try {
    let end = await readPart(options, opened, position);
    while (end !== null && end !== "flowed" && "fault" in end) {
      const response = await resumeStream(opened, position, end.fault);
      // A server that ends each stream at once has no more time than one that is silent.
      end = await readPart(options, { ...opened, response, isRest: true }, position);
    }
    checkIsThere(client);
    if (end === null) return refuse("capability_missing", "input_required");
    if (end === "flowed") return null;
    if (end.isAsking === true) return askedIn(end.body);
    sendResponse(client, end);
    return null;
  } finally {
    call.session?.requests.forget(timeout);
  }
}

/** One stream, to its end, or to the fault that it ended with. */
function readPart(options: AttemptOptions, opened: OpenResponse, position: StreamPosition) {
  const { call, client, timeout, request, response, isRest = false } = opened;
  const { monotonic, notificationsPerSecond, observer, pacer, readMessage } = options;
  const brake = createBrake(response);
  const writer = () => (client.accepts.stream && !client.isAway ? beginStream(client, brake) : null);
  const asking = askBackOf(options, opened, brake);
  writer();
  const send = (data: Buffer, id: string | null) => {
    const stream = writer();
    if (stream === null) return;
    const told = clientEventId(opened, id);
    stream.event(data, told);
    if (told !== null) position.toldId = id;
  };
  const sink: StreamSink = {
    notification({ data, id }, message) {
      timeout.restart();
      const passed = notificationFor(opened, data, message);
      const own = passed === null ? null : client.inItsTerms(passed, message);
      if (own !== null) send(own, id);
    },
    request({ data, id }, message) {
      timeout.restart();
      const sendAsked = writer() === null ? null : (asked: Buffer) => send(asked, id);
      return takeRequest({ ...opened, send: sendAsked, asking }, data, message);
    },
    position({ lastEventId, retryMs }) {
      position.lastEventId = lastEventId ?? position.lastEventId;
      position.retryMs = retryMs ?? position.retryMs;
      tellPosition(opened, position, writer);
    },
    onData: isRest ? () => {} : timeout.restart,
    answer() {
      checkIsThere(client);
      position.hasFlowed = true;
      return beginAnswer(client, brake);
    },
    unread: () => client.response.writableLength,
  };
  return readStream(
    {
      ...{ response, request, operation: call.operation, sink },
      ...{ server: call.upstream.name, maxBytes: call.upstream.maxResponseBytes },
    },
    { brake, pacer, budget: createNotificationBudget(notificationsPerSecond, monotonic), observer, readMessage },
    { hold: client.hold, signal: timeout.signal },
  )
    .catch((fault: unknown) => ({ fault }))
    .finally(() => asking?.end());
}

/** A server that asks its client and does not wait for her has nobody to answer. @throws {HttpFault} */
function checkIsThere(client: CallClient): void {
  if (client.isAway) throw new HttpFault("no_answer");
}

/** Null where the client of the call cannot be asked in a result. */
function askBackOf({ kept, now }: AttemptOptions, opened: OpenResponse, brake: Brake): AskBack | null {
  const { dialect } = opened.request;
  return kept === null || dialect.era === "modern" ? null : createAskBack({ ...opened, kept, dialect, brake, now });
}
