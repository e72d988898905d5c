// The port to the table of Checks in flight, from which the supervisor writes the audit lines of a thread that ended. Types only.
import type { Verdict } from "./audit-record.ts";
import type { Identity } from "./types.ts";
import type { CheckFacts } from "./facts.ts";

/** The identity of a caller in policy and audit. */
export type Caller = Pick<Identity, "issuer" | "subject">;

/** The serving thread's side of the table. */
export interface InFlight {
  /** Gives the Check a slot. False if none is free: then its audit line could be lost, so the Check is refused. */
  begin(facts: CheckFacts): boolean;
  /** Records the facts so far: before the Check waits, and before policy is evaluated for it. */
  note(facts: CheckFacts): void;
  /** Records the verdict that was sent, before the audit line is written. */
  answered(facts: CheckFacts, verdict: Verdict): void;
  /** Frees the slot: the audit line is written, or lost for good. */
  end(facts: CheckFacts): void;
}
