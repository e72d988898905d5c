import { randomInt } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { refuse, type Refused } from "../../authz/step.ts";
import type { RpcId } from "../../mcp/operation.ts";
import type { UpstreamMessage } from "../../mcp/upstream-message.ts";
import { HandshakeFault, MODERN_CODES, type Dialect, type Eras, type LegacyDialect } from "../upstream/era.ts";
import { createNotificationBudget } from "./notification-budget.ts";
import { createBrake, type Pacer } from "../upstream/brake.ts";
import { faultIn, orAborted } from "../abort.ts";
import type { Leash } from "./call-timeout.ts";
import { relayAnswer, type ServerAnswer } from "./response.ts";
import type { RelayCall } from "./admit.ts";
import { beginStream, endStream, sendAnswer, type RelayClient } from "./client-response.ts";
import { relayRequest, type FindSchema, type RelayRequest } from "./request.ts";
import { readStream, type StreamObserver, type StreamSink } from "./stream.ts";
import type { ReadMessage } from "../upstream/message.ts";
import type { SessionPool } from "../upstream/session-pool.ts";
import type { Lease } from "../upstream/session.ts";
import { drainOrClose, mediaOf, readHeld } from "../upstream/body.ts";
import { createBudget, isResponseTo, sendOwn } from "../upstream/client.ts";

export interface AttemptOptions {
  readonly eras: Eras;
  readonly sessions: SessionPool;
  readonly findSchema: FindSchema;
  /** Told of events that were for nobody (B50), and of those that were too many. */
  readonly observer: StreamObserver;
  readonly pacer: Pacer;
  readonly readMessage: ReadMessage;
  readonly notificationsPerSecond: number;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
}

/** One call under way. */
export interface Passage {
  readonly call: RelayCall;
  readonly client: RelayClient;
  readonly leash: Leash;
}

/** What was sent, on what terms, and what came. */
interface Exchanged extends Passage {
  readonly lease: Lease | null;
  readonly request: RelayRequest;
  readonly answer: IncomingMessage;
}

type Result = Refused | null;

/** So many that two calls never have one, of all replicas; and an integer to any server. */
const MAX_WIRE_ID = 2 ** 47;

/**
 * Sends a call and passes its answer on. A server that does not know our session has not processed the call: that alone
 * is sent again, once, in a new session. Null when the client has its answer.
 * @throws {HttpFault}
 */
export async function attempt(options: AttemptOptions, passage: Passage): Promise<Result> {
  const first = await tryOnce(options, passage);
  if (first !== "session_gone") return first;
  const second = await tryOnce(options, passage);
  return second === "session_gone" ? refuse("upstream_unavailable", "session_gone") : second;
}

async function tryOnce(options: AttemptOptions, passage: Passage): Promise<Result | "session_gone"> {
  const lease = await leaseOf(options, passage);
  try {
    return await send(options, passage, lease);
  } finally {
    lease?.release();
  }
}

async function send(options: AttemptOptions, passage: Passage, lease: Lease | null): Promise<Result | "session_gone"> {
  const { upstream } = passage.call;
  const { signal } = passage.leash;
  const dialect: Dialect = lease?.dialect ?? { era: "modern" };
  const request = relayRequest(passage.call, { dialect, wireId: randomInt(1, MAX_WIRE_ID) }, options.findSchema);
  const { headers, body } = request;
  try {
    const answer = await upstream.request({ method: "POST", headers, body, signal });
    return await passOn(options, { ...passage, lease, request, answer });
  } finally {
    if (signal.aborted && dialect.era === "legacy") void cancel(passage.call, dialect, request.wireId);
  }
}

const CANCEL_MS = 1000;

/**
 * Nobody waits for the answer any more. In the stateless revision the closed connection says so; in the older ones it says
 * nothing, and the server would work on (2025-11-25, Cancellation). What it answers counts not.
 */
async function cancel({ upstream, credential }: RelayCall, dialect: LegacyDialect, requestId: RpcId): Promise<void> {
  const send = sendOwn(upstream, credential, createBudget(AbortSignal.timeout(CANCEL_MS)));
  await send(dialect, "notifications/cancelled", { requestId }).catch(() => null);
}

/** A session for a server of the older revisions; null for one of the stateless revision. */
async function leaseOf({ eras, sessions }: AttemptOptions, { call, leash }: Passage): Promise<Lease | null> {
  const { upstream, credential, wristband } = call;
  const { name } = upstream;
  const { signal } = leash;
  const ask = sendOwn(upstream, credential, createBudget(signal));
  const era = eras.known(name) ?? (await orAborted(eras.of(name, ask), signal));
  if (era === "modern") return null;
  try {
    return await sessions.acquire({ upstream, credential, idp: wristband.idp, sub: wristband.sub }, signal);
  } catch (error) {
    if (!hasNoHandshake(error)) throw error;
    // It knows none any more; or what we believe was said to a caller whom it does not know, and is true of her alone.
    eras.forget(name);
    if ((await orAborted(eras.askAnew(name, ask), signal)) === "modern") return null;
    throw error;
  }
}

