// Listens at one server for changes of its lists, as the gateway itself: `subscriptions/listen` of the stateless revision, the
// stream of GET of the older ones. Opens the stream again when it ends. I/O by upstream/.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/utilities/subscriptions
import { setTimeout as delay } from "node:timers/promises";
import { backoffMs, type Backoff } from "../../async/backoff.ts";
import { drainOrClose, HttpFault, isEncoded, type HttpResponse } from "../../http/client.ts";
import { isObject } from "../../json/object.ts";
import type { JsonObject } from "../../json/types.ts";
import { readUpstreamMessage } from "../../mcp/upstream-message.ts";
import { CHANGE_KINDS, changedKindOf, type ChangeKind } from "../change-notices.ts";
import { mediaOf } from "../upstream/body.ts";
import { createBudget, headersFor, OWN_ID } from "../upstream/client.ts";
import { META, type Dialect } from "../upstream/era.ts";
import { createEventParser, type EventParser } from "../upstream/event-stream.ts";
import { answerForNobody } from "../upstream/reply.ts";
import { credentialHeader } from "../upstream/upstream.ts";
import { converse, type Conversation, type ListedUpstream } from "./conversation.ts";

export interface UpstreamListener {
  /** Listens while the server declares that any of its lists may change. */
  declare(kinds: readonly ChangeKind[]): void;
  close(): void;
}

export interface UpstreamListenerOptions extends ListedUpstream {
  /** For the handshake, and for the head of the stream. */
  readonly timeoutMs: number;
  /** Receives the kinds of lists that the server says have changed; bounds them itself. */
  readonly onChanged: (kinds: readonly ChangeKind[]) => void;
  /** Pauses between streams; tests pass their own. */
  readonly backoff?: Backoff;
}

/** The kinds of lists that a server says it tells of. */
export function declaredChanges(capabilities: JsonObject): ChangeKind[] {
  return CHANGE_KINDS.filter((kind) => {
    const capability = capabilities[kind];
    return isObject(capability) && capability["listChanged"] === true;
  });
}

const BACKOFF: Backoff = { firstMs: 500, maxMs: 30_000, jitter: 0.2 };
/** The pause that a server may ask for with `retry`. */
const RETRY_MS = { min: 500, max: 30_000 };
/** A server that has no such stream is asked again after this time. */
const NONE_MS = 10 * 60_000;
/** A stream is opened anew after this time: a connection that died says nothing. */
const MAX_STREAM_MS = 15 * 60_000;
/** A stream that lasted so long was a good one. */
const GOOD_MS = 10_000;
/** Of one event. */
const MAX_EVENT_BYTES = 256 * 1024;
/** A stream is read this much at a time, with a pause in between: it says little, or it floods. */
const SLICE_BYTES = 64 * 1024;
const FLOOD_PAUSE_MS = 20;

export function createUpstreamListener(options: UpstreamListenerOptions): UpstreamListener {
  let running: AbortController | null = null;
  let asked = "";
  const stop = () => running?.abort(new HttpFault("aborted"));
  return {
    declare(kinds) {
      if (kinds.join() === asked) return;
      asked = kinds.join();
      stop();
      running = kinds.length === 0 ? null : new AbortController();
      if (running !== null) void keepListening(options, kinds, running.signal);
    },
    close: stop,
  };
}

/** Ends with the signal; never rejects. */
async function keepListening(
  options: UpstreamListenerOptions,
  kinds: readonly ChangeKind[],
  signal: AbortSignal,
): Promise<void> {
  const { backoff = BACKOFF } = options;
  for (let failures = 1; !signal.aborted; failures += 1) {
    const begunAt = performance.now();
    const pause = await listen(options, kinds, signal).catch(() => null);
    if (performance.now() - begunAt > GOOD_MS) failures = 1;
    const pauseMs = pause ?? backoffMs(backoff, failures, Math.random());
    await delay(pauseMs, null, { signal, ref: false }).catch(() => null);
  }
}

/** Where a stream of the older revisions goes on. */
interface Position {
  lastEventId: string | null;
  retryMs: number | null;
}

