// When an answer flows: it is passed on before it is complete, checked as it goes, and nothing of it is kept. Pure.
import { HttpFault } from "../../http/client.ts";
import type { Operation } from "../../mcp/operation.ts";
import type { DataSink, EventParser, StreamEvent } from "../upstream/event-stream.ts";
import { createAnswer, type Answer } from "./answer.ts";
import type { AnswerWriter } from "./client-response.ts";
import { answerFault } from "./response.ts";
import type { RelayRequest } from "./request.ts";

const KIB = 1024;
/** Bytes of an answer from which it flows once it has said whose it is. */
const FLOW_BYTES = 64 * KIB;
/** The same for one whose id has not come: many servers write it last. */
const FLOW_WITHOUT_ID_BYTES = 1024 * KIB;
/** Answers of servers with a limit up to this are held to their end: then one above it is refused in words. */
const MAX_HELD_BYTES = 8 * 1024 * KIB;

/** Bytes of an answer that are held at most; it flows if they are fewer than may come. @param announced its length, if known */
export function heldOf(maxBytes: number, announced: number | null): number {
  if (announced !== null) return Math.min(announced, FLOW_WITHOUT_ID_BYTES);
  return maxBytes <= MAX_HELD_BYTES ? maxBytes : FLOW_WITHOUT_ID_BYTES;
}

/** True once so much of an answer is there that it flows, if it may. */
export function isFlowing({ isOurs, mayAsk }: Answer, length: number): boolean {
  return !mayAsk && length >= (isOurs ? FLOW_BYTES : FLOW_WITHOUT_ID_BYTES);
}

export interface EventFlowOptions {
  readonly request: RelayRequest;
  readonly operation: Operation;
  /** Of one event. */
  readonly maxBytes: number;
  readonly sink: { answer(): AnswerWriter };
}

/** The answer among the events of a stream, if it is so long that it flows. */
export class EventFlow {
  readonly #options: EventFlowOptions;
  readonly #mayFlow: boolean;
  /** Bytes of the event from which it is looked at next. */
  #lookAt = FLOW_BYTES;
  #flowing: { readonly answer: Answer; readonly writer: AnswerWriter } | null = null;
  #passed = 0;
  #last: readonly Uint8Array[] = [];

  constructor(options: EventFlowOptions) {
    this.#options = options;
    this.#mayFlow = heldOf(options.maxBytes, null) < options.maxBytes;
  }

  /** Looks at the event that is not complete yet. @returns bytes that have flowed since the last time @throws {HttpFault} */
  look(parser: EventParser): number {
    if (this.#mayFlow && this.#flowing === null) {
      if (parser.length < FLOW_BYTES) this.#lookAt = FLOW_BYTES;
      if (parser.length >= this.#lookAt) parser.takeOver((data) => this.#begin(data));
    }
    const passed = this.#passed;
    this.#passed = 0;
    return passed;
  }

  /** True for the event that has flowed: the answer is complete, but for its last bytes. @throws {HttpFault} */
  ends({ type, isTaken }: StreamEvent): boolean {
    this.#lookAt = FLOW_BYTES;
    if (isTaken !== true || this.#flowing === null) return false;
    if (type !== "message") throw new HttpFault("not_an_answer");
    const { answer } = this.#flowing;
    this.#last = guarded(() => answer.end());
    return true;
  }

  /** Ends the client's response. */
  finish(): void {
    this.#flowing?.writer.end(this.#last);
  }

  /** Lets an event flow that is the answer; any other, as a notification, is collected. */
  #begin(data: Buffer): DataSink | null {
    const answer = createAnswer(this.#options);
    let begun: readonly Uint8Array[];
    try {
      begun = answer.push(data);
    } catch {
      this.#lookAt = Infinity;
      return null;
    }
    this.#lookAt = FLOW_WITHOUT_ID_BYTES;
    if (answer.mayAsk) this.#lookAt = Infinity;
    if (!isFlowing(answer, data.length)) return null;
    const writer = this.#options.sink.answer();
    this.#flowing = { answer, writer };
    const write = (parts: readonly Uint8Array[]) => {
      for (const { length } of parts) this.#passed += length;
      writer.write(parts);
    };
    write(begun);
    return (part) => {
      const parts = guarded(() => answer.push(part));
      if (answer.mayAsk) throw new HttpFault("capability_missing");
      write(parts);
    };
  }
}

/** @throws {HttpFault} */
export function guarded<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw answerFault(error);
  }
}
