// Messages between the supervisor and its serving threads (worker_threads). Types only.
import type { Suspension } from "./suspensions.ts";

/** From thread to supervisor. @typeParam P the policy as the next thread can take it over */
export type FromThread<P = unknown> =
  | { readonly type: "ready" }
  /** A policy went live: at the start, and after each accepted change. */
  | { readonly type: "policy"; readonly revision: string; readonly policy: P }
  /** A fetched document, for the next thread. `bytes: null`: the last one of this name is still current (HTTP 304). */
  | { readonly type: "document"; readonly name: string; readonly bytes: Uint8Array | null; readonly tag: string }
  /** Memory that must outlive this thread, which goes on writing to it. */
  | { readonly type: "remember"; readonly memory: SharedArrayBuffer }
  /** The thread has drained and ends, with this exit code. */
  | { readonly type: "ended"; readonly code: number };

/** From supervisor to thread. */
export type ToThread<P = unknown> =
  | { readonly type: "start"; readonly handover: Handover<P> }
  | { readonly type: "suspend"; readonly suspension: Suspension }
  | { readonly type: "terminate" }
  | { readonly type: "reload" };

/** A document that an earlier thread fetched. The next one verifies it as if it had fetched it itself. */
export interface KeptDocument {
  readonly bytes: Uint8Array;
  readonly tag: string;
  readonly ageMs: number;
}

/** State that a thread starts with. */
export interface Handover<P = unknown> {
  readonly heartbeat: SharedArrayBuffer;
  readonly inFlight: SharedArrayBuffer;
  /** The revision that is not evaluated, because it ran away for several callers; null if there is none. */
  readonly quarantined: string | null;
  /** The same for the rules of the host's other paths alone: MCP goes on. */
  readonly hostQuarantined: string | null;
  readonly suspended: readonly Suspension[];
  readonly restarts: number;
  readonly runaways: number;
  /** Memory of `remember`; null in the first thread. */
  readonly remembered: SharedArrayBuffer | null;
  /** Policy and documents of the thread before; null and empty in the first one. */
  readonly policy: P | null;
  readonly documents: Readonly<Record<string, KeptDocument>>;
}

/** Checks that an ended thread left without an audit line, and why it ended. */
export interface Loss {
  readonly inFlight: SharedArrayBuffer;
  readonly cause: "ran_away" | "crashed" | "stopped";
  /** The slot of the Check whose evaluation ran away; `NO_SLOT` without one. */
  readonly slot: number;
  readonly revision: string | null;
}
