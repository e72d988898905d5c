// A refusal of a client of HTTP+SSE (2024-11-05) as a message on her stream, which the broker holds: at an HTTP status some clients
// end their session. Pure.
import { Grant, type HeaderSettings } from "./grant.ts";
import type { CheckFacts } from "./facts.ts";
import type { Outcome } from "./outcome.ts";
import type { Ports } from "./ports.ts";
import { corsHeaders } from "./public-document.ts";
import { keepsStatus } from "./refusal-response.ts";
import type { Reason } from "./refusal.ts";
import type { Refused } from "./step.ts";
import type { Identity, ToldRefusal, Visible } from "./types.ts";

const NO_NAMES: Visible = { tools: {}, prompts: {}, resources: {} };

export interface Teller {
  readonly settings: { readonly headers: HeaderSettings };
  readonly ports: Pick<Ports, "signWristband">;
  readonly facts: CheckFacts;
  readonly signal: AbortSignal;
  /** The verified caller. */
  readonly identity: Identity;
}

/** They have a status in the stateless revision alone. */
const OF_NO_STATUS: ReadonlySet<Reason> = new Set(["method_unknown", "capability_missing"]);

/**
 * The way of a refused request to the broker, with a wristband that names nothing and holds what the client is told. What has
 * no id that she waits for, or a status of its own (401), is refused as before; so is all when there is no time left.
 */
export async function tellOnStream(teller: Teller, outcome: Outcome): Promise<Outcome> {
  const { settings, ports, facts, signal, identity } = teller;
  if (outcome.ok || !isAwaited(facts) || signal.aborted) return outcome;
  if (keepsStatus(outcome.reason) && !OF_NO_STATUS.has(outcome.reason)) return outcome;
  const refusal = toldOf(outcome, facts.requestId);
  const signed = await ports.signWristband(identity, NO_NAMES, { use: "refusal", refusal });
  if (!signed.ok) return outcome;
  facts.wristband = signed.value.jti;
  const responseHeaders = facts.corsOrigin === null ? new Map<string, string>() : corsHeaders(facts.corsOrigin);
  const route = { to: "broker" as const, wristband: signed.value, sessionId: null, responseHeaders, refused: outcome };
  const granted = Grant.of({ identity, decision: "refused" }, route, settings.headers);
  return granted.ok ? granted : outcome;
}

function isAwaited({ rpc }: CheckFacts): boolean {
  return rpc !== null && rpc.id !== null && !rpc.notification;
}

/** Neither the detail nor anything else that is for the operator. */
function toldOf(
  { reason, rpcCode, help, about, extension, limitBytes, retryAfterSeconds }: Refused,
  requestId: string,
): ToldRefusal {
  return { reason, requestId, rpcCode, help, about, extension, limitBytes, retryAfterSeconds };
}
