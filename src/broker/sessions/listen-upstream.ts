// Listens to a server's session (GET), from where it ended last, and again when it ends. I/O.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#resumability-and-redelivery
import { setTimeout as delay } from "node:timers/promises";
import { backoffMs, type Backoff } from "../../async/backoff.ts";
import { drainOrClose, isEncoded, type HttpResponse } from "../../http/client.ts";
import type { UpstreamMessage } from "../../mcp/upstream-message.ts";
import { consume, mediaOf } from "../upstream/body.ts";
import { createBrake, type Brake } from "../upstream/brake.ts";
import { streamHeaders } from "../upstream/client.ts";
import { createEventParser, type StreamEvent } from "../upstream/event-stream.ts";
import type { ReadMessage } from "../upstream/message.ts";
import type { OpenSession } from "../upstream/session.ts";
import { credentialHeader } from "../upstream/upstream.ts";

/** A message of a server's, on the stream of its session. */
export interface HeardMessage {
  readonly data: Buffer;
  readonly message: UpstreamMessage;
  /** The server's id of the event. */
  readonly id: string | null;
  /** The stream itself, which is paused while the client does not read. */
  readonly source: Brake;
}

export interface ListenOptions {
  /** The session as it is now: its credential may be another the next time. */
  readonly session: () => OpenSession | null;
  /** Where the stream goes on when it is asked for again. */
  readonly position: { lastEventId: string | null };
  /** Ends the listening. */
  readonly signal: AbortSignal;
  readonly readMessage: ReadMessage;
  /** False for an event beyond its budget, which is not read. */
  readonly isWithin: (bytes: number) => boolean;
  readonly onMessage: (heard: HeardMessage) => void;
  /** Called when a stream has begun. */
  readonly onOpen?: () => void;
  /** Called once the server does not know the session any more. */
  readonly onLost: () => void;
}

/** Of one event: nobody's account holds it. */
const MAX_EVENT_BYTES = 1024 * 1024;
/** Whatever a server asks for with `retry`. */
const LEAST_RETRY_MS = 500;
const MAX_RETRY_MS = 60_000;
/** The streams of many sessions end together, where their server ends. */
const RETRY: Backoff = { firstMs: 1000, maxMs: MAX_RETRY_MS, jitter: 0.2 };

/** Resolves with the end of the listening: when it is ended, or the server has no such stream. Never rejects. */
export async function listenUpstream(options: ListenOptions): Promise<void> {
  const { session, signal } = options;
  let failures = 0;
  while (!signal.aborted) {
    const open = session();
    if (open === null) return;
    const retryMs = await hear(options, open).catch(() => FAILED);
    if (retryMs === NO_STREAM) return;
    failures = retryMs === FAILED ? failures + 1 : 0;
    const wait = typeof retryMs === "number" ? retryMs : backoffMs(RETRY, failures + 1, Math.random());
    await delay(Math.min(Math.max(wait, LEAST_RETRY_MS), MAX_RETRY_MS), null, { signal, ref: false }).catch(() => null);
  }
}

const FAILED = "failed";
/** The server has no such stream, or has lost the session. */
const NO_STREAM = "no stream";

/** One stream, to its end. Milliseconds until it wants to be asked for again; null if it did not say. @throws {HttpFault} */
async function hear(
  options: ListenOptions,
  { upstream, credential, dialect }: OpenSession,
): Promise<number | null | typeof FAILED | typeof NO_STREAM> {
  const headers = { ...streamHeaders(dialect, options.position.lastEventId), ...credentialHeader(credential) };
  const response = await upstream.streams.request({ method: "GET", headers, body: null, signal: options.signal });
  if (response.statusCode === 200 && mediaOf(response) === "stream" && !isEncoded(response)) {
    options.onOpen?.();
    return readEvents(options, response);
  }
  drainOrClose(response);
  if (response.statusCode === 404 && dialect.session !== null) options.onLost();
  return response.statusCode >= 500 ? FAILED : NO_STREAM;
}

/** One that breaks off is asked for again, from where it was. */
async function readEvents(options: ListenOptions, response: HttpResponse): Promise<number | null> {
  const parser = createEventParser(MAX_EVENT_BYTES);
  const source = createBrake(response);
  const read = consume(response, (chunk) => {
    const taking = takeEvents(options, parser.push(chunk), source);
    options.position.lastEventId = parser.lastEventId ?? options.position.lastEventId;
    if (taking === null) return false;
    const goOn = source.hold();
    return taking.then(() => false).finally(goOn);
  });
  await read.catch(() => null);
  response.destroy();
  return parser.retryMs;
}

/** A promise if one of the events is long. */
function takeEvents(options: ListenOptions, events: readonly StreamEvent[], source: Brake): Promise<void> | null {
  for (const [i, event] of events.entries()) {
    if (event.type !== "message" || !options.isWithin(event.data.length)) continue;
    const message = options.readMessage(event.data);
    if (message instanceof Promise)
      return message.then((late) => {
        take(options, event, { message: late, source });
        return takeEvents(options, events.slice(i + 1), source) ?? undefined;
      });
    take(options, event, { message, source });
  }
  return null;
}

function take(
  { onMessage }: ListenOptions,
  { data, id }: StreamEvent,
  { message, source }: { readonly message: UpstreamMessage | null; readonly source: Brake },
): void {
  if (message !== null) onMessage({ data, message, id, source });
}
