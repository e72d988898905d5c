// Listens at one server for changes of resources, with one caller's credential: until it is ended, again and again when the stream
// breaks off. What is of the older revisions alone is in older-watch.ts. I/O by upstream/.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/utilities/subscriptions
import { randomInt } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { backoffMs, type Backoff } from "../../async/backoff.ts";
import { drainOrClose, HttpFault, isEncoded, type HttpResponse } from "../../http/client.ts";
import { isObject } from "../../json/object.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import { readJson } from "../../json/strict-reader.ts";
import { META_SUBSCRIPTION } from "../../mcp/meta.ts";
import { orAborted } from "../abort.ts";
import { mediaOf } from "../upstream/body.ts";
import { createBudget, headersFor, sendOwn } from "../upstream/client.ts";
import { META, type Eras } from "../upstream/era.ts";
import { createEventParser } from "../upstream/event-stream.ts";
import { credentialHeader } from "../upstream/upstream.ts";
import { beginOlderWatch, type OlderWatchOptions, type WatchedStream } from "./older-watch.ts";

export interface ServerWatchOptions extends OlderWatchOptions {
  readonly eras: Pick<Eras, "known" | "of">;
  /** Ends the watch. */
  readonly signal: AbortSignal;
  /** Called once if the server takes no such stream any more, or not from this caller. */
  readonly onGone: () => void;
  /** Pauses between streams; tests pass their own. */
  readonly backoff?: Backoff;
}

const METHOD = "subscriptions/listen";
const BACKOFF: Backoff = { firstMs: 500, maxMs: 30_000, jitter: 0.2 };
/** Longest wait for the head of a stream and its first message, whatever the time of the server's calls is. */
const MAX_ACK_MS = 10_000;
/** A stream that lasted so long was a good one. */
const GOOD_MS = 10_000;
/** Of one event: an acknowledgement of all URIs that a wristband can name has room. */
const MAX_EVENT_BYTES = 128 * 1024;
const LIMITS = { maxDepth: 16, maxMembers: 2000, verbatim: true };
/** A stream is read this much at a time, with a pause in between: it says little, or it floods. */
const SLICE_BYTES = 64 * 1024;
const FLOOD_PAUSE_MS = 20;
const MAX_WIRE_ID = 2 ** 47;

/** An open stream behind its acknowledgement. */
interface Opened {
  readonly honoured: readonly string[];
  /** Resolves with its end. @throws {HttpFault} */
  readonly ended: Promise<void>;
}

/**
 * Begins to watch. Resolves with the own URIs that the server tells of, soon and in any case: none for a server that has no such
 * stream, null for one that cannot be reached or refuses the caller. Never rejects.
 */
export async function watchServer(options: ServerWatchOptions): Promise<readonly string[] | null> {
  const first = await open(options).catch((error: unknown) => (isNotThere(error) ? [] : null));
  if (first === null || "length" in first) return first;
  if (first.honoured.length === 0 || options.signal.aborted) return [];
  void keepWatching(options, first);
  return first.honoured;
}

/** Opens the stream again after its end. What changed in between was not told: each resource counts as changed. Never rejects. */
async function keepWatching(options: ServerWatchOptions, first: Opened): Promise<void> {
  const { signal, onGone, onUpdate, backoff = BACKOFF } = options;
  let opened: Opened | null = first;
  for (let failures = 1; ; failures += 1) {
    const begunAt = performance.now();
    await opened?.ended.catch(() => null);
    if (performance.now() - begunAt > GOOD_MS) failures = 1;
    await delay(backoffMs(backoff, failures, Math.random()), null, { signal, ref: false }).catch(() => null);
    if (signal.aborted) return;
    opened = await open(options).catch((error: unknown) => {
      if (error instanceof Refusal) onGone();
      return null;
    });
    if (opened === null) continue;
    if (first.honoured.some((uri) => !opened?.honoured.includes(uri))) onGone();
    else for (const uri of first.honoured) onUpdate(uri);
  }
}

/** The server does not take the stream: asked again it would not either. */
class Refusal extends HttpFault {}

/** True where it says nothing about the caller. */
function isNotThere(error: unknown): boolean {
  return error instanceof Refusal && !["status_401", "status_403"].includes(error.code);
}

