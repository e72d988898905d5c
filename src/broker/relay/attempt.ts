// One call: finds how its server is spoken to, sends the client's bytes, and passes the response on. Sends a call twice only
// where the server says that it does not know the session, or refuses the credential, so has not processed it. I/O by its parts.
import { randomInt } from "node:crypto";
import { drainOrClose, HttpFault } from "../../http/client.ts";
import { pass, refuse, type Refused, type Step } from "../../authz/step.ts";
import type { RpcId } from "../../mcp/operation.ts";
import type { UpstreamMessage } from "../../mcp/upstream-message.ts";
import { HandshakeFault, MODERN_CODES, type Dialect, type Eras, type LegacyDialect } from "../upstream/era.ts";
import { faultIn } from "../abort.ts";
import { leaseOf } from "./lease.ts";
import { toClientResponse, type RpcResponse } from "./response.ts";
import type { RelayCall } from "./admit.ts";
import { withAnswers } from "./input-required.ts";
import { sendResponse } from "./client-response.ts";
import {
  passStream,
  type AttemptResult,
  type OpenResponse,
  type RelayAttempt,
  type StreamOptions,
} from "./attempt-stream.ts";
import { passJson } from "./json-answer.ts";
import type { Refetch } from "./refetch.ts";
import { subscribeFor } from "./subscribe-for.ts";
import { relayRequest, type FindSchema, type RelayRequest } from "./request.ts";
import type { SessionPool } from "../upstream/session-pool.ts";
import type { Lease } from "../upstream/session.ts";
import { mediaOf, readHeld } from "../upstream/body.ts";
import { createBudget, isResponseTo, sendOwn } from "../upstream/client.ts";
import type { UpstreamCredential } from "../upstream/upstream.ts";

export interface AttemptOptions extends StreamOptions {
  readonly eras: Eras;
  readonly sessions: SessionPool;
  readonly findSchema: FindSchema;
  /** Another credential for a call whose server refuses the one that it came with; absent where there is none. */
  readonly refetch?: Refetch;
}

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
