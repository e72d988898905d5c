// Relays calls: bounds those of each caller, gives each its time limits, and reports how each ended. What one call does is in
// attempt.ts. I/O by its parts.
import { refuse, type Refused } from "../../authz/step.ts";
import { REFUSALS, type Reason } from "../../authz/refusal.ts";
import { HttpFault } from "../../http/client.ts";
import type { RpcId } from "../../mcp/operation.ts";
import { hasLookalikeArgument } from "../../mcp/argument-names.ts";
import { faultOfParamHeaders } from "../../mcp/param-headers.ts";
import { MODERN } from "../../mcp/versions.ts";
import type { Eras } from "../upstream/era.ts";
import { CANCELLED, faultIn, LEFT } from "../abort.ts";
import { createCallTimeout, type CallTimeout } from "./call-timeout.ts";
import { createCallsUnderWay } from "./calls-under-way.ts";
import { attempt, type AttemptOptions } from "./attempt.ts";
import type { RelayAttempt } from "./attempt-stream.ts";
import type { RelayCall } from "./admit.ts";
import { CallClient } from "./call-client.ts";
import type { KeptCalls } from "./kept-calls.ts";
import { STATE_UNKNOWN } from "./lease.ts";
import { endCancelled, endStream, type RelayClient } from "./client-response.ts";
import type { Refetch } from "./refetch.ts";
import type { FindSchema } from "./request.ts";
import type { StreamObserver } from "./stream.ts";
import { createReadMessage } from "../upstream/message.ts";
import type { SessionPool } from "../upstream/session-pool.ts";
import { callerKey } from "../../wristband/claims.ts";
import { createPacer } from "../upstream/brake.ts";
import { NO_ROOM } from "../room.ts";
import type { Admission, Breaker } from "./breaker.ts";
import { healthAfter, watch, type SeenRequest } from "./health.ts";
import { createConcurrencyLimit } from "./concurrency-limit.ts";
import { endCallSpan, traced, type ResumeSpan } from "./traced.ts";

/** The `outcome` label: {@link CallEnd}, with the reason of a refusal. An error of the server's is an answer. */
export type RelayOutcome = Exclude<CallEnd["kind"], "refused"> | Reason;

/** The end of a call: with the server's response, without its client (gone, or no longer interested), or with a refusal of ours. */
type CallEnd =
  | { readonly kind: "answered" }
  | { readonly kind: "left" }
  | { readonly kind: "refused"; readonly refused: Refused };

/** Receives the end of each call. Labels come from closed sets: servers of the configuration, outcomes of a table. */
export interface RelayObserver extends StreamObserver {
  observe(server: string, outcome: RelayOutcome, seconds: number): void;
}

/** Named fields only: never a header, a body or an address. */
export interface RelayLog {
  debug(event: string, fields: Readonly<Record<string, string | number>>): void;
  warn(event: string, fields: Readonly<Record<string, string | number>>): void;
}

export interface RelayOptions {
  readonly eras: Eras;
  readonly sessions: SessionPool;
  readonly findSchema: FindSchema;
  /** Calls that wait for their clients; null where clients of the stateless revision are not asked. */
  readonly kept: KeptCalls | null;
  /** Another credential for a call whose server refuses the one that it came with; absent where there is none. */
  readonly refetch?: Refetch;
  readonly observer: RelayObserver;
  /** Absent where nothing is recorded. */
  readonly resumeSpan?: ResumeSpan | undefined;
  readonly log: RelayLog;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
  /** Calls of one caller at a time, of all servers. */
  readonly maxCallsPerCaller: number;
  /** Calls of one caller at a time, of one server. */
  readonly maxCallsPerServer: number;
  /** Notifications of one call that are passed on. */
  readonly notificationsPerSecond: number;
  /** A silent stream to a client gets a comment at least so often. */
  readonly keepAliveMs: number;
  /** By server; calls of one without it are always tried. */
  readonly breakerOf?: (server: string) => Breaker | undefined;
}

export interface Relay {
  /** Sends a call to its server and the response to the client. Returns a refusal if the client has got nothing yet. */
  carry(call: RelayCall, client: RelayClient): Promise<Refused | null>;
  /** The other replica at which the call waits that this one goes on with; null for none. */
  ownerOf(call: RelayCall): string | null;
  /** Ends the call of this scope with this id, at its server too; nothing if there is no such call. */
  cancel(scope: string, id: RpcId): void;
  /** Ends the calls under way. Resolves when each client has its response or a refusal. */
  endAll(): Promise<void>;
}