/** One stream, until it is acknowledged. @throws {HttpFault} */
async function open(options: ServerWatchOptions): Promise<Opened> {
  const { upstream, signal } = options;
  const life = new AbortController();
  const stop = () => life.abort(new HttpFault("aborted"));
  const late = () => life.abort(new HttpFault("timeout"));
  const timer = setTimeout(late, Math.min(upstream.timeoutMs, MAX_ACK_MS));
  signal.addEventListener("abort", stop);
  const forget = () => signal.removeEventListener("abort", stop);
  try {
    const stream = await begin(options, life.signal);
    const ended = stream.read().finally(forget);
    ended.catch(() => {}); // of one that ends before its acknowledgement
    return { honoured: await Promise.race([stream.acknowledged, ended.then(none)]), ended };
  } catch (error) {
    forget();
    stop();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** @throws {HttpFault} */
async function begin(options: ServerWatchOptions, signal: AbortSignal): Promise<WatchedStream> {
  const { upstream, credential, eras } = options;
  if (options.signal.aborted) throw new HttpFault("aborted");
  const ask = sendOwn(upstream, credential, createBudget(signal));
  const era = eras.known(upstream.name) ?? (await orAborted(eras.of(upstream.name, ask), signal));
  if (era === "legacy") return beginOlderWatch(options, signal);
  const id = randomInt(1, MAX_WIRE_ID);
  const response = await upstream.streams.request({ ...requestOf(options, id), signal });
  checkHead(response);
  return new WatchStream(options, response, id);
}

function none(): never {
  throw new HttpFault("no_answer");
}

function requestOf({ uris, credential }: ServerWatchOptions, id: number) {
  const notifications = { resourceSubscriptions: [...uris.keys()] };
  const message = { jsonrpc: "2.0", id, method: METHOD, params: { notifications, _meta: META } };
  const headers = { ...headersFor({ era: "modern" }, METHOD), ...credentialHeader(credential) };
  return { method: "POST", headers, body: Buffer.from(JSON.stringify(message)) };
}

/** @throws {HttpFault} */
function checkHead(response: HttpResponse): void {
  const { statusCode } = response;
  if (statusCode === 200 && mediaOf(response) === "stream" && !isEncoded(response)) return;
  drainOrClose(response);
  if (statusCode === 429 || statusCode >= 500) throw new HttpFault(`status_${statusCode}`);
  throw new Refusal(`status_${statusCode}`);
}

class WatchStream implements WatchedStream {
  readonly acknowledged: Promise<readonly string[]>;
  readonly #options: ServerWatchOptions;
  readonly #chunks: AsyncIterable<Buffer>;
  readonly #id: number;
  #acknowledge: (honoured: readonly string[]) => void = () => {};

  constructor(options: ServerWatchOptions, response: HttpResponse, id: number) {
    this.#options = options;
    this.#chunks = response;
    this.#id = id;
    this.acknowledged = new Promise((done) => (this.#acknowledge = done));
  }

  /** Reads it to its end. @throws {HttpFault} */
  async read(): Promise<void> {
    const parser = createEventParser(MAX_EVENT_BYTES);
    let left = SLICE_BYTES;
    for await (const chunk of this.#chunks) {
      for (const { type, data } of parser.push(chunk)) if (type === "message" && !this.#take(data)) return;
      left -= chunk.length;
      if (left > 0) continue;
      await delay(FLOOD_PAUSE_MS);
      left = SLICE_BYTES;
    }
  }

  /** False for the answer, after which nothing comes. */
  #take(data: Buffer): boolean {
    const read = readJson(data, LIMITS);
    const message = read.ok && isObject(read.value) ? read.value : {};
    if (message["id"] !== undefined) return message["id"] !== this.#id;
    const { params } = message;
    if (!isObject(params) || !isOfStream(params, this.#id)) return true;
    if (message["method"] === "notifications/subscriptions/acknowledged") this.#acknowledge(this.#ownAmong(params));
    const { uri } = params;
    if (
      message["method"] === "notifications/resources/updated" &&
      typeof uri === "string" &&
      this.#options.uris.has(uri)
    )
      this.#options.onUpdate(uri);
    return true;
  }

  #ownAmong({ notifications }: JsonObject): readonly string[] {
    const honoured = isObject(notifications) ? notifications["resourceSubscriptions"] : undefined;
    const uris: readonly JsonValue[] = Array.isArray(honoured) ? honoured : [];
    return [...this.#options.uris.keys()].filter((uri) => uris.includes(uri));
  }
}

/** False for what is tagged with another stream's id: some servers mix up connections (threat model: B32). */
function isOfStream({ _meta: meta }: JsonObject, id: number): boolean {
  const tag = isObject(meta) ? meta[META_SUBSCRIPTION] : undefined;
  return tag === undefined || tag === id;
}
