// Reads the event stream with which a server answers a call, no faster than its client and the other calls allow.
import type { IncomingMessage } from "node:http";
import { HttpFault } from "../../http/client.ts";
import type { Operation } from "../../mcp/operation.ts";
import type { UpstreamMessage } from "../../mcp/upstream-message.ts";
import type { Brake, Pacer } from "../upstream/brake.ts";
import { createEventParser, type StreamEvent } from "../upstream/event-stream.ts";
import type { NotificationBudget } from "./notification-budget.ts";
import { lengthOf, relayAnswer, type RelayAnswer } from "./response.ts";
import type { RelayRequest } from "./request.ts";
import { faultIn } from "../abort.ts";
import { createRoom, type RoomOptions } from "../room.ts";
import type { ReadMessage } from "../upstream/message.ts";
import { consume, FIRST_ROOM, holdUp, isEncoded, drainOrClose, MAX_ANSWER_BYTES } from "../upstream/body.ts";

/** A stream of a server, the call that it answers, and where its events go. */
export interface RelayStream {
  readonly answer: IncomingMessage;
  readonly request: RelayRequest;
  readonly operation: Operation;
  readonly server: string;
  readonly sink: StreamSink;
}

export interface StreamSink {
  /** Given each notification as it came. */
  notification(data: Buffer): void;
  /** Told of each sign of life. */
  touch(): void;
  /** Bytes that the client has not read. */
  unread(): number;
}

/** What slows a stream down. */
export interface StreamPace {
  readonly brake: Brake;
  readonly pacer: Pacer;
  readonly budget: NotificationBudget;
  readonly observer: StreamObserver;
  readonly readMessage: ReadMessage;
}

export interface StreamObserver {
  /** Events of a stream that were for nobody (B50). */
  dropped(server: string, events: number): void;
  /** Events of a stream beyond `notificationsPerSecond`. */
  thinned(server: string, events: number): void;
}

/** Bytes of one stream that are read before other streams have their turn. */
const SLICE_BYTES = 64 * 1024;
/** How long a stream with more events than its call may have, or with little but comments, is left alone after each slice. */
const FLOOD_PAUSE_MS = 20;
/** Of a slice, that went on or belong to an event which has not come whole: with less, what comes is for nobody. */
const USEFUL_BYTES = SLICE_BYTES / 4;
/** An event that is collected beside one that was not read, and the rest of a chunk. */
const STREAM_ROOM = [FIRST_ROOM, MAX_ANSWER_BYTES + 4 * FIRST_ROOM, 2 * MAX_ANSWER_BYTES + 4 * FIRST_ROOM] as const;

/**
 * Reads a stream up to the answer of this call. Only that and notifications count; the rest is dropped: requests of the
 * server's, other ids, other types (B50), and notifications beyond the budget. After each slice other calls have their turn.
 * @returns the answer; null if it is one that the client cannot handle
 * @throws {HttpFault} when the stream breaks before the answer
 */
export async function readStream(
  stream: RelayStream,
  pace: StreamPace,
  options: RoomOptions,
): Promise<RelayAnswer | null> {
  const { answer, sink } = stream;
  const { brake, pacer } = pace;
  const parser = createEventParser(MAX_ANSWER_BYTES);
  const room = createRoom(options, STREAM_ROOM);
  const reading: Reading = { found: undefined, isFlood: false, passed: 0 };
  let begun = 0;
  let left = SLICE_BYTES;
  const after = (chunk: Buffer, isFound: boolean): boolean => {
    if (isFound) return true;
    left -= chunk.length;
    if (left <= 0) {
      const isUseful = reading.passed + Math.max(0, parser.length - begun) >= USEFUL_BYTES;
      goOnLater(brake.hold(), pacer, reading.isFlood || !isUseful ? FLOOD_PAUSE_MS : 0);
      left = SLICE_BYTES;
      begun = parser.length;
      Object.assign(reading, { isFlood: false, passed: 0 });
    }
    holdUp(answer, brake, room.need(parser.length + sink.unread()));
    return false;
  };
  try {
    if (isEncoded(answer)) throw new HttpFault("encoded");
    await room.begin();
    const isDone = await consume(answer, (chunk) => {
      sink.touch();
      const taken = takeEvents(stream, pace, { reading, events: parser.push(chunk) });
      if (typeof taken === "boolean") return after(chunk, taken);
      const goOn = brake.hold();
      return taken.then((isFound) => after(chunk, isFound)).finally(goOn);
    });
    if (!isDone) await takeEvents(stream, pace, { reading, events: parser.end() });
    if (options.signal.aborted) throw faultIn(options.signal);
  } catch (error) {
    answer.destroy(); // it may have no end, and would hold its connection as long
    throw room.faultFor(error);
  }
  drainOrClose(answer);
  const { found } = reading;
  if (found === undefined) throw new HttpFault("no_answer");
  room.settle(FIRST_ROOM + sink.unread() + lengthOf(found?.body ?? []));
  return found;
}

