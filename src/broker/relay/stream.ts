// Reads the event stream with which a server answers a call, no faster than its client and the other calls allow.
import { drainOrClose, HttpFault, isEncoded, type HttpResponse } from "../../http/client.ts";
import type { Operation } from "../../mcp/operation.ts";
import type { ServerNotification, ServerRequest, UpstreamMessage } from "../../mcp/upstream-message.ts";
import type { Brake, Pacer } from "../upstream/brake.ts";
import { createEventParser, type EventParser, type StreamEvent } from "../upstream/event-stream.ts";
import type { NotificationBudget } from "./notification-budget.ts";
import { EventFlow, heldOf } from "./flow.ts";
import type { AnswerWriter } from "./client-response.ts";
import { lengthOf, toClientResponse, type ClientResponse } from "./response.ts";
import type { RelayRequest } from "./request.ts";
import { faultIn } from "../abort.ts";
import { createRoom, type RoomOptions } from "../room.ts";
import type { ReadMessage } from "../upstream/message.ts";
import { answerTooLarge, consume, FIRST_ROOM, pauseUntilRoom } from "../upstream/body.ts";

/** An event stream, the request that it answers, and where its events go. */
export interface RelayStream {
  readonly response: HttpResponse;
  readonly request: RelayRequest;
  readonly operation: Operation;
  readonly server: string;
  /** Of one event. */
  readonly maxBytes: number;
  readonly sink: StreamSink;
}

export interface StreamSink {
  /** Receives each notification, with the server's id of the event. */
  notification(event: StreamEvent, message: ServerNotification): void;
  /** Receives each request of the server's; false for one that has nobody who could answer it. */
  request(event: StreamEvent, message: ServerRequest): boolean;
  /** Called after each chunk without the answer: where the stream is. */
  position(parser: Pick<EventParser, "lastEventId" | "retryMs">): void;
  /** Called for each chunk that the server sends. */
  onData(): void;
  /** Begins the answer before it is complete. */
  answer(): AnswerWriter;
  /** Bytes that wait for the client to read them. */
  unread(): number;
}

/** Bounds on the speed of a stream, with the reader and the observer of its events. */
export interface StreamPace {
  readonly brake: Brake;
  readonly pacer: Pacer;
  readonly budget: NotificationBudget;
  readonly observer: StreamObserver;
  readonly readMessage: ReadMessage;
}

export interface StreamObserver {
  /** Events that are no response to the call and no notification of it (B50). */
  dropped(server: string, events: number): void;
  /** Events of a stream beyond `notificationsPerSecond`. */
  thinned(server: string, events: number): void;
}

/** Bytes of one stream that are read in one turn. */
const SLICE_BYTES = 64 * 1024;
/** Pause after each slice of a stream with more events than the budget, or with little but comments. */
const FLOOD_PAUSE_MS = 20;
/** A slice is useful if so many bytes of it were passed on, or belong to an event that is not complete yet. */
const USEFUL_BYTES = SLICE_BYTES / 4;
/** Steps: the first chunks; a complete event and the rest of its chunk; that beside an event which the client has not read. */
function roomFor(limit: number) {
  const maxBytes = heldOf(limit, null);
  return [FIRST_ROOM, maxBytes + 4 * FIRST_ROOM, 2 * maxBytes + 4 * FIRST_ROOM] as const;
}

/**
 * Reads a stream up to the response to this call. That and notifications are passed on, requests of the server's are handed
 * to the sink; the rest is dropped: other ids, other types (B50), and notifications beyond the budget. After each slice other
 * calls have their turn.
 * @returns the response; null for one that the client cannot handle
 * @throws {HttpFault} if the stream breaks before the response
 */
export async function readStream(
  stream: RelayStream,
  pace: StreamPace,
  options: RoomOptions,
): Promise<ClientResponse | null | "flowed"> {
  const { response, sink } = stream;
  const { brake, pacer } = pace;
  const parser = createEventParser(stream.maxBytes);
  const room = createRoom(options, roomFor(stream.maxBytes));
  const reading: StreamState = { found: undefined, isFlood: false, passed: 0, flow: new EventFlow(stream) };
  let [begun, left] = [0, SLICE_BYTES];
  const after = (chunk: Buffer, isFound: boolean): boolean => {
    if (isFound) return true;
    sink.position(parser);
    reading.passed += reading.flow.look(parser);
    left -= chunk.length;
    if (left <= 0) {
      const isUseful = reading.passed + Math.max(0, parser.length - begun) >= USEFUL_BYTES;
      goOnLater(brake.hold(), pacer, reading.isFlood || !isUseful ? FLOOD_PAUSE_MS : 0);
      left = SLICE_BYTES;
      begun = parser.length;
      Object.assign(reading, { isFlood: false, passed: 0 });
    }
    pauseUntilRoom(response, brake, room.need(parser.length + sink.unread()));
    return false;
  };
  try {
    if (isEncoded(response)) throw new HttpFault("encoded");
    await room.begin();
    const isDone = await consume(response, (chunk) => {
      sink.onData();
      const taken = takeEvents(stream, pace, { reading, events: parser.push(chunk) });
      if (typeof taken === "boolean") return after(chunk, taken);
      const goOn = brake.hold();
      return taken.then((isFound) => after(chunk, isFound)).finally(goOn);
    });
    if (!isDone) await takeEvents(stream, pace, { reading, events: parser.end() });
    if (options.signal.aborted) throw faultIn(options.signal);
  } catch (error) {
    response.destroy(); // it may be endless, and would keep its connection
    room.settle(sink.unread());
    throw answerTooLarge(room.faultFor(error));
  }
  drainOrClose(response);
  const { found } = reading;
  room.settle(sink.unread() + heldOfFound(found));
  if (found === undefined) throw new HttpFault("no_answer");
  if (found === "flowed") reading.flow.finish();
  return found;
}

