import { refuse, type Refused } from "../../authz/step.ts";
import type { Reason } from "../../authz/refusal.ts";
import { HttpFault } from "../../http/client.ts";
import { hasLookalikeArgument } from "../../mcp/argument-names.ts";
import type { Eras } from "../upstream/era.ts";
import { faultIn } from "../abort.ts";
import { createLeash, LEFT, type Leash } from "./call-timeout.ts";
import { attempt, type AttemptOptions, type Passage } from "./attempt.ts";
import type { RelayCall } from "./admit.ts";
import { endStream, type RelayClient } from "./client-response.ts";
import type { FindSchema } from "./request.ts";
import type { StreamObserver } from "./stream.ts";
import { createReadMessage } from "../upstream/message.ts";
import type { SessionPool } from "../upstream/session-pool.ts";
import { callerKey } from "../../wristband/claims.ts";
import { createPacer } from "../upstream/brake.ts";
import { NO_ROOM } from "../room.ts";
import { createTurns } from "./concurrency-limit.ts";

/** The `outcome` label: {@link CallEnd}, with the reason of a refusal. An error of the server's is an answer. */
export type RelayOutcome = Exclude<CallEnd["kind"], "refused"> | Reason;

/** How a call ended: with the server's response, without its client, or with a refusal of ours. */
type CallEnd =
  | { readonly kind: "answered" }
  | { readonly kind: "left" }
  | { readonly kind: "refused"; readonly refused: Refused };

/** Told of each call. Labels come from closed sets: servers of the configuration, outcomes of a table. */
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
  readonly observer: RelayObserver;
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
}

export interface Relay {
  /** Carries a call to its server and its answer back. Returns a refusal if nothing has been sent to the client. */
  carry(call: RelayCall, client: RelayClient): Promise<Refused | null>;
  /** Ends what is still under way. Resolves when all have got their last word. */
  endAll(): Promise<void>;
}

/** Relays calls. Whatever a server does, its client gets one answer: the server's to this call, or a refusal of ours. */
export function createRelay(options: RelayOptions): Relay {
  const active = new Map<Leash, Promise<unknown>>();
  const enter = createGate(options);
  const pacer = createPacer();
  const shared = { ...options, pacer, readMessage: createReadMessage(pacer) };
  return {
    carry(call, client) {
      const leave = enter(call);
      if (leave === null) {
        const refused = refuse("rate_limited");
        report(options, { call, client }, { end: { kind: "refused", refused }, ms: 0 });
        return Promise.resolve(refused);
      }
      const leash = createLeash(call.upstream.timeoutMs, options.now);
      const done = carry(shared, { call, client, leash }).finally(() => {
        active.delete(leash);
        // A call lasts until the client has read its answer.
        const { response } = client;
        if (response.writableEnded && !response.writableFinished && !response.closed) response.once("close", leave);
        else leave();
      });
      active.set(leash, done);
      return done;
    },
    async endAll() {
      for (const leash of active.keys()) leash.end("shutdown");
      await Promise.allSettled(active.values());
    },
  };
}

/** Bounds the calls of a caller, in all and of each server; who leaves, leaves both. */
function createGate({ maxCallsPerCaller, maxCallsPerServer }: RelayOptions): (call: RelayCall) => (() => void) | null {
  const all = createTurns(maxCallsPerCaller);
  const ofServer = createTurns(maxCallsPerServer);
  return ({ wristband, upstream }) => {
    const caller = callerKey(wristband);
    const leaveServer = ofServer.enter(JSON.stringify([caller, upstream.name]));
    if (leaveServer === null) return null;
    const leaveAll = all.enter(caller);
    if (leaveAll === null) {
      leaveServer();
      return null;
    }
    return () => {
      leaveServer();
      leaveAll();
    };
  };
}

async function carry(options: RelayOptions & AttemptOptions, passage: Passage): Promise<Refused | null> {
  const { client, leash } = passage;
  const { monotonic } = options;
  const started = monotonic();
  const leave = () => leash.end(LEFT);
  client.response.on("close", leave);
  if (client.response.closed) leave();
  let end: CallEnd;
  try {
    const refused = faultOfArguments(passage.call, options.findSchema) ?? (await attempt(options, passage));
    end = refused === null ? { kind: "answered" } : { kind: "refused", refused };
  } catch (error) {
    end = endBy(leash.signal.aborted && !isNoRoom(error) ? faultIn(leash.signal) : error);
  } finally {
    client.response.off("close", leave);
    leash.drop();
  }
  report(options, passage, { end, ms: monotonic() - started });
  if (end.kind !== "refused") return null;
  if (!client.response.headersSent) return end.refused;
  endStream(client, [Buffer.from(client.errorBody(end.refused))]);
  return null;
}

/** A server that reads names without regard to case would take what policy did not see (threat row B03). */
function faultOfArguments({ upstream, operation, name }: RelayCall, findSchema: FindSchema): Refused | null {
  if (operation.kind !== "tool") return null;
  const isLookalike = hasLookalikeArgument(findSchema(upstream.name, name), operation.arguments);
  return isLookalike ? refuse("params_invalid", "an argument that differs from the tool's own only in case") : null;
}

function isNoRoom(error: unknown): boolean {
  return error instanceof HttpFault && error.code === NO_ROOM;
}

function endBy(error: unknown): CallEnd {
  if (error instanceof HttpFault && error.code === LEFT) return { kind: "left" };
  return { kind: "refused", refused: refusedBy(error) };
}

function refusedBy(error: unknown): Refused {
  if (!(error instanceof HttpFault)) return refuse("internal", error instanceof Error ? error.name : "thrown");
  if (error.code === NO_ROOM) return refuse("rate_limited", error.code);
  if (error.code === "timeout") return refuse("upstream_timeout", error.code);
  if (error.code === "caller_expired") return refuse("token_expired", error.code);
  return refuse("upstream_unavailable", error.code);
}

/** How a call ended, and after how long. */
interface CallReport {
  readonly end: CallEnd;
  readonly ms: number;
}

function report(
  { observer, log }: RelayOptions,
  { call, client }: Pick<Passage, "call" | "client">,
  { end, ms }: CallReport,
): void {
  const { upstream, operation } = call;
  const outcome: RelayOutcome = end.kind === "refused" ? end.refused.reason : end.kind;
  observer.observe(upstream.name, outcome, ms / 1000);
  const fields = { request_id: client.requestId, server: upstream.name, method: operation.method, outcome };
  if (end.kind === "refused")
    log.warn("relay_failed", { ...fields, detail: end.refused.detail ?? "", ms: Math.round(ms) });
  else log.debug("relayed", { ...fields, ms: Math.round(ms) });
}
