// What each step of the pipeline returns. Pure.
import type { Reason } from "./refusal.ts";
import type { Identity } from "./types.ts";

/** What a step returns: its value, or why the request is refused. */
export type Step<T> = { readonly ok: true; readonly value: T } | Refused;

export interface Refused {
  readonly ok: false;
  readonly reason: Reason;
  /** For our own log only; it never reaches a client. */
  readonly detail?: string | undefined;
  /** A JSON-RPC code that is more exact than the table's: −32600 for a body that is JSON but no message. */
  readonly rpcCode?: number | undefined;
  /** The scopes that this operation needs, for `scope_insufficient` (RFC 6750 §3.1). */
  readonly scopes?: readonly string[] | undefined;
  /** How the caller gets what is missing, in the operator's words: the client is told. */
  readonly help?: string | undefined;
  /** When the caller may try again, if that is known: `Retry-After` (RFC 9110 §10.2.3). */
  readonly retryAfterSeconds?: number | undefined;
  /** Whose token it is that is not taken, though its signature was verified: for the audit line, and nothing else. */
  readonly caller?: Identity | undefined;
}

export function pass<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

export function refuse(reason: Reason, detail?: string): Refused {
  return { ok: false, reason, detail };
}