/** What a server that does not know `initialize` says to it: an error under 200, or one of these statuses. */
const NO_HANDSHAKE: readonly number[] = [200, 400, 404, 405];

function hasNoHandshake(error: unknown): boolean {
  return error instanceof HandshakeFault && error.stage === "initialize" && NO_HANDSHAKE.includes(error.status);
}

async function passOn(options: AttemptOptions, exchanged: Exchanged): Promise<Result | "session_gone"> {
  const { answer, request, call, client } = exchanged;
  const status = answer.statusCode ?? 0;
  if (status === 200 && mediaOf(answer) === "stream") return passStream(options, exchanged);
  const read = await readAnswer(options, exchanged, status);
  if (typeof read === "string") {
    const hadSession = isMisunderstood(status) && forgetTerms(options, exchanged);
    return hadSession && status !== 405 ? "session_gone" : refuse("upstream_unavailable", read);
  }
  const turned = relayAnswer(read, request, call.operation);
  if (turned === null) return refuse("capability_missing", "input_required");
  sendAnswer(client, turned);
  return null;
}

/** The answer to this request, or a word for what came instead: nothing of that is read further, and nothing passed on. */
async function readAnswer(
  { readMessage }: AttemptOptions,
  { answer, request, client, leash }: Exchanged,
  status: number,
): Promise<ServerAnswer | string> {
  const isRpc = [200, 400, 404].includes(status) && mediaOf(answer) === "json";
  if (!isRpc) {
    drainOrClose(answer);
    return status === 200 ? "content_type" : `status_${status}`;
  }
  const { bytes, room } = await readHeld(answer, { hold: client.hold, signal: leash.signal });
  const read = await readMessage(bytes);
  if (leash.signal.aborted) throw faultIn(leash.signal);
  const message = answerIn(read, request, status);
  if (message !== null) return { bytes, message, status };
  room.settle(0);
  return status === 200 ? "not_an_answer" : `status_${status}`;
}

type Answer = ServerAnswer["message"];

/** The answer to this request; under 400 and 404 an error only. */
function answerIn(message: UpstreamMessage | null, request: RelayRequest, status: number): Answer | null {
  if (message?.kind !== "answer") return null;
  const isOurs = status === 200 ? message.id === request.wireId : isErrorFor(request, message, status);
  return isOurs ? message : null;
}

function isErrorFor({ wireId, dialect }: RelayRequest, { id, idSpan, errorCode }: Answer, status: number): boolean {
  // Without an id member there is no place for the client's.
  if (errorCode === null || idSpan === null || !isResponseTo(wireId, id, true)) return false;
  if (status !== 400 || !MODERN_CODES.includes(errorCode)) return id === wireId;
  return dialect.era === "modern"; // to an older revision, it says that the server no longer speaks it
}

/** Without an answer to this request these say: the server speaks another revision, or has lost our session. */
function isMisunderstood(status: number): boolean {
  return [400, 404, 405].includes(status);
}

/** What we believed of the server is asked anew. True if it had a session of ours. */
function forgetTerms({ eras }: AttemptOptions, { lease, call }: Exchanged): boolean {
  lease?.discard();
  const hadSession = lease !== null && lease.dialect.session !== null;
  if (!hadSession) eras.forget(call.upstream.name);
  return hadSession;
}

async function passStream(options: AttemptOptions, exchanged: Exchanged): Promise<Result> {
  const { call, client, leash, request, answer } = exchanged;
  const { monotonic, notificationsPerSecond, observer, pacer, readMessage } = options;
  leash.until(call.wristband.caller_exp * 1000);
  const brake = createBrake(answer);
  const writer = client.accepts.stream ? beginStream(client, brake, monotonic) : null;
  const sink: StreamSink = {
    notification: (data) => writer?.event(data),
    touch() {
      leash.touch();
      writer?.alive();
    },
    unread: () => client.response.writableLength,
  };
  const end = await readStream(
    { answer, request, operation: call.operation, server: call.upstream.name, sink },
    { brake, pacer, budget: createNotificationBudget(notificationsPerSecond, monotonic), observer, readMessage },
    { hold: client.hold, signal: leash.signal },
  );
  if (end === null) return refuse("capability_missing", "input_required");
  if (client.accepts.stream) endStream(client, end.body);
  else sendAnswer(client, end);
  return null;
}
