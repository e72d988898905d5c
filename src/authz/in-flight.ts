// What keeps a record of the Checks in flight, for when the serving thread ends without their audit lines. Types only.
import type { Verdict } from "./audit-record.ts";
import type { Identity } from "./types.ts";
import type { CheckFacts } from "./facts.ts";

/** A caller, as policy and audit know one. */
export type Caller = Pick<Identity, "issuer" | "subject">;

/** What the serving thread does with the table. */
export interface InFlight {
  /** Gives the Check a slot. False when there is none: then nothing could vouch for its audit line. */
  begin(facts: CheckFacts): boolean;
  /** Writes down what became known of it since; before it waits, and before policy is evaluated for it. */
  note(facts: CheckFacts): void;
  /** What it was answered with, before its line is written. */
  answered(facts: CheckFacts, verdict: Verdict): void;
  /** Its line is written, or lost for good: the slot is free. */
  end(facts: CheckFacts): void;
}
