import type { AnswerSettings } from "../authz/refusal-response.ts";
import {
  auditRecord,
  createIsoTime,
  type AuditClock,
  type AuditDecision,
  type AuditRecord,
} from "../authz/audit-record.ts";
import type { Check } from "../authz/check.ts";
import { refuse, type Refused } from "../authz/step.ts";
import type { Outcome } from "../authz/outcome.ts";
import type { Reason } from "../authz/refusal.ts";
import { traceId } from "../http/traceparent.ts";
import { newCheckFacts, type CheckFacts } from "../authz/facts.ts";
import type { InFlight } from "../authz/in-flight.ts";
import { fromCheckRequest } from "./from-check-request.ts";
import { reply, type Reply } from "./to-check-response.ts";

/** One Check as the transport hands it over. */
export interface CallContext {
  /** Milliseconds from now until the answer must have left. */
  readonly deadlineMs: number;
  /** Names the one listener that is told when the client is gone; at once if it is gone already. */
  onGone(listener: () => void): void;
}

/** The seam between transport and decision: bytes in, bytes out, never a throw. */
export type Handler = (bytes: Buffer, call: CallContext) => Promise<Buffer>;

export interface SettlePorts {
  readonly check: Check;
  readonly answers: AnswerSettings;
  /** Resolves to true once the record is written for good. */
  readonly audit: (record: AuditRecord) => Promise<boolean>;
  /** Where the supervisor finds the Checks whose record this thread could not write. */
  readonly inFlight: InFlight;
  readonly observe: (decision: AuditDecision, reason: Reason | null, seconds: number) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly newRequestId: () => string;
}

const LATE = refuse("deadline", "the time for this Check is over");
const CROWDED = refuse("audit_unavailable", "too many Checks are in flight, or their audit lines wait to be written");

/**
 * The one `try` around a Check: whatever happens inside, one answer, one audit record, one count. An allow waits for its
 * record, and is looked at once more against the deadline before it leaves (M13, P2, P15).
 */
export function createSettle(ports: SettlePorts): Handler {
  const clock: AuditClock = { now: ports.now, isoTime: createIsoTime() };
  return (bytes, call) => new Promise((done, fail) => new Settling(ports, clock, { done, fail }).start(bytes, call));
}

interface Ending {
  readonly done: (bytes: Buffer) => void;
  /** A bug in here: the transport answers with its own refusal. */
  readonly fail: (error: unknown) => void;
}

/**
 * One Check on its way: deciding, then for an allow confirming its record, then done. The deadline and the client's end
 * meet it in any of these. No race of promises: a Check would pay for five of them.
 */
class Settling {
  readonly #ports: SettlePorts;
  readonly #clock: AuditClock;
  readonly #ending: Ending;
  readonly #facts: CheckFacts;
  readonly #controller = new AbortController();
  #phase: "deciding" | "confirming" | "done" = "deciding";
  /** Records that are not written yet. */
  #writing = 0;
  #deadline = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(ports: SettlePorts, clock: AuditClock, ending: Ending) {
    this.#ports = ports;
    this.#clock = clock;
    this.#ending = ending;
    this.#facts = newCheckFacts(ports.newRequestId(), ports.now());
  }

  start(bytes: Buffer, call: CallContext): void {
    if (!this.#ports.inFlight.begin(this.#facts)) {
      this.#guarded(() => this.#refuse(CROWDED));
      return;
    }
    this.#deadline = this.#facts.arrivedAt + call.deadlineMs;
    const late = () => this.#guarded(() => this.#late());
    this.#timer = setTimeout(late, Math.max(0, call.deadlineMs));
    call.onGone(late);
    if (this.#phase === "done") return;
    this.#decide(bytes).then((outcome) => this.#guarded(() => this.#decided(outcome)), this.#ending.fail);
  }

  async #decide(bytes: Buffer): Promise<Outcome> {
    const facts = this.#facts;
    try {
      const request = fromCheckRequest(bytes);
      if (!request.ok) return request;
      facts.meshRequestId = printable(request.value.headers.get("x-request-id"));
      facts.traceId = traceId(request.value.headers.get("traceparent"));
      const checked = this.#ports.check(request.value, facts, this.#controller.signal);
      this.#ports.inFlight.note(facts); // it waits now, or has ended
      return await checked;
    } catch (error) {
      // A bug: the class of it is all that a log may hold.
      return refuse("internal", error instanceof Error ? error.name : typeof error);
    }
  }

  /** A throw in here must end the call, not the process: nothing else would answer. */
  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      clearTimeout(this.#timer);
      this.#phase = "done";
      this.#release();
      this.#ending.fail(error);
    }
  }

  #late(): void {
    if (this.#phase === "done") return;
    this.#controller.abort();
    if (this.#phase === "deciding") this.#decided(LATE);
    // The record of an allow may be there already: the next line, with the same request id, says that it did not leave.
    else this.#refuse(refuse("audit_unavailable"));
  }

  #decided(outcome: Outcome): void {
    if (this.#phase !== "deciding") return;
    const built = reply(this.#ports.answers, outcome, this.#facts);
    if (built.decision !== "allow") {
      void this.#write(built);
      this.#finish(built);
    } else if (this.#isOver()) this.#refuse(refuse("deadline"));
    else {
      this.#phase = "confirming";
      void this.#write(built).then((written) => this.#guarded(() => this.#confirmed(built, written)));
    }
  }

  #confirmed(built: Reply, written: boolean): void {
    if (this.#phase !== "confirming") return;
    if (!written) this.#refuse(refuse("audit_unavailable"));
    else if (this.#isOver()) this.#refuse(refuse("deadline"));
    else this.#finish(built);
  }

  #refuse(refused: Refused): void {
    const refusal = reply(this.#ports.answers, refused, this.#facts);
    void this.#write(refusal);
    this.#finish(refusal);
  }

  #finish({ bytes, decision, reason }: Reply): void {
    this.#phase = "done";
    clearTimeout(this.#timer);
    this.#ports.observe(decision, reason, (this.#ports.now() - this.#facts.arrivedAt) / 1000);
    this.#release();
    this.#ending.done(bytes);
  }

  #isOver(): boolean {
    return this.#ports.now() >= this.#deadline;
  }

  /** Resolves to true once the record is written, to false for whatever else may happen. */
  async #write(what: Reply): Promise<boolean> {
    this.#writing += 1;
    try {
      this.#ports.inFlight.note(this.#facts);
      this.#ports.inFlight.answered(this.#facts, what);
      return await this.#ports.audit(auditRecord(this.#facts, what, this.#clock));
    } catch {
      return false;
    } finally {
      this.#writing -= 1;
      this.#release();
    }
  }

  /** The answer of a refusal does not wait for its record; the slot does. */
  #release(): void {
    if (this.#phase === "done" && this.#writing === 0) this.#ports.inFlight.end(this.#facts);
  }
}

function printable(text: string | undefined): string | null {
  return text !== undefined && /^[\x21-\x7e]{1,128}$/.test(text) ? text : null;
}
