// What the supervisor and its serving threads tell each other. Types only.
import type { Suspension } from "./suspensions.ts";

/** What a supervised thread says to its supervisor. @typeParam P the policy as the next thread can take it over */
export type FromThread<P = unknown> =
  | { readonly type: "ready" }
  /** A policy that went live: at the start, and after each change that was taken. */
  | { readonly type: "policy"; readonly revision: string; readonly policy: P }
  /** A document that was fetched, for the next thread; without `bytes`, the last one of this name is fresh again. */
  | { readonly type: "document"; readonly name: string; readonly bytes: Uint8Array | null; readonly tag: string }
  /** What must outlive this thread, which goes on writing to it. */
  | { readonly type: "remember"; readonly memory: SharedArrayBuffer }
  /** It has ended in order, with this exit code. */
  | { readonly type: "ended"; readonly code: number };

/** What it is told. */
export type ToThread<P = unknown> =
  | { readonly type: "start"; readonly handover: Handover<P> }
  | { readonly type: "suspend"; readonly suspension: Suspension }
  | { readonly type: "terminate" }
  | { readonly type: "reload" };

/** A document as an earlier thread fetched it. Whoever takes it verifies it as if it had fetched it itself. */
export interface KeptDocument {
  readonly bytes: Uint8Array;
  readonly tag: string;
  readonly ageMs: number;
}

/** What a thread starts with. */
export interface Handover<P = unknown> {
  readonly heartbeat: SharedArrayBuffer;
  readonly inFlight: SharedArrayBuffer;
  /** A policy revision that ran away for several callers. */
  readonly quarantined: string | null;
  readonly suspended: readonly Suspension[];
  readonly restarts: number;
  readonly runaways: number;
  /** What earlier threads asked to remember; null in the first one. */
  readonly remembered: SharedArrayBuffer | null;
  /** What the thread before had live and fetched: nothing in the first one. */
  readonly policy: P | null;
  readonly documents: Readonly<Record<string, KeptDocument>>;
}

/** What a thread left behind. */
export interface Loss {
  readonly inFlight: SharedArrayBuffer;
  readonly cause: "ran_away" | "crashed" | "stopped";
  /** The slot of the Check whose evaluation ran away; `NO_SLOT` where there is none. */
  readonly slot: number;
  readonly revision: string | null;
}
