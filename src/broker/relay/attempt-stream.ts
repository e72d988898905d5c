// The response of a call as a stream of events: only the answer and its notifications pass, and a stream that ends early goes on
// where it ended. I/O by its parts.
import { HttpFault, type HttpResponse } from "../../http/client.ts";
import { refuse, type Refused } from "../../authz/step.ts";
import { createNotificationBudget } from "./notification-budget.ts";
import { createBrake, type Brake, type Pacer } from "../upstream/brake.ts";
import { createAskBack, type AskBack } from "./ask-back.ts";
import type { CallClient } from "./call-client.ts";
import type { KeptCalls } from "./kept-calls.ts";
import type { CallTimeout } from "./call-timeout.ts";
import type { RelayCall } from "./admit.ts";
import { notificationFor, takeRequest } from "./server-requests.ts";
import { askedIn, type Asked } from "./asking.ts";
import { beginAnswer, beginStream, sendResponse } from "./client-response.ts";
import type { RelayRequest } from "./request.ts";
import { clientEventId, newPosition, resumeStream, tellPosition, type StreamPosition } from "./resume.ts";
import { readStream, type StreamObserver, type StreamSink } from "./stream.ts";
import type { ReadMessage } from "../upstream/message.ts";
import type { Lease } from "../upstream/session.ts";

export interface StreamOptions {
  /** Calls that wait for their clients; null where clients of the stateless revision are not asked. */
  readonly kept: KeptCalls | null;
  /** Receives counts of events that are not passed on (B50), and of those beyond the budget. */
  readonly observer: StreamObserver;
  readonly pacer: Pacer;
  readonly readMessage: ReadMessage;
  readonly notificationsPerSecond: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
}

/** A call under way. */
export interface RelayAttempt {
  readonly call: RelayCall;
  readonly client: CallClient;
  readonly timeout: CallTimeout;
}

/** A response whose body has not been read, and the request that it answers. */
export interface OpenResponse extends RelayAttempt {
  readonly lease: Lease | null;
  readonly request: RelayRequest;
  readonly response: HttpResponse;
  /** True for the rest of a stream that ended early. */
  readonly isRest?: boolean;
}

/** A refusal, or what the server asks the client; null once she has her response. */
export type AttemptResult = Refused | Asked | null;

/** The stream of a call, and what goes on with it where it ends early. */
export async function passStream(options: StreamOptions, opened: OpenResponse): Promise<AttemptResult> {
  const { call, client, timeout } = opened;
  timeout.endAt(call.wristband.caller_exp * 1000);
  const position = newPosition();
  try {
    let end = await readPart(options, opened, position);
    while (end !== null && end !== "flowed" && "fault" in end) {
      const response = await resumeStream(opened, position, end.fault);
      // A server that ends each stream at once has no more time than one that is silent.
      end = await readPart(options, { ...opened, response, isRest: true }, position);
    }
    checkIsThere(client);
    if (end === null) return refuse("capability_missing", "input_required");
    if (end === "flowed") return null;
    if (end.isAsking === true) return askedIn(end.body);
    sendResponse(client, end);
    return null;
  } finally {
    call.session?.requests.forget(timeout);
  }
}

/** One stream, to its end, or to the fault that it ended with. */
function readPart(options: StreamOptions, opened: OpenResponse, position: StreamPosition) {
  const { call, client, timeout, request, response, isRest = false } = opened;
  const { monotonic, notificationsPerSecond, observer, pacer, readMessage } = options;
  const brake = createBrake(response);
  const writer = () => (client.accepts.stream && !client.isAway ? beginStream(client, brake) : null);
  const asking = askBackOf(options, opened, brake);
  writer();
  const send = (data: Buffer, id: string | null) => {
    const stream = writer();
    if (stream === null) return;
    const told = clientEventId(opened, id);
    stream.event(data, told);
    if (told !== null) position.toldId = id;
  };
  const sink: StreamSink = {
    notification({ data, id }, message) {
      timeout.restart();
      const passed = notificationFor(opened, data, message);
      const own = passed === null ? null : client.inItsTerms(passed, message);
      if (own !== null) send(own, id);
    },
    request({ data, id }, message) {
      timeout.restart();
      const sendAsked = writer() === null ? null : (asked: Buffer) => send(asked, id);
      return takeRequest({ ...opened, send: sendAsked, asking }, data, message);
    },
    position({ lastEventId, retryMs }) {
      position.lastEventId = lastEventId ?? position.lastEventId;
      position.retryMs = retryMs ?? position.retryMs;
      tellPosition(opened, position, writer);
    },
    onData: isRest ? () => {} : timeout.restart,
    answer() {
      checkIsThere(client);
      position.hasFlowed = true;
      return beginAnswer(client, brake);
    },
    unread: () => client.response.writableLength,
  };
  return readStream(
    {
      ...{ response, request, operation: call.operation, sink },
      ...{ server: call.upstream.name, maxBytes: call.upstream.maxResponseBytes },
    },
    { brake, pacer, budget: createNotificationBudget(notificationsPerSecond, monotonic), observer, readMessage },
    { hold: client.hold, signal: timeout.signal },
  )
    .catch((fault: unknown) => ({ fault }))
    .finally(() => asking?.end());
}

/** A server that asks its client and does not wait for her has nobody to answer. @throws {HttpFault} */
function checkIsThere(client: CallClient): void {
  if (client.isAway) throw new HttpFault("no_answer");
}

/** Null where the client of the call cannot be asked in a result. */
function askBackOf({ kept, now }: StreamOptions, opened: OpenResponse, brake: Brake): AskBack | null {
  const { dialect } = opened.request;
  return kept === null || dialect.era === "modern" ? null : createAskBack({ ...opened, kept, dialect, brake, now });
}
