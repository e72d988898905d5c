// Reads the event stream with which a server answers a call, no faster than its client and the other calls allow.
import type { IncomingMessage } from "node:http";
import { HttpFault } from "../http/client.ts";
import type { Operation } from "../mcp/operation.ts";
import { readUpstreamMessage } from "../mcp/upstream-message.ts";
import type { Brake, Pacer } from "./brake.ts";
import { createEventParser, type StreamEvent } from "./event-stream.ts";
import type { NotificationBudget } from "./notification-budget.ts";
import { lengthOf, relayAnswer, type RelayAnswer } from "./relay-answer.ts";
import type { RelayRequest } from "./relay-request.ts";
import { createRoom, type RoomOptions } from "./room.ts";
import { consume, FIRST_ROOM, holdUp, isEncoded, letGo, MAX_ANSWER_BYTES } from "./upstream-body.ts";

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
}

export interface StreamObserver {
  /** Events of a stream that were for nobody (B50). */
  dropped(server: string, events: number): void;
  /** Events of a stream beyond `notificationsPerSecond`. */
  thinned(server: string, events: number): void;
}

/** Bytes of one stream that are read before other streams have their turn. */
const SLICE_BYTES = 64 * 1024;
/** How long a stream with more events than its call may have is left alone after each slice. */
const FLOOD_PAUSE_MS = 20;
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
  let found: RelayAnswer | null | undefined;
  let left = SLICE_BYTES;
  let isFlood = false;
  const take = (events: readonly StreamEvent[]): boolean => {
    const taken = takeEvents(stream, pace, events);
    found = taken.found;
    return taken.isFlood;
  };
  const later = (goOn: () => void, pauseMs: number) => {
    if (pauseMs === 0) pacer(goOn);
    else setTimeout(pacer, pauseMs, goOn);
  };
  try {
    if (isEncoded(answer)) throw new HttpFault("encoded");
    await room.begin();
    const isDone = await consume(answer, (chunk) => {
      sink.touch();
      isFlood = take(parser.push(chunk)) || isFlood;
      if (found !== undefined) return true;
      left -= chunk.length;
      if (left <= 0) {
        later(brake.hold(), isFlood ? FLOOD_PAUSE_MS : 0);
        left = SLICE_BYTES;
        isFlood = false;
      }
      holdUp(answer, brake, room.need(parser.length + sink.unread()));
      return false;
    });
    if (!isDone) take(parser.end());
  } catch (error) {
    answer.destroy(); // it may have no end, and would hold its connection as long
    throw room.faultFor(error);
  }
  letGo(answer);
  if (found === undefined) throw new HttpFault("no_answer");
  room.settle(FIRST_ROOM + sink.unread() + lengthOf(found?.body ?? []));
  return found;
}

interface Taken {
  /** Undefined if it is not among them. */
  readonly found: RelayAnswer | null | undefined;
  /** True if some were too many. */
  readonly isFlood: boolean;
}

function takeEvents(stream: RelayStream, { budget, observer }: StreamPace, events: readonly StreamEvent[]): Taken {
  let isFlood = false;
  for (const event of events) {
    const verdict = judge(stream, event, budget(event.data.length));
    if (verdict === "notification") stream.sink.notification(event.data);
    else if (verdict === "dropped") observer.dropped(stream.server, 1);
    else if (verdict !== "thinned") return { found: verdict, isFlood }; // nothing comes after the answer
    else {
      isFlood = true;
      observer.thinned(stream.server, 1);
    }
  }
  return { found: undefined, isFlood };
}

/** @param isWithin false for an event beyond the budget: it is read only if it can be the answer, which has the id */
function judge({ request, operation }: RelayStream, { type, data }: StreamEvent, isWithin: boolean) {
  if (type !== "message") return "dropped";
  if (!isWithin && !data.includes(String(request.wireId))) return "thinned";
  const message = readUpstreamMessage(data);
  if (message?.kind === "answer" && message.id === request.wireId)
    return relayAnswer({ bytes: data, message, status: 200 }, request, operation);
  if (!isWithin) return "thinned";
  if (message?.kind !== "notification") return "dropped";
  const isForeign = message.method === "notifications/progress" && message.progressToken !== request.progressToken;
  return isForeign ? "dropped" : "notification";
}