/** Whatever a server does, its client gets one response: the server's to this call, or a refusal of ours. */
export function createRelay(options: RelayOptions): Relay {
  const active = new Map<CallTimeout, Promise<unknown>>();
  const tryAcquire = createCallLimit(options);
  const underWay = createCallsUnderWay<CallTimeout>();
  const pacer = createPacer();
  const shared = { ...options, pacer, readMessage: createReadMessage(pacer) };
  return {
    ownerOf(call) {
      const ref = options.kept?.read(call) ?? null;
      return ref === null || !ref.isFresh || ref.owner === options.kept?.address ? null : ref.owner;
    },
    carry(call, client) {
      const resumed = resume(options, call, client);
      if (resumed !== null) return resumed;
      const release = tryAcquire(call);
      if (release === null) {
        const refused = refuse("rate_limited");
        report(options, { call, client }, { end: { kind: "refused", refused }, ms: 0 });
        return Promise.resolve(refused);
      }
      const timeout = createCallTimeout(call.upstream.timeoutMs, options.now);
      const { scope, operation } = call;
      const remove = operation.id === null ? () => {} : underWay.add(scope, operation.id, timeout);
      const { keepAliveMs } = options;
      const caller = new CallClient(client, { onLeft: () => timeout.end(LEFT), keepAliveMs });
      const first = caller.begin();
      const work = () => carry(shared, { call, client: caller, timeout });
      const carried = traced(options.resumeSpan, { call, requestId: client.requestId, work });
      carried.then(
        (refused) => caller.end(refused),
        () => caller.end(refuse("internal")),
      );
      const done = carried.finally(() => {
        active.delete(timeout);
        remove();
        // Count the call until the client has read the response: up to 8 MiB stay buffered.
        const { response } = caller;
        if (response.writableEnded && !response.writableFinished && !response.closed) response.once("close", release);
        else release();
      });
      active.set(timeout, done);
      return first;
    },
    cancel: (scope, id) => underWay.find(scope, id)?.end(CANCELLED),
    async endAll() {
      for (const timeout of active.keys()) timeout.end("shutdown");
      await Promise.allSettled(active.values());
    },
  };
}

/** Goes on with the call that waits for this one; null for a call that goes on with none of ours. */
function resume(options: RelayOptions, call: RelayCall, client: RelayClient): Promise<Refused | null> | null {
  const ref = options.kept?.read(call) ?? null;
  if (ref === null) return null;
  const kept = options.kept?.take(ref) ?? null;
  if (kept !== null) return kept.resume(call, client);
  const refused = stateUnknown();
  report(options, { call, client }, { end: { kind: "refused", refused }, ms: 0 });
  return Promise.resolve(refused);
}

/** Her `requestState` is altered, too old, used before or somebody else's, or the call has ended. */
export function stateUnknown(): Refused {
  return { ...refuse("params_invalid", STATE_UNKNOWN), about: "a requestState of no call that waits" };
}

/** Bounds the calls of a caller, in all and at each server: a call takes a slot of both. */
function createCallLimit({
  maxCallsPerCaller,
  maxCallsPerServer,
}: RelayOptions): (call: RelayCall) => (() => void) | null {
  const all = createConcurrencyLimit(maxCallsPerCaller);
  const ofServer = createConcurrencyLimit(maxCallsPerServer);
  return ({ wristband, upstream }) => {
    const caller = callerKey(wristband);
    const releaseOfServer = ofServer.tryAcquire(JSON.stringify([caller, upstream.name]));
    if (releaseOfServer === null) return null;
    const releaseOfAll = all.tryAcquire(caller);
    if (releaseOfAll === null) {
      releaseOfServer();
      return null;
    }
    return () => {
      releaseOfServer();
      releaseOfAll();
    };
  };
}

async function carry(options: RelayOptions & AttemptOptions, current: RelayAttempt): Promise<Refused | null> {
  const { client, timeout } = current;
  const { monotonic } = options;
  const started = monotonic();
  let end: CallEnd;
  try {
    subscribe(current.call);
    const refused = faultOfArguments(current.call, options.findSchema) ?? (await tried(options, current));
    end = refused === null ? { kind: "answered" } : { kind: "refused", refused };
  } catch (error) {
    end = endBy(causeOf(error, timeout), current.call.upstream.maxResponseBytes);
  } finally {
    timeout.clear();
  }
  report(options, current, { end, ms: monotonic() - started });
  if (client.isAway) return null;
  if (end.kind === "left" && !client.response.closed) endCancelled(client);
  if (end.kind !== "refused") return null;
  if (!client.response.headersSent) return end.refused;
  endStream(client, [Buffer.from(client.errorBody(end.refused))]);
  return null;
}