/** One session with its streams. @returns milliseconds until the next; null for a growing pause @throws {HttpFault} */
async function listen(
  options: UpstreamListenerOptions,
  kinds: readonly ChangeKind[],
  signal: AbortSignal,
): Promise<number | null> {
  const opening = AbortSignal.any([signal, AbortSignal.timeout(options.timeoutMs)]);
  const server = await converse(options, createBudget(opening));
  try {
    const position: Position = { lastEventId: null, retryMs: null };
    for (;;) {
      const response = await openStream(options, { server, kinds, position, signal });
      if (response === null) return position.lastEventId === null ? NONE_MS : null;
      await readNotices(options, { server, response, position });
      if (server.dialect.era === "modern" || position.lastEventId === null) return position.retryMs;
      await delay(position.retryMs ?? BACKOFF.firstMs, null, { signal });
    }
  } finally {
    await server.close();
  }
}

interface Opening {
  readonly server: Conversation;
  readonly kinds: readonly ChangeKind[];
  readonly position: Position;
  readonly signal: AbortSignal;
}

/** Null if the server has no such stream, or does not know the session any more. @throws {HttpFault} */
async function openStream(
  { upstream, credential, timeoutMs }: UpstreamListenerOptions,
  { server: { dialect }, kinds, position, signal }: Opening,
): Promise<HttpResponse | null> {
  const life = new AbortController();
  const head = setTimeout(() => life.abort(new HttpFault("timeout")), timeoutMs);
  const streamSignal = AbortSignal.any([signal, life.signal, AbortSignal.timeout(MAX_STREAM_MS)]);
  const request = dialect.era === "modern" ? subscription(kinds) : stream(dialect, position);
  const headers = { ...request.headers, ...credentialHeader(credential) };
  const response = await upstream.request({ ...request, headers, signal: streamSignal }).finally(() => {
    clearTimeout(head);
  });
  if (response.statusCode === 200 && mediaOf(response) === "stream" && !isEncoded(response)) return response;
  drainOrClose(response);
  const { statusCode } = response;
  if ([401, 403, 429].includes(statusCode) || statusCode >= 500) throw new HttpFault(`status_${statusCode}`);
  return null;
}

function subscription(kinds: readonly ChangeKind[]) {
  const notifications = Object.fromEntries(kinds.map((kind) => [`${kind}ListChanged`, true]));
  const method = "subscriptions/listen";
  const message = { jsonrpc: "2.0", id: OWN_ID, method, params: { notifications, _meta: META } };
  const headers = headersFor({ era: "modern" }, method);
  return { method: "POST", headers, body: Buffer.from(JSON.stringify(message)) };
}

function stream(dialect: Dialect, { lastEventId }: Position) {
  const { "content-type": _, ...headers } = headersFor(dialect, "");
  const resuming = lastEventId === null ? {} : { "last-event-id": lastEventId };
  return { method: "GET", headers: { ...headers, accept: "text/event-stream", ...resuming }, body: null };
}

interface OpenStream {
  readonly server: Conversation;
  readonly response: HttpResponse;
  readonly position: Position;
}

/** Reads a stream to its end. @throws {HttpFault} */
async function readNotices(
  options: UpstreamListenerOptions,
  { server: { dialect }, response, position }: OpenStream,
): Promise<void> {
  const parser = createEventParser(MAX_EVENT_BYTES);
  let left = SLICE_BYTES;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    const heard = new Set<ChangeKind>();
    const events = parser.push(chunk);
    notePosition(position, parser);
    for (const { type, data } of events) {
      const message = type === "message" ? readUpstreamMessage(data) : null;
      if (message?.kind === "notification") noteKind(heard, message.method);
      if (message?.kind === "request") answerForNobody(options, dialect, message);
    }
    if (heard.size > 0) options.onChanged([...heard]);
    left -= chunk.length;
    if (left > 0) continue;
    await delay(FLOOD_PAUSE_MS);
    left = SLICE_BYTES;
  }
}

function notePosition(position: Position, { lastEventId, retryMs }: EventParser): void {
  if (lastEventId !== null) position.lastEventId = lastEventId;
  if (retryMs !== null) position.retryMs = Math.min(RETRY_MS.max, Math.max(RETRY_MS.min, retryMs));
}

function noteKind(heard: Set<ChangeKind>, method: string): void {
  const kind = changedKindOf(method);
  if (kind !== null) heard.add(kind);
}
