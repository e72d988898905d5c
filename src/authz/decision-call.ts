// One decision from its arrival to its answer: one deadline, one answer, one audit record, one count, whatever door it came
// through. No I/O of its own: its ports do it.
import { auditRecord, createIsoTime, type AuditClock, type AuditDecision } from "./audit-record.ts";
import type { AuditRecord, Verdict } from "./audit-record.ts";
import { endDecisionSpan } from "./decision-span.ts";
import { newCheckFacts, type CheckFacts } from "./facts.ts";
import type { InFlight } from "./in-flight.ts";
import type { Reason } from "./refusal.ts";
import { refuse, type Refused } from "./step.ts";

/** Facts of one call that the transport knows. */
export interface CallContext {
  /** Milliseconds from now until the response must have left. */
  readonly deadlineMs: number;
  /** Registers the one listener for the end of the call's stream; called at once if the stream has ended. */
  onGone(listener: () => void): void;
}

export interface DecisionPorts {
  /** Resolves to true once the record is written for good. */
  readonly audit: (record: AuditRecord) => Promise<boolean>;
  /** Memory shared with the supervisor, which writes the audit records that this thread could not write. */
  readonly inFlight: InFlight;
  readonly observe: (decision: AuditDecision, reason: Reason | null, seconds: number) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly newRequestId: () => string;
}

/** What leaves, with the verdict that it carries. */
export interface Answer extends Verdict {
  /** True if the request goes on. */
  readonly isGrant?: boolean;
}

/** What a front door does for one call: `T` is the answer in its own form, `O` what its decision ends in. */
export interface Door<O, T extends Answer> {
  decide(facts: CheckFacts, signal: AbortSignal): Promise<O>;
  /** Never throws. `isGrant` is true for what holds a proof of the pipeline alone: a grant or a permit. */
  answer(outcome: O | Refused, facts: CheckFacts): T;
}

/** Runs one call. Rejects for a bug in this file alone: the transport then sends its own refusal. */
export type Decisions = <O, T extends Answer>(door: Door<O, T>, call: CallContext) => Promise<T>;

const LATE = refuse("deadline", "the time for this Check is over");
const CROWDED = refuse("audit_unavailable", "too many Checks are in flight, or their audit lines wait to be written");

/**
 * Whatever happens inside, a call has one answer, one audit record and one count. An allow waits for its record and is held
 * against the deadline once more (threat model: M13, P2, P15).
 */
export function createDecisions(ports: DecisionPorts): Decisions {
  const shared: Shared = { ports, clock: { now: ports.now, isoTime: createIsoTime() } };
  return <O, T extends Answer>(door: Door<O, T>, call: CallContext) =>
    new Promise<T>((resolve, reject) => new DecisionCall(shared, door, { resolve, reject }).start(call));
}

/** Ports that all calls share. */
interface Shared {
  readonly ports: DecisionPorts;
  readonly clock: AuditClock;
}

interface Completion<T> {
  readonly resolve: (answer: T) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * State machine of one call: deciding, for an allow confirming (its audit record is being written), done. The deadline
 * and the end of the stream can come in each state. Callbacks instead of Promise.race: a call would make five promises more.
 */
class DecisionCall<O, T extends Answer> {
  readonly #ports: DecisionPorts;
  readonly #clock: AuditClock;
  readonly #door: Door<O, T>;
  readonly #completion: Completion<T>;
  readonly #facts: CheckFacts;
  readonly #controller = new AbortController();
  #phase: "deciding" | "confirming" | "done" = "deciding";
  /** Number of audit records that are being written. */
  #writing = 0;
  #deadline = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ ports, clock }: Shared, door: Door<O, T>, completion: Completion<T>) {
    this.#ports = ports;
    this.#clock = clock;
    this.#door = door;
    this.#completion = completion;
    this.#facts = newCheckFacts(ports.newRequestId(), ports.now());
  }

  start(call: CallContext): void {
    if (!this.#ports.inFlight.begin(this.#facts)) {
      this.#guarded(() => this.#refuse(CROWDED));
      return;
    }
    this.#deadline = this.#facts.arrivedAt + call.deadlineMs;
    const late = () => this.#guarded(() => this.#late());
    this.#timer = setTimeout(late, Math.max(0, call.deadlineMs));
    call.onGone(late);
    if (this.#phase === "done") return;
    this.#decide().then((outcome) => this.#guarded(() => this.#decided(outcome)), this.#completion.reject);
  }

  async #decide(): Promise<O | Refused> {
    try {
      const decided = this.#door.decide(this.#facts, this.#controller.signal);
      this.#ports.inFlight.note(this.#facts); // the pipeline has reached its first wait, or its end
      return await decided;
    } catch (error) {
      // A bug. The message could hold a value of the request: the log gets the class alone.
      return refuse("internal", error instanceof Error ? error.name : typeof error);
    }
  }

  /** Runs a step from a timer or event: an error ends this call, not the process. */
  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      clearTimeout(this.#timer);
      this.#phase = "done";
      this.#release();
      this.#completion.reject(error);
    }
  }

  #late(): void {
    if (this.#phase === "done") return;
    this.#controller.abort();
    if (this.#phase === "deciding") this.#decided(LATE);
    // The record of the allow may be written already: a second one with the same request id says that it did not leave.
    else this.#refuse(refuse("audit_unavailable"));
  }

  #decided(outcome: O | Refused): void {
    if (this.#phase !== "deciding") return;
    const built = this.#door.answer(outcome, this.#facts);
    // A grant also tells a refusal, on a stream of HTTP+SSE: it leaves as an allow does.
    if (built.isGrant !== true) {
      void this.#write(built);
      this.#finish(built);
    } else if (this.#isOver()) this.#refuse(refuse("deadline"));
    else {
      this.#phase = "confirming";
      void this.#write(built).then((written) => this.#guarded(() => this.#confirmed(built, written)));
    }
  }

  #confirmed(built: T, written: boolean): void {
    if (this.#phase !== "confirming") return;
    if (!written) this.#refuse(refuse("audit_unavailable"));
    else if (this.#isOver()) this.#refuse(refuse("deadline"));
    else this.#finish(built);
  }

  #refuse(refused: Refused): void {
    const refusal = this.#door.answer(refused, this.#facts);
    void this.#write(refusal);
    this.#finish(refusal);
  }

  #finish(answer: T): void {
    this.#phase = "done";
    clearTimeout(this.#timer);
    if (this.#facts.span !== null) endDecisionSpan(this.#facts.span, this.#facts, answer);
    this.#ports.observe(answer.decision, answer.reason, (this.#ports.now() - this.#facts.arrivedAt) / 1000);
    this.#release();
    this.#completion.resolve(answer);
  }

  #isOver(): boolean {
    return this.#ports.now() >= this.#deadline;
  }

  /** Resolves to true once the record is written, to false in every other case. */
  async #write(what: T): Promise<boolean> {
    this.#writing += 1;
    const span = this.#facts.span === null ? null : this.#facts.span.child("audit");
    try {
      this.#ports.inFlight.note(this.#facts);
      this.#ports.inFlight.answered(this.#facts, what);
      return await this.#ports.audit(auditRecord(this.#facts, what, this.#clock));
    } catch {
      return false;
    } finally {
      span?.end();
      this.#writing -= 1;
      this.#release();
    }
  }

  /** Frees the in-flight slot. A refusal leaves before its record is written; its slot is kept until then. */
  #release(): void {
    if (this.#phase === "done" && this.#writing === 0) this.#ports.inFlight.end(this.#facts);
  }
}
