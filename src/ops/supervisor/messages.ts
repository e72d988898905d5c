// Messages between the supervisor and its serving threads (worker_threads). Types only.
import type { TlsMaterial } from "../../http/server.ts";
import type { ReloadCause } from "../reload.ts";
import type { Rules } from "./runaways.ts";
import type { Suspension } from "./suspensions.ts";

/** From thread to supervisor. @typeParam P the policy as the next thread can take it over */
export type FromThread<P = unknown> =
  | { readonly type: "ready"; readonly ports?: Ports }
  /** A policy went live: at the start, and after each accepted change. */
  | { readonly type: "policy"; readonly revision: string; readonly policy: P }
  /** A fetched document, for the next thread. `bytes: null`: the last one of this name is still current (HTTP 304). */
  | { readonly type: "document"; readonly name: string; readonly bytes: Uint8Array | null; readonly tag: string }
  /** Memory that must outlive this thread, which goes on writing to it. */
  | { readonly type: "remember"; readonly memory: SharedArrayBuffer }
  /** The thread has drained and ends, with this exit code. */
  | { readonly type: "ended"; readonly code: number }
  /** The configuration is in force as it stands in its files. */
  | { readonly type: "taken" }
  /** Of the first of several workers: files of the configuration are otherwise. */
  | { readonly type: "changed" }
  /** Of the first: new files of the operator listener. */
  | { readonly type: "tls"; readonly material: TlsMaterial }
  | ({ readonly type: "vote" } & Vote)
  | { readonly type: "answer"; readonly id: number; readonly answer: OpsAnswer };

/** From supervisor to thread. */
export type ToThread<P = unknown> =
  | { readonly type: "start"; readonly handover: Handover<P> }
  /** To a spare thread: what is in the files is in force, to be remembered in case that they break. */
  | { readonly type: "reread" }
  | { readonly type: "suspend"; readonly suspension: Suspension }
  | { readonly type: "terminate" }
  | { readonly type: "reload"; readonly cause: ReloadCause; readonly round: number }
  /** To all workers but the first: what the first has live. */
  | { readonly type: "policy"; readonly policy: P }
  | { readonly type: "quarantine"; readonly revision: string | null; readonly rules: Rules }
  | { readonly type: "verdict"; readonly round: number; readonly part: string; readonly isAgreed: boolean }
  | ({ readonly type: "ask"; readonly id: number } & OpsQuestion);

/** Whether a worker could take this part of a reload; all of them take it, or none. */
export interface Vote {
  readonly round: number;
  readonly part: string;
  readonly isReady: boolean;
  /** A digest of what it would take: two workers may have read two versions of one file. */
  readonly content: string;
}

/** The ports that a worker listens on; 0 for a socket, null without the listener. */
export interface Ports {
  readonly authz: number;
  readonly authzen: number | null;
}

/** A request to the operator listener, which the main thread has where several workers serve. */
export interface OpsQuestion {
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface OpsAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** One of several serving threads. */
export interface WorkerPlace {
  /** 0 for the first, which watches files and loads policy for all. */
  readonly index: number;
  readonly of: number;
  /** Those of the first; null for the first at its first start. */
  readonly ports: Ports | null;
  /** The memory of {@link SharedMemory}. */
  readonly shared: SharedMemory;
}

/** What several workers must remember together. */
export interface SharedMemory {
  /** Used DPoP proofs. */
  readonly proofs: SharedArrayBuffer;
  /** Whose turn it is to write audit lines. */
  readonly audit: SharedArrayBuffer;
}

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
  /** Null for the only one. */
  readonly worker: WorkerPlace | null;
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