/** Bytes of a response that wait to be written. */
function heldOfFound(found: StreamState["found"]): number {
  if (found === undefined) return 0;
  return FIRST_ROOM + (found === null || found === "flowed" ? 0 : lengthOf(found.body));
}

function goOnLater(goOn: () => void, pacer: Pacer, pauseMs: number): void {
  if (pauseMs === 0) pacer(goOn);
  else setTimeout(pacer, pauseMs, goOn);
}

/** State of one stream. */
interface StreamState {
  /** The response; undefined until it comes, null for one that the client cannot handle. */
  found: ClientResponse | null | "flowed" | undefined;
  /** True if events of this slice were beyond the budget. */
  isFlood: boolean;
  /** Bytes of this slice that were passed on. */
  passed: number;
  readonly flow: EventFlow;
}

interface EventBatch {
  readonly reading: StreamState;
  readonly events: readonly StreamEvent[];
}

/** True once the response is found: later events are ignored. A promise if one of the events is long. */
function takeEvents(
  stream: RelayStream,
  pace: StreamPace,
  { reading, events }: EventBatch,
): boolean | Promise<boolean> {
  for (const [i, event] of events.entries()) {
    if (reading.flow.ends(event)) {
      reading.found = "flowed";
      return true;
    }
    const verdict = judge(stream, pace, event);
    if (verdict instanceof Promise)
      return verdict.then(
        (late) =>
          applyVerdict(stream, pace, { reading, event, verdict: late }) ||
          takeEvents(stream, pace, { reading, events: events.slice(i + 1) }),
      );
    if (applyVerdict(stream, pace, { reading, event, verdict })) return true;
  }
  return false;
}

/** A notification for the client. */
interface PassedNotification {
  readonly kind: "notification";
  readonly message: ServerNotification;
  readonly data: Buffer;
}

type Verdict = PassedNotification | "dropped" | "thinned" | ServerRequest | ClientResponse | null;

interface JudgedEvent {
  readonly reading: StreamState;
  readonly event: StreamEvent;
  readonly verdict: Verdict;
}

function applyVerdict(
  { sink, server }: RelayStream,
  { observer }: StreamPace,
  { reading, event, verdict }: JudgedEvent,
) {
  if (verdict === "dropped") observer.dropped(server, 1);
  else if (verdict === "thinned") {
    reading.isFlood = true;
    observer.thinned(server, 1);
  } else if (verdict !== null && "kind" in verdict) {
    reading.passed += event.data.length;
    if (verdict.kind === "notification") sink.notification({ ...event, data: verdict.data }, verdict.message);
    else if (!sink.request(event, verdict)) observer.dropped(server, 1);
  } else {
    reading.found = verdict;
    return true;
  }
  return false;
}

/** Beyond the budget an event is parsed only if it may be the response, which holds the id. */
function judge(stream: RelayStream, { budget, readMessage }: StreamPace, event: StreamEvent) {
  const { type, data } = event;
  const isWithin = budget(data.length);
  if (type !== "message") return "dropped";
  if (!isWithin && !mayHoldId(data, stream.request.wireId)) return "thinned";
  const message = readMessage(data);
  return message instanceof Promise
    ? message.then((late) => verdictOn(stream, { data, message: late, isWithin }))
    : verdictOn(stream, { data, message, isWithin });
}

/** Some JSON writers put the id as a float: 1.40737488355327E14. */
function mayHoldId(data: Buffer, wireId: number): boolean {
  return data.includes(String(wireId).slice(1).replace(/0+$/, ""));
}

interface ReadEvent {
  readonly data: Buffer;
  readonly message: UpstreamMessage | null;
  readonly isWithin: boolean;
}

function verdictOn({ request, operation }: RelayStream, { data, message, isWithin }: ReadEvent): Verdict {
  if (message?.kind === "answer" && message.id === request.wireId)
    return toClientResponse({ bytes: data, message, status: 200 }, request, operation);
  if (!isWithin) return "thinned";
  if (message?.kind === "request") return message;
  if (message?.kind !== "notification") return "dropped";
  const isForeign = message.method === "notifications/progress" && message.progressToken !== request.progressToken;
  if (isForeign) return "dropped";
  return { kind: "notification", message, data };
}
