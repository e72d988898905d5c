// One Check from bytes to bytes: one deadline, one response, one audit record, one count. No I/O of its own: its ports do it.
import type { RefusalResponseSettings } from "../authz/refusal-response.ts";
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
import type { CheckCodec } from "./check-codec.ts";
import { fromCheckRequest } from "./from-check-request.ts";
import { toCheckResponse, type EncodedResponse, type ResponseSettings } from "./to-check-response.ts";

/** Facts of one Check that the transport knows. */
export interface CallContext {
  /** Milliseconds from now until the response must have left. */
  readonly deadlineMs: number;
  /** Registers the one listener for the end of the call's stream; called at once if the stream has ended. */
  onGone(listener: () => void): void;
}

/** The seam between transport and decision: a CheckRequest's bytes in, a CheckResponse's bytes out. */
export type CheckHandler = (bytes: Buffer, call: CallContext) => Promise<Buffer>;

export interface CheckHandlerPorts {
  readonly check: Check;
  /** The protobuf codec of the wire stack. */
  readonly codec: CheckCodec;
  readonly answers: RefusalResponseSettings;
  /** Resolves to true once the record is written for good. */
  readonly audit: (record: AuditRecord) => Promise<boolean>;
  /** Memory shared with the supervisor, which writes the audit records that this thread could not write. */
  readonly inFlight: InFlight;
  readonly observe: (decision: AuditDecision, reason: Reason | null, seconds: number) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly newRequestId: () => string;
}

const LATE = refuse("deadline", "the time for this Check is over");
const CROWDED = refuse("audit_unavailable", "too many Checks are in flight, or their audit lines wait to be written");

/**
 * Makes the handler that both wire stacks call. Whatever happens inside, a Check has one response, one audit record and
 * one count. An allow waits for its record and is held against the deadline once more (threat model: M13, P2, P15).
 */
export function createCheckHandler(ports: CheckHandlerPorts): CheckHandler {
  const shared: Shared = {
    ports,
    clock: { now: ports.now, isoTime: createIsoTime() },
    responses: { answers: ports.answers, encode: ports.codec.encode },
  };
  return (bytes, call) =>
    new Promise((resolve, reject) => new CheckCall(shared, { resolve, reject }).start(bytes, call));
}

/** Ports and settings that all calls of a handler share. */
interface Shared {
  readonly ports: CheckHandlerPorts;
  readonly clock: AuditClock;
  readonly responses: ResponseSettings;
}

interface Completion {
  readonly resolve: (bytes: Buffer) => void;
  /** A bug in this file: the transport sends its own refusal. */
  readonly reject: (error: unknown) => void;
}

/**
 * State machine of one Check: deciding, for an allow confirming (its audit record is being written), done. The deadline
 * and the end of the stream can come in each state. Callbacks instead of Promise.race: a Check would make five promises more.
 */
class CheckCall {
  readonly #ports: CheckHandlerPorts;
  readonly #clock: AuditClock;
  readonly #completion: Completion;
  readonly #responses: ResponseSettings;
  readonly #facts: CheckFacts;
  readonly #controller = new AbortController();
  #phase: "deciding" | "confirming" | "done" = "deciding";
  /** Number of audit records that are being written. */
  #writing = 0;
  #deadline = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ ports, clock, responses }: Shared, completion: Completion) {
    this.#ports = ports;
    this.#clock = clock;
    this.#responses = responses;
    this.#completion = completion;
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
    this.#decide(bytes).then((outcome) => this.#guarded(() => this.#decided(outcome)), this.#completion.reject);
  }

  async #decide(bytes: Buffer): Promise<Outcome> {
    const facts = this.#facts;
    try {
      const request = fromCheckRequest(bytes, this.#ports.codec.decode);
      if (!request.ok) return request;
      facts.meshRequestId = printable(request.value.headers.get("x-request-id"));
      facts.traceId = traceId(request.value.headers.get("traceparent"));
      const checked = this.#ports.check(request.value, facts, this.#controller.signal);
      this.#ports.inFlight.note(facts); // the pipeline has reached its first wait, or its end
      return await checked;
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

  #decided(outcome: Outcome): void {
    if (this.#phase !== "deciding") return;
    const built = toCheckResponse(this.#responses, outcome, this.#facts);
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

  #confirmed(built: EncodedResponse, written: boolean): void {
    if (this.#phase !== "confirming") return;
    if (!written) this.#refuse(refuse("audit_unavailable"));
    else if (this.#isOver()) this.#refuse(refuse("deadline"));
    else this.#finish(built);
  }

  #refuse(refused: Refused): void {
    const refusal = toCheckResponse(this.#responses, refused, this.#facts);
    void this.#write(refusal);
    this.#finish(refusal);
  }

  #finish({ bytes, decision, reason }: EncodedResponse): void {
    this.#phase = "done";
    clearTimeout(this.#timer);
    this.#ports.observe(decision, reason, (this.#ports.now() - this.#facts.arrivedAt) / 1000);
    this.#release();
    this.#completion.resolve(bytes);
  }

  #isOver(): boolean {
    return this.#ports.now() >= this.#deadline;
  }

  /** Resolves to true once the record is written, to false in every other case. */
  async #write(what: EncodedResponse): Promise<boolean> {
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

  /** Frees the in-flight slot. A refusal leaves before its record is written; its slot is kept until then. */
  #release(): void {
    if (this.#phase === "done" && this.#writing === 0) this.#ports.inFlight.end(this.#facts);
  }
}

function printable(text: string | undefined): string | null {
  return text !== undefined && /^[\x21-\x7e]{1,128}$/.test(text) ? text : null;
}
