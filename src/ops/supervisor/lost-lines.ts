// Writes the audit lines of Checks whose thread has ended, in the form of all others. I/O by audit/log.ts.
import { auditRecord, createIsoTime, type Verdict } from "../../authz/audit-record.ts";
import { NO_SLOT } from "../../authz/facts.ts";
import { createAudit, type AuditOptions } from "../audit/log.ts";
import type { AuditTurns } from "../audit/turns.ts";
import { readInFlight, type UnrecordedCheck } from "./in-flight.ts";
import type { Loss } from "./messages.ts";

export interface LostLineOptions {
  readonly file: AuditOptions["file"];
  readonly onFailure: AuditOptions["onFailure"];
  readonly turns?: AuditTurns | null;
}

/** The next thread starts after this time, also if the disk or the pipe is full: queued lines are written later. */
const TIMEOUT_MS = 500;

const RAN_AWAY: Verdict = {
  decision: "fail",
  reason: "policy_unavailable",
  detail: "this evaluation of policy ran away, and was ended with the serving thread",
};
/** For the other Checks in flight. */
const LOST: Readonly<Record<Loss["cause"], Verdict>> = {
  ran_away: {
    decision: "fail",
    reason: "policy_unavailable",
    detail: "the serving thread was ended, because another Check's evaluation of policy ran away",
  },
  crashed: { decision: "fail", reason: "internal", detail: "the serving thread crashed" },
  stopped: { decision: "fail", reason: "deadline", detail: "serve was stopped before this was decided" },
};

/** Writes one line for each Check that the ended thread left without one. Never rejects. */
export async function writeLostLines(loss: Loss, { file, onFailure, turns = null }: LostLineOptions): Promise<void> {
  const lost = readInFlight(loss.inFlight);
  if (lost.length === 0) return;
  const monotonic = () => performance.now();
  // A new descriptor: the file may have been rotated, and the ended thread may have left half a line.
  const audit = createAudit({ file, maxQueued: lost.length, monotonic, onFailure, afterAnother: true, turns });
  const clock = { now: Date.now, isoTime: createIsoTime() };
  for (const check of lost) void audit.write(recordOf(check, loss, clock));
  await Promise.race([audit.close(), timeout()]);
}

function recordOf({ slot, facts, answered }: UnrecordedCheck, loss: Loss, clock: Parameters<typeof auditRecord>[2]) {
  if (answered !== null) return auditRecord(facts, answered, clock);
  const isCause = loss.slot !== NO_SLOT && slot === loss.slot;
  if (isCause) return auditRecord({ ...facts, policy: loss.revision }, RAN_AWAY, clock);
  return auditRecord(facts, LOST[loss.cause], clock);
}

function timeout(): Promise<void> {
  return new Promise((done) => setTimeout(done, TIMEOUT_MS).unref());
}
