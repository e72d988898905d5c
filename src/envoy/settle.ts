import type { AnswerSettings } from "../authz/answer.ts";
import { auditRecord, type AuditDecision, type AuditRecord } from "../authz/audit-record.ts";
import type { Check } from "../authz/check.ts";
import { refuse, type Outcome } from "../authz/outcome.ts";
import type { Reason } from "../authz/refusal.ts";
import { traceId } from "../authz/trace-id.ts";
import { newTrail, type Trail } from "../authz/trail.ts";
import { fromCheckRequest } from "./from-check-request.ts";
import { reply, type Reply } from "./reply.ts";

/** One Check as the transport hands it over. */
export interface CallContext {
  /** Milliseconds from now until the answer must have left. */
  readonly deadlineMs: number;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
}

/** The seam between transport and decision: bytes in, bytes out, never a throw. */
export type Handler = (bytes: Buffer, call: CallContext) => Promise<Buffer>;

export interface SettlePorts {
  readonly check: Check;
  readonly answers: AnswerSettings;
  /** Resolves to true once the record is written for good. */
  readonly audit: (record: AuditRecord) => Promise<boolean>;
  readonly observe: (decision: AuditDecision, reason: Reason | null, seconds: number) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly newRequestId: () => string;
}

const LATE = refuse("deadline", "the time for this Check is over");

/**
 * The one `try` around a Check: whatever happens inside, one answer, one audit record, one count. An allow waits for its
 * record, and is looked at once more against the deadline before it leaves (M13, P2, P15).
 */
export function createSettle(ports: SettlePorts): Handler {
  return async (bytes, call) => {
    const trail = newTrail(ports.newRequestId(), ports.now());
    const deadline = trail.arrivedAt + call.deadlineMs;
    const timer = new DeadlineTimer(call);
    try {
      const outcome = await Promise.race([decide(ports, bytes, trail, timer.signal), timer.expired]);
      const built = await confirm(ports, reply(ports.answers, outcome, trail), trail, deadline, timer);
      ports.observe(built.decision, built.reason, (ports.now() - trail.arrivedAt) / 1000);
      return built.bytes;
    } finally {
      timer.stop();
    }
  };
}

async function decide(ports: SettlePorts, bytes: Buffer, trail: Trail, signal: AbortSignal): Promise<Outcome> {
  try {
    const request = fromCheckRequest(bytes);
    if (!request.ok) return request;
    trail.meshRequestId = printable(request.value.headers.get("x-request-id"));
    trail.traceId = traceId(request.value.headers.get("traceparent"));
    return await ports.check(request.value, trail, signal);
  } catch (error) {
    // A bug: the class of it is all that a log may hold.
    return refuse("internal", error instanceof Error ? error.name : typeof error);
  }
}

/** Writes the record of what is about to be sent, and makes an allow wait for it. */
async function confirm(
  ports: SettlePorts,
  built: Reply,
  trail: Trail,
  deadline: number,
  timer: DeadlineTimer,
): Promise<Reply> {
  const write = (what: Reply) =>
    ports.audit(auditRecord(trail, what.decision, what.reason, what.detail, ports.now())).catch(() => false);
  if (built.decision !== "allow") {
    void write(built);
    return built;
  }
  if (ports.now() >= deadline) return refused(ports, "deadline", trail, write);
  const written = await Promise.race([write(built), timer.expired.then(() => null)]);
  // The record of an allow may be there already: the next line, with the same request id, says that it did not leave.
  if (written !== true) return refused(ports, "audit_unavailable", trail, write);
  return ports.now() >= deadline ? refused(ports, "deadline", trail, write) : built;
}

function refused(ports: SettlePorts, reason: Reason, trail: Trail, write: (what: Reply) => Promise<boolean>): Reply {
  const late = reply(ports.answers, refuse(reason), trail);
  void write(late);
  return late;
}

function printable(text: string | undefined): string | null {
  return text !== undefined && /^[\x21-\x7e]{1,128}$/.test(text) ? text : null;
}

/** Ends a Check when its time is over or its client is gone. */
class DeadlineTimer {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #call: CallContext;
  readonly #onAbort: () => void;
  readonly expired: Promise<typeof LATE>;

  constructor(call: CallContext) {
    this.#call = call;
    let expire: (late: typeof LATE) => void = () => {};
    this.expired = new Promise((done) => {
      expire = done;
    });
    this.#onAbort = () => {
      this.#controller.abort();
      expire(LATE);
    };
    this.#timer = setTimeout(this.#onAbort, Math.max(0, call.deadlineMs));
    if (call.signal.aborted) this.#onAbort();
    else call.signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#call.signal.removeEventListener("abort", this.#onAbort);
  }
}
