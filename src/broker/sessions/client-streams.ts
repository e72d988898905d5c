// The streams that a client has opened on her session (GET): each message goes to one of them, no faster than she reads. I/O.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#listening-for-messages-from-the-server
import type { ServerResponse } from "node:http";
import type { Brake } from "../upstream/brake.ts";
import { eventOf } from "../upstream/event-stream.ts";

export interface ClientStreams {
  /** Begins a stream as this response. Too many: the oldest ends. */
  open(response: ServerResponse, options: ClientStreamOptions): void;
  /**
   * Sends a message on the stream that was opened last; false without a stream.
   * @param id under which the client can ask for what comes after it; null for none
   * @param source what is paused while she does not read
   */
  send(message: Uint8Array, id: string | null, source: Brake | null): boolean;
  readonly size: number;
  /** The stream that was opened last; null without one. */
  readonly last: ServerResponse | null;
  /** Ends all streams. */
  close(): void;
}

export interface ClientStreamOptions {
  /** A silent stream gets a comment at least so often. */
  readonly keepAliveMs: number;
  /** Where messages are posted, told by the first event; null for a stream of streamable HTTP. */
  readonly messagePath: string | null;
  /** Milliseconds until it must end: the caller's token does then. */
  readonly maxMs: number;
}

/** Called when the first stream begins, when any has begun, and when the last one has ended. */
export interface StreamsObserver {
  readonly onFirst: () => void;
  readonly onOpen: () => void;
  readonly onNone: () => void;
}

const MAX_STREAMS = 4;
/** Milliseconds for the last bytes of a stream that has ended. */
const LAST_BYTES_MS = 5000;
/** Node's timers fire at once beyond this many milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export function createClientStreams({ onFirst, onOpen, onNone }: StreamsObserver): ClientStreams {
  /** The oldest first. */
  const streams = new Set<ServerResponse>();
  let isClosed = false;
  const last = () => [...streams].findLast(({ writableEnded, destroyed }) => !writableEnded && !destroyed) ?? null;
  return {
    open(response, { keepAliveMs, maxMs, messagePath }) {
      const live = [...streams].filter(({ writableEnded }) => !writableEnded);
      for (const oldest of live.slice(0, Math.max(0, live.length - MAX_STREAMS + 1))) endStream(oldest);
      writeHead(response, messagePath);
      if (isClosed || response.closed) {
        response.end();
        return;
      }
      streams.add(response);
      const sign = setInterval(() => {
        // A client that has not read what was sent needs no sign of life.
        if (!response.writableNeedDrain) response.write(":\n\n");
      }, keepAliveMs);
      const limit = setTimeout(endStream, Math.min(MAX_TIMER_MS, Math.max(0, maxMs)), response);
      response.once("close", () => {
        clearInterval(sign);
        clearTimeout(limit);
        if (streams.delete(response) && streams.size === 0) onNone();
      });
      if (streams.size === 1) onFirst();
      onOpen();
    },
    send(message, id, source) {
      const response = last();
      if (response === null) return false;
      const head = id === null ? [] : [Buffer.from(`id: ${id}\n`)];
      if (!response.write(Buffer.concat([...head, ...eventOf([message])])) && source !== null) {
        const goOn = source.hold();
        response.once("drain", goOn).once("close", goOn);
      }
      return true;
    },
    get last() {
      return last();
    },
    get size() {
      return streams.size;
    },
    close() {
      isClosed = true;
      for (const response of streams) endStream(response);
    },
  };
}

/** Ends a stream in order. That of a client who does not read would never end, and keep its connection. */
function endStream(response: ServerResponse): void {
  if (response.writableNeedDrain) {
    response.destroy();
    return;
  }
  const impatience = setTimeout(() => response.destroy(), LAST_BYTES_MS);
  impatience.unref();
  response.once("close", () => clearTimeout(impatience)).end();
}

function writeHead(response: ServerResponse, messagePath: string | null): void {
  response.writeHead(200, {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
  });
  response.flushHeaders();
  if (messagePath === null) return;
  response.setMaxListeners(0); // one for each call under way, and those are bounded
  response.write(`event: endpoint\ndata: ${messagePath}\n\n`);
}