function goOnLater(goOn: () => void, pacer: Pacer, pauseMs: number): void {
  if (pauseMs === 0) pacer(goOn);
  else setTimeout(pacer, pauseMs, goOn);
}

/** What was found so far. */
interface Reading {
  /** The answer; undefined while it has not come, null for one that the client cannot handle. */
  found: RelayAnswer | null | undefined;
  /** True if some events were too many. */
  isFlood: boolean;
  /** Bytes of notifications that went on. */
  passed: number;
}

interface Events {
  readonly reading: Reading;
  readonly events: readonly StreamEvent[];
}

/** True once the answer is found: nothing comes after it. A promise if one of the events is long. */
function takeEvents(stream: RelayStream, pace: StreamPace, { reading, events }: Events): boolean | Promise<boolean> {
  for (const [i, event] of events.entries()) {
    const verdict = judge(stream, pace, event);
    if (verdict instanceof Promise)
      return verdict.then(
        (late) =>
          isAnswer(stream, pace, { reading, event, verdict: late }) ||
          takeEvents(stream, pace, { reading, events: events.slice(i + 1) }),
      );
    if (isAnswer(stream, pace, { reading, event, verdict })) return true;
  }
  return false;
}

type Verdict = "notification" | "dropped" | "thinned" | RelayAnswer | null;

interface Judged {
  readonly reading: Reading;
  readonly event: StreamEvent;
  readonly verdict: Verdict;
}

function isAnswer({ sink, server }: RelayStream, { observer }: StreamPace, { reading, event, verdict }: Judged) {
  if (verdict === "notification") {
    sink.notification(event.data);
    reading.passed += event.data.length;
  } else if (verdict === "dropped") observer.dropped(server, 1);
  else if (verdict === "thinned") {
    reading.isFlood = true;
    observer.thinned(server, 1);
  } else {
    reading.found = verdict;
    return true;
  }
  return false;
}

/** An event beyond the budget is read only if it can be the answer, which has the id. */
function judge(stream: RelayStream, { budget, readMessage }: StreamPace, event: StreamEvent) {
  const { type, data } = event;
  const isWithin = budget(data.length);
  if (type !== "message") return "dropped";
  if (!isWithin && !canHold(data, stream.request.wireId)) return "thinned";
  const message = readMessage(data);
  return message instanceof Promise
    ? message.then((late) => verdictOn(stream, { data, message: late, isWithin }))
    : verdictOn(stream, { data, message, isWithin });
}

/** Also as some writers of floating numbers put it: 1.40737488355327E14. */
function canHold(data: Buffer, wireId: number): boolean {
  return data.includes(String(wireId).slice(1).replace(/0+$/, ""));
}

interface ReadEvent {
  readonly data: Buffer;
  readonly message: UpstreamMessage | null;
  readonly isWithin: boolean;
}

function verdictOn({ request, operation }: RelayStream, { data, message, isWithin }: ReadEvent): Verdict {
  if (message?.kind === "answer" && message.id === request.wireId)
    return relayAnswer({ bytes: data, message, status: 200 }, request, operation);
  if (!isWithin) return "thinned";
  if (message?.kind !== "notification") return "dropped";
  const isForeign = message.method === "notifications/progress" && message.progressToken !== request.progressToken;
  return isForeign ? "dropped" : "notification";
}
