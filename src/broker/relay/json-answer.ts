// Passes a server's answer in JSON on: a short one once it is complete and checked, a long one as it comes. I/O by its parts.
import { createByteCollector, type ByteCollector } from "../../http/byte-collector.ts";
import { HttpFault, isEncoded, type HttpResponse } from "../../http/client.ts";
import { refuse, type Refused } from "../../authz/step.ts";
import { faultIn } from "../abort.ts";
import { createRoom } from "../room.ts";
import { answerTooLarge, consume, FIRST_ROOM, pauseUntilRoom } from "../upstream/body.ts";
import { createBrake, type Brake } from "../upstream/brake.ts";
import type { RelayCall } from "./admit.ts";
import { createAnswer, type Answer } from "./answer.ts";
import { askedIn, MAX_ASKED_BYTES, type Asked } from "./asking.ts";
import type { CallTimeout } from "./call-timeout.ts";
import { beginAnswer, sendResponse, type AnswerWriter, type RelayClient } from "./client-response.ts";
import { guarded, heldOf, isFlowing } from "./flow.ts";
import { lengthOf, statusOf } from "./response.ts";
import type { RelayRequest } from "./request.ts";

/** A response in JSON under 200, and the call that it answers. */
export interface JsonResponse {
  readonly call: RelayCall;
  readonly client: RelayClient;
  readonly timeout: CallTimeout;
  readonly request: RelayRequest;
  readonly response: HttpResponse;
}

/** An answer that flows otherwise is held up to here while it may ask the client. */
const MAX_UNDECIDED_BYTES = 1024 * 1024;

/** @returns a refusal, or what the server asks the client; null once she has her response @throws {HttpFault} */
export async function passJson(opened: JsonResponse): Promise<Refused | Asked | null> {
  const { response, call, client, timeout } = opened;
  const { maxResponseBytes: maxBytes } = call.upstream;
  const announced = announcedOf(response);
  const maxHeld = heldOf(maxBytes, announced);
  const room = createRoom(
    { hold: client.hold, signal: timeout.signal },
    announced === null ? [FIRST_ROOM, maxHeld + 2 * FIRST_ROOM] : [maxHeld, maxHeld + 2 * FIRST_ROOM],
  );
  const brake = createBrake(response);
  const passing = new PassingAnswer(opened, { brake, mayFlow: maxHeld < (announced ?? maxBytes) });
  try {
    if (isEncoded(response)) throw new HttpFault("encoded");
    if ((announced ?? 0) > maxBytes) throw new HttpFault("answer_too_large");
    await room.begin();
    await consume(response, (chunk) => {
      passing.push(chunk);
      pauseUntilRoom(response, brake, room.need(passing.length));
      return false;
    });
    if (timeout.signal.aborted) throw faultIn(timeout.signal);
    room.settle(passing.end());
    return passing.asked;
  } catch (error) {
    response.destroy(); // it may be endless, and would keep its connection
    room.settle(FIRST_ROOM);
    const fault = answerTooLarge(room.faultFor(error));
    if (fault instanceof HttpFault && fault.code === "not_an_answer" && !client.response.headersSent)
      return refuse("upstream_unavailable", fault.code);
    throw fault;
  }
}

function announcedOf({ headers }: HttpResponse): number | null {
  const length = headers["content-length"];
  return length === undefined ? null : Number(length);
}

interface PassingOptions {
  readonly brake: Brake;
  readonly mayFlow: boolean;
}

class PassingAnswer {
  readonly #opened: JsonResponse;
  readonly #options: PassingOptions;
  readonly #answer: Answer;
  /** What the client will get, until the answer flows. Edits make it longer. */
  readonly #held: ByteCollector = createByteCollector(Infinity);
  #writer: AnswerWriter | null = null;
  #received = 0;
  /** What the server asks instead of an answer. */
  asked: Asked | null = null;

  constructor(opened: JsonResponse, options: PassingOptions) {
    this.#opened = opened;
    this.#options = options;
    this.#answer = createAnswer({ request: opened.request, operation: opened.call.operation });
  }

  /** Bytes that are held, or that the client has not read. */
  get length(): number {
    return this.#writer === null ? this.#held.length : this.#opened.client.response.writableLength;
  }

  /** @throws {HttpFault} */
  push(chunk: Buffer): void {
    const { call, timeout } = this.#opened;
    this.#received += chunk.length;
    if (this.#received > call.upstream.maxResponseBytes) throw new HttpFault("too_large");
    const parts = guarded(() => this.#answer.push(chunk));
    if (this.#writer !== null) {
      if (this.#answer.mayAsk) throw new HttpFault("capability_missing");
      timeout.restart();
      this.#writer.write(parts);
      return;
    }
    for (const part of parts) this.#held.push(part);
    if (this.#answer.isAsking && this.#held.length > MAX_ASKED_BYTES) throw new HttpFault("not_an_answer");
    if (this.#options.mayFlow && this.#answer.mayAsk && this.#held.length > MAX_UNDECIDED_BYTES)
      throw new HttpFault("not_an_answer");
    if (this.#options.mayFlow && isFlowing(this.#answer, this.#received)) this.#flow();
  }

  /** Its server has sent all of it. @returns bytes that the client may not have read @throws {HttpFault} */
  end(): number {
    const { client, request, call } = this.#opened;
    const last = guarded(() => this.#answer.end());
    if (this.#writer !== null) {
      this.#writer.end(last);
      return client.response.writableLength;
    }
    const status = statusOf(request, call.operation, { code: this.#answer.errorCode, status: 200 });
    const body = [this.#held.take(), ...last];
    if (this.#answer.isAsking) this.asked = askedIn(body);
    else sendResponse(client, { status, body });
    return lengthOf(body);
  }

  #flow(): void {
    const { client, call, timeout } = this.#opened;
    timeout.endAt(call.wristband.caller_exp * 1000);
    this.#writer = beginAnswer(client, this.#options.brake);
    this.#writer.write([this.#held.take()]);
  }
}
