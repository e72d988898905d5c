// Asks a client of the stateless revision what a server of an older one asks on the stream of her call: by an `input_required`
// result. The call waits for her next request. I/O by its parts.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr
import { innerObjectSpan, readObjectSpan, type Span } from "../../json/spans.ts";
import { META_CAPABILITIES } from "../../mcp/meta.ts";
import { shortValue, type ServerRequest } from "../../mcp/upstream-message.ts";
import { LEFT } from "../abort.ts";
import { canAnswer, carriedCapabilities, NO_CAPABILITIES } from "../sessions/client-capabilities.ts";
import type { ClientCapabilities } from "../sessions/client-capabilities.ts";
import type { Brake } from "../upstream/brake.ts";
import type { LegacyDialect } from "../upstream/era.ts";
import { errorReply, postMessage } from "../upstream/reply.ts";
import type { RelayCall } from "./admit.ts";
import type { CallClient } from "./call-client.ts";
import type { CallTimeout } from "./call-timeout.ts";
import { KEPT_MS, mayAsk, type KeptCall, type KeptCalls } from "./kept-calls.ts";
import type { RelayRequest } from "./request.ts";

export interface AskBackOptions {
  readonly kept: KeptCalls;
  readonly call: RelayCall;
  readonly client: CallClient;
  readonly timeout: CallTimeout;
  readonly request: RelayRequest;
  readonly dialect: LegacyDialect;
  readonly brake: Brake;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface AskBack {
  /** Asks the client. False for what she did not say that she can answer, and if too many calls wait. */
  ask(data: Buffer, message: ServerRequest): boolean;
  /** The call has ended. */
  end(): void;
}

/** Requests of one call that wait for an answer. */
const MAX_WAITING = 8;
/** Each result asks one thing. */
const KEY = "request";
const METHOD_NOT_FOUND = -32_601;

interface Question {
  readonly data: Buffer;
  readonly message: ServerRequest;
  readonly until: number;
}

/** What this client says that she can do for servers; nothing where she cannot be asked. */
export function askableCapabilities(call: RelayCall): ClientCapabilities {
  if (!mayAsk(call)) return NO_CAPABILITIES;
  const meta = innerObjectSpan(call.body, paramsIn(call.body)?.members.get("_meta"));
  const place = meta?.members.get(META_CAPABILITIES);
  const declared = innerObjectSpan(call.body, place);
  const known = ["elicitation", "sampling", "roots"].map(
    (name) => [name, shortValue(call.body, declared?.members.get(name))] as const,
  );
  return carriedCapabilities(Object.fromEntries(known.filter(([, value]) => value !== undefined)) as never);
}

export function createAskBack(options: AskBackOptions): AskBack {
  return new CallQuestions(options);
}

class CallQuestions implements AskBack, KeptCall {
  readonly #options: AskBackOptions;
  readonly #capabilities: ClientCapabilities;
  readonly #waiting: Question[] = [];
  #goOn: (() => void)[] = [];

  constructor(options: AskBackOptions) {
    this.#options = options;
    this.#capabilities = askableCapabilities(options.call);
  }

  ask(data: Buffer, message: ServerRequest): boolean {
    if (!canAnswer(this.#capabilities, message.method) || this.#waiting.length >= MAX_WAITING) return false;
    const question = { data, message, until: this.#options.now() + KEPT_MS };
    if (this.#waiting.length > 0) {
      this.#waiting.push(question);
      return true;
    }
    if (!this.#send(question)) return false;
    this.#waiting.push(question);
    const { timeout, brake } = this.#options;
    // Nothing is read while there is nobody to get it.
    this.#goOn = [timeout.hold(), brake.hold()];
    return true;
  }

  resume(call: RelayCall, client: Parameters<KeptCall["resume"]>[1]) {
    const { timeout, dialect } = this.#options;
    const over = this.#options.client.begin({ call, client });
    timeout.endAt(call.wristband.caller_exp * 1000);
    const [question] = this.#waiting;
    const answer = answerIn(call.body);
    if (question === undefined) throw new Error("a call that waits for nothing");
    if (answer === null) {
      // Without an answer she is asked again.
      if (!this.#send(question)) this.giveUp();
      return over;
    }
    this.#waiting.shift();
    const head = `{"jsonrpc":"2.0","id":${JSON.stringify(question.message.id)},"result":`;
    const body = Buffer.concat([Buffer.from(head), call.body.subarray(answer.start, answer.end), Buffer.from("}")]);
    void postMessage(call, dialect, body);
    this.#askNext();
    return over;
  }

  giveUp(): void {
    this.#options.timeout.end(LEFT);
  }

  end(): void {
    this.#options.kept.drop(this);
    this.#waiting.splice(0);
    this.#release();
  }

  /** Asks what else waits; without anything the server goes on. */
  #askNext(): void {
    const { call, dialect } = this.#options;
    for (;;) {
      const [next] = this.#waiting;
      if (next === undefined) {
        this.#release();
        return;
      }
      if (this.#send(next)) return;
      this.#waiting.shift();
      void postMessage(call, dialect, errorReply(next.message.id, METHOD_NOT_FOUND, "Method not found"));
    }
  }

  #release(): void {
    for (const goOn of this.#goOn.splice(0)) goOn();
  }

  #send({ data, message, until }: Question): boolean {
    const { kept, call, client, request } = this.#options;
    const state = kept.keep(call, this, until);
    if (state === null) return false;
    const params = readObjectSpan(data)?.members.get("params");
    client.sendAway([
      Buffer.from('{"jsonrpc":"2.0","id":'),
      request.clientId,
      Buffer.from(`,"result":{"resultType":"input_required","inputRequests":{"${KEY}":{"method":`),
      Buffer.from(JSON.stringify(message.method)),
      ...(params === undefined ? [] : [Buffer.from(',"params":'), data.subarray(params.start, params.end)]),
      Buffer.from(`}},"requestState":${JSON.stringify(state)}}}`),
    ]);
    return true;
  }
}

/** The client's answer; null if she sent none. */
function answerIn(body: Buffer): Span | null {
  const answers = innerObjectSpan(body, paramsIn(body)?.members.get("inputResponses"));
  return innerObjectSpan(body, answers?.members.get(KEY));
}

function paramsIn(body: Buffer) {
  return innerObjectSpan(body, readObjectSpan(body)?.members.get("params"));
}
