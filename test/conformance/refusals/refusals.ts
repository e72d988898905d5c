// The refusals of the matrix: how each is provoked, and what a client made of it. Pure.
import { REFUSALS, type Reason } from "../../../src/authz/refusal.ts";
import type { ToolCall } from "../matrix/servers.ts";
import { NO_ANSWER } from "../matrix/visits.ts";

export interface ProvokedRefusal {
  /** Its column. */
  readonly title: string;
  readonly reason: Reason;
  readonly call: ToolCall;
  /** Words that must reach the model or the user, beside the message of the reason. */
  readonly says?: string;
}

/** In one session, one after the other. */
export const IN_SESSION: readonly ProvokedRefusal[] = [
  { title: "403 by policy", reason: "policy_denied", call: { tool: "demo_delete_repo", arguments: { name: "x" } } },
  { title: "hidden", reason: "policy_denied", call: { tool: "demo_transfer", arguments: { to: "x", amount: 1 } } },
  { title: "404 unknown", reason: "policy_denied", call: { tool: "nowhere_x", arguments: {} } },
  {
    title: "400 integer",
    reason: "body_malformed",
    call: { tool: "demo_echo", arguments: { text: "x", id: 2 ** 60 } },
    says: "send it as text",
  },
  { title: "502", reason: "upstream_unavailable", call: { tool: "gone_x", arguments: {} } },
  { title: "503", reason: "credential_unavailable", call: { tool: "nocred_echo", arguments: { text: "x" } } },
];

/** In a session of its own: for some clients it is the last call. */
export const TOO_LARGE: ProvokedRefusal = {
  title: "413 of Envoy",
  reason: "body_too_large",
  call: { tool: "demo_echo", arguments: { text: "x".repeat(300_000) } },
};
export const TOO_MANY: ProvokedRefusal = {
  title: "429",
  reason: "rate_limited",
  call: { tool: "demo_echo", arguments: { text: "x" } },
};

/** The last call of each session, which is allowed. */
export const STILL_HERE: ToolCall = { tool: "demo_echo", arguments: { text: "still here" } };

/**
 * What a client made of a refusal: `result` of a failed tool, `error` with our words, the HTTP `status` alone, `no answer` in
 * ten seconds.
 */
export type Outcome = "result" | "error" | "status" | "no answer";

export function outcomeOf({ reason, says = "" }: ProvokedRefusal, said: string): Outcome {
  if (said === NO_ANSWER) return "no answer";
  const isTold = said.includes(REFUSALS[reason].message) && said.includes(says);
  if (!isTold) return "status";
  return said.startsWith("error:") || said.includes(`(${reason}, request `) ? "result" : "error";
}
