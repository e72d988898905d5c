// The result of a step of the pipeline. Pure.
import type { OperationFault } from "../mcp/operation.ts";
import type { Reason } from "./refusal.ts";
import type { JsonObject } from "../json/types.ts";
import type { PolicyAnswer } from "./host-decision.ts";
import type { DenyDecision, Identity, StepUp } from "./types.ts";

/** The result of a step: its value, or the reason for which the request is refused. */
export type Step<T> = { readonly ok: true; readonly value: T } | Refused;

export interface Refused {
  readonly ok: false;
  readonly reason: Reason;
  /** For the audit log only: it never reaches a client, and no code reads it to decide. */
  readonly detail?: string | undefined;
  /** A JSON-RPC code instead of the table's: −32600 for a body that is JSON but no message. */
  readonly rpcCode?: number | undefined;
  /** The scopes that this operation needs, for `scope_insufficient` (RFC 6750 §3.1). */
  readonly scopes?: readonly string[] | undefined;
  /** The log-in that this operation needs, for `authentication_insufficient` (RFC 9470 §3). */
  readonly stepUp?: StepUp | undefined;
  /** The operator's words on how the caller gets what is missing; the client receives them. */
  readonly help?: string | undefined;
  /** What is wrong with the caller's own message, in our words and without a value of it; the caller receives it. */
  readonly about?: string | undefined;
  /** For `capability_missing`: the extension that the client must declare; the client receives it. */
  readonly extension?: string | undefined;
  /** For `version_unsupported`: the revisions that are spoken there; default all of the gateway. The client receives them. */
  readonly supported?: readonly string[] | undefined;
  /** The limit in bytes that the request or its answer exceeds; the client receives it. */
  readonly limitBytes?: number | undefined;
  /** Seconds until the caller may try again, if known: `Retry-After` (RFC 9110 §10.2.3). */
  readonly retryAfterSeconds?: number | undefined;
  /** The words of the policy of the host's other paths to the client, in place of ours. */
  readonly answer?: PolicyAnswer | undefined;
  /** What that policy says to the data plane, beside our own. */
  readonly metadata?: JsonObject | undefined;
  /** Set when the signature was valid but the token was refused (expired, revoked, wrong audience). For the audit log only. */
  readonly caller?: Identity | undefined;
}

export function pass<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

export function refuse(reason: Reason, detail?: string): Refused {
  return { ok: false, reason, detail };
}

/** Refuses a body that is no operation. Its sender is told what is wrong: it is her own message. */
export function refuseBody(fault: OperationFault): Refused {
  return { ok: false, ...fault, about: fault.detail };
}

/**
 * Refuses what policy denies: for good, or until the caller has more scopes or another log-in.
 * @param held scopes of the caller's token that a challenge names beside those that are missing
 */
export function refuseByPolicy(
  { requiredScopes, stepUp }: Pick<DenyDecision, "requiredScopes" | "stepUp">,
  held: readonly string[],
): Refused {
  const scopesWith = (missing: readonly string[]) => [...new Set([...held, ...missing])].sort();
  if (stepUp) {
    const scopes = stepUp.scopes.length === 0 ? [] : scopesWith(stepUp.scopes);
    return { ok: false, reason: "authentication_insufficient", stepUp: { ...stepUp, scopes } };
  }
  if (requiredScopes === null) return refuse("policy_denied");
  return { ok: false, reason: "scope_insufficient", scopes: scopesWith(requiredScopes) };
}