/** The call, unless its server's breaker is open: then it is refused at once, and nothing is sent. @throws {HttpFault} */
async function tried(options: RelayOptions & AttemptOptions, current: RelayAttempt): Promise<Refused | null> {
  const { call, timeout } = current;
  const admission = options.breakerOf?.(call.upstream.name)?.admit(callerKey(call.wristband)) ?? ALWAYS;
  if (!admission.ok) {
    const retryAfterSeconds = Math.ceil(admission.retryAfterMs / 1000);
    return { ...refuse("upstream_unavailable", "breaker_open"), retryAfterSeconds };
  }
  const seen: SeenRequest = { status: null };
  const watched = { ...call, upstream: watch(call.upstream, seen, timeout.signal) };
  try {
    const refused = await attempt(options, { ...current, call: watched });
    admission.end(healthAfter(seen, null, refused === null));
    return refused;
  } catch (error) {
    admission.end(healthAfter(seen, causeOf(error, timeout), false));
    throw error;
  }
}

/** For a server without a breaker. */
const ALWAYS: Admission = { ok: true, end: () => {} };

function causeOf(error: unknown, { signal }: CallTimeout): unknown {
  return signal.aborted && !isNoRoom(error) ? faultIn(signal) : error;
}

/** From the moment that the server may tell of changes, before its answer. */
function subscribe({ session, operation, upstream, name, wristband }: RelayCall): void {
  if (operation.method === "resources/subscribe") session?.subscriptions.add(upstream.name, name, wristband);
  if (operation.method === "resources/read") session?.subscriptions.renew(upstream.name, name, wristband);
  if (operation.method === "resources/unsubscribe") session?.subscriptions.delete(upstream.name, name);
}

/**
 * What only the tool's schema shows. A server that reads names without regard to case would take an argument that policy did
 * not see (threat model: B03). A client of the stateless revision must mirror annotated arguments in headers, and truly:
 * Envoy or somebody before it may have routed by them (SEP-2243).
 */
function faultOfArguments({ upstream, operation, name, forwarded }: RelayCall, findSchema: FindSchema): Refused | null {
  if (operation.kind !== "tool") return null;
  const schema = findSchema(upstream.name, name);
  const refuseWith = (reason: "params_invalid" | "header_mismatch", about: string) => ({
    ...refuse(reason, about),
    about,
  });
  if (hasLookalikeArgument(schema, operation.arguments))
    return refuseWith("params_invalid", "an argument that differs from the tool's own only in case");
  // A call inside `call_tool` has no headers of its own: the broker makes them.
  if (operation.version !== MODERN || operation.wrapped === true) return null;
  const fault = faultOfParamHeaders(schema, operation.arguments, forwarded);
  return fault === null ? null : refuseWith("header_mismatch", fault);
}

function isNoRoom(error: unknown): boolean {
  return error instanceof HttpFault && error.code === NO_ROOM;
}

function endBy(error: unknown, limitBytes: number): CallEnd {
  if (error instanceof HttpFault && (error.code === LEFT || error.code === CANCELLED)) return { kind: "left" };
  const refused = refusedBy(error);
  return { kind: "refused", refused: refused.reason === "answer_too_large" ? { ...refused, limitBytes } : refused };
}

function refusedBy(error: unknown): Refused {
  if (!(error instanceof HttpFault)) return refuse("internal", error instanceof Error ? error.name : "thrown");
  if (error.code === STATE_UNKNOWN) return stateUnknown();
  if (error.code === NO_ROOM) return refuse("rate_limited", error.code);
  if (error.code === "capability_missing") return refuse("capability_missing", "input_required");
  if (error.code === "answer_too_large") return refuse("answer_too_large");
  if (error.code === "timeout") return refuse("upstream_timeout", error.code);
  if (error.code === "caller_expired") return refuse("token_expired", error.code);
  return refuse("upstream_unavailable", error.message);
}

interface CallReport {
  readonly end: CallEnd;
  readonly ms: number;
}

function report(
  { observer, log }: RelayOptions,
  { call, client }: { readonly call: RelayCall; readonly client: RelayClient },
  { end, ms }: CallReport,
): void {
  const { upstream, operation } = call;
  const outcome: RelayOutcome = end.kind === "refused" ? end.refused.reason : end.kind;
  observer.observe(upstream.name, outcome, ms / 1000);
  endCallSpan(outcome, end.kind === "refused" && REFUSALS[end.refused.reason].kind === "fail");
  const fields = { request_id: client.requestId, server: upstream.name, method: operation.method, outcome };
  if (end.kind === "refused")
    log.warn("relay_failed", { ...fields, detail: end.refused.detail ?? "", ms: Math.round(ms) });
  else log.debug("relayed", { ...fields, ms: Math.round(ms) });
}
