// One connection of HTTP+SSE (2024-11-05) with a server: messages are posted to its endpoint, what the server says comes on
// one stream and is given to the request that it answers. Takes requests as a session of streamable HTTP does. I/O.
import { setTimeout as delay } from "node:timers/promises";
import { drainOrClose, faultOf, HttpFault, isEncoded, type HttpRequest, type HttpResponse } from "../../http/client.ts";
import { innerObjectSpan, readObjectSpan } from "../../json/spans.ts";
import type { RpcId } from "../../mcp/operation.ts";
import { idOf, shortValue, type ServerRequest, type UpstreamMessage } from "../../mcp/upstream-message.ts";
import { createSlices, type Slices } from "../../async/slices.ts";
import { faultIn, orAborted } from "../abort.ts";
import { mediaOf } from "./body.ts";
import { createPacer } from "./brake.ts";
import { endpointPath } from "./endpoint-event.ts";
import { createEventParser, type EventParser, type StreamEvent } from "./event-stream.ts";
import { emptyResponse, MadeStream } from "./made-response.ts";
import { createReadMessage } from "./message.ts";

/** A request to any path of the server's origin. */
export type SendTo = (request: HttpRequest) => Promise<HttpResponse>;

/** Bytes of incomplete events, of all channels of one server. */
export interface SharedBytes {
  used: number;
  readonly max: number;
}

export interface ChannelOptions {
  /** The server's URL as configured; its path as written. */
  readonly url: string;
  readonly path: string;
  /** Opens the stream. */
  readonly stream: SendTo;
  /** Posts a message. */
  readonly post: SendTo;
  /** Of one event. */
  readonly maxBytes: number;
  readonly shared: SharedBytes;
  /** Called once, when the channel takes no more requests. */
  readonly onClose: () => void;
}

/** Milliseconds for the head of the stream and its `endpoint` event. */
const ENDPOINT_MS = 5000;
/** A stream that brings nothing to anybody is read this much at a time, with a pause in between. */
const SLICE_BYTES = 64 * 1024;
const FLOOD_PAUSE_MS = 20;
/** Answers to the server's own requests under way; beyond it they are not answered. */
const MAX_REPLIES = 4;
/** Bytes that an event costs in a slice beside its own. */
const EVENT_COST = 64;
const METHOD_NOT_FOUND = -32_601;

type OwnRequest = Omit<HttpRequest, "path">;
const pacer = createPacer();
const readMessage = createReadMessage(pacer);

/** A request that waits for its answer. */
interface Waiting {
  readonly stream: MadeStream;
  readonly progressToken: RpcId | null;
  /** What the channel had received when the request was sent. */
  readonly heard: number;
}

/** What is to be known of a message that is posted. */
interface Posted {
  readonly method: unknown;
  readonly id: RpcId | null;
  readonly progressToken: RpcId | null;
}

/**
 * Opens the stream and waits for its endpoint. The headers are those of the first message: the credential goes with each request.
 * @throws {HttpFault} `no_sse` where the server has no such stream, `endpoint_refused` where it names a foreign endpoint
 */
export async function openChannel(options: ChannelOptions, first: OwnRequest): Promise<SseChannel> {
  const life = new AbortController();
  const opening = AbortSignal.any([first.signal, AbortSignal.timeout(ENDPOINT_MS)]);
  const giveUp = () => life.abort(faultIn(opening));
  opening.addEventListener("abort", giveUp, { once: true });
  if (opening.aborted) giveUp();
  try {
    const { "content-type": _, ...headers } = first.headers;
    const request = { method: "GET", path: options.path, headers: { ...headers, accept: "text/event-stream" } };
    const response = await options.stream({ ...request, body: null, signal: life.signal });
    if (response.statusCode !== 200 || mediaOf(response) !== "stream" || isEncoded(response)) {
      drainOrClose(response);
      throw refusedStream(response.statusCode);
    }
    const channel = new SseChannel(options, { headers: first.headers, life });
    void channel.read(response);
    await orAborted(channel.ready, opening);
    return channel;
  } catch (error) {
    life.abort(new HttpFault("aborted"));
    if (first.signal.aborted) throw faultIn(first.signal);
    throw opening.aborted ? new HttpFault("no_sse") : faultOf(error);
  } finally {
    opening.removeEventListener("abort", giveUp);
  }
}

/** These say nothing about the transport. */
function refusedStream(status: number): HttpFault {
  return new HttpFault([401, 403, 429].includes(status) || status >= 500 ? `status_${status}` : "no_sse");
}

export class SseChannel {
  /** Resolves with the endpoint's event. */
  readonly ready: Promise<void>;
  readonly #options: ChannelOptions;
  readonly #headers: HttpRequest["headers"];
  readonly #life: AbortController;
  readonly #parser: EventParser;
  readonly #waiting = new Map<RpcId, Waiting>();
  readonly #endpoint = Promise.withResolvers<void>();
  /** Null until the endpoint's event. */
  #path: string | null = null;
  /** Takes what belongs to no request. */
  #listener: MadeStream | null = null;
  #heard = 0;
  #counted = 0;
  #replies = 0;
  #isClosed = false;

  constructor(
    options: ChannelOptions,
    { headers, life }: { readonly headers: HttpRequest["headers"]; readonly life: AbortController },
  ) {
    this.#options = options;
    this.#parser = createEventParser(options.maxBytes);
    this.#headers = headers;
    this.#life = life;
    this.ready = this.#endpoint.promise;
    this.ready.catch(() => {});
  }

  get isIdle(): boolean {
    return this.#waiting.size === 0 && this.#listener === null;
  }

  /** Sends a request of the session. @param headers of the response to the first message @throws {HttpFault} */
  request(request: OwnRequest, headers: Readonly<Record<string, string>> = {}): Promise<HttpResponse> {
    if (this.#isClosed) return Promise.resolve(emptyResponse(404));
    if (request.method === "DELETE") {
      this.close();
      return Promise.resolve(emptyResponse(204));
    }
    if (request.method === "GET") return Promise.resolve(this.#listen(request.signal));
    const posted = readPosted(request.body);
    if (posted.id === null || typeof posted.method !== "string") return this.#post(request);
    return this.#ask(request, posted, headers);
  }

  /** Ends the stream; requests under way break off. */
  close(fault: HttpFault = new HttpFault("cut_off")): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.shared.used -= this.#counted;
    this.#counted = 0;
    this.#endpoint.reject(fault);
    this.#life.abort(new HttpFault("aborted"));
    for (const { stream } of this.#waiting.values()) stream.destroy(fault);
    this.#listener?.destroy(fault);
    this.#options.onClose();
  }

  /** Reads the stream to its end, and closes the channel. Never rejects. */
  async read(response: HttpResponse): Promise<void> {
    const slices = createSlices();
    let useless = 0;
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        this.#heard += chunk.length;
        const events = this.#parser.push(chunk);
        this.#count();
        useless = (await this.#takeAll(events, slices)) ? 0 : useless + chunk.length;
        if (useless - this.#parser.length < SLICE_BYTES) continue;
        await delay(FLOOD_PAUSE_MS);
        useless = this.#parser.length;
      }
      this.close();
    } catch (error) {
      this.close(faultOf(error));
    }
  }

  async #takeAll(events: readonly StreamEvent[], slices: Slices): Promise<boolean> {
    let isUseful = false;
    for (const event of events) {
      if (await this.#take(event)) isUseful = true;
      await slices.spend(event.data.length + EVENT_COST);
    }
    return isUseful;
  }

  /** Counts what is held of an incomplete event. @throws {HttpFault} */
  #count(): void {
    const { shared } = this.#options;
    shared.used += this.#parser.length - this.#counted;
    this.#counted = this.#parser.length;
    if (shared.used > shared.max) throw new HttpFault("too_large");
  }

  /** True if the event was for somebody. */
  async #take({ type, data }: StreamEvent): Promise<boolean> {
    if (this.#path === null) {
      if (type !== "endpoint") throw new HttpFault("no_sse");
      const path = endpointPath(data, this.#options.url);
      if (path === null) throw new HttpFault("endpoint_refused");
      this.#path = path;
      this.#endpoint.resolve();
      return true;
    }
    if (type !== "message") return false;
    const message = await readMessage(data);
    if (message === null) return false;
    const stream = this.#receiver(message);
    if (stream === null) return false;
    await (message.kind === "answer" ? stream.finish(data) : stream.message(data));
    return true;
  }

  /** The stream of the request that a message belongs to; null if it is for nobody. */
  #receiver(message: UpstreamMessage): MadeStream | null {
    const [oldest] = this.#waiting.values();
    if (message.kind === "answer") return this.#answeredBy(message.id);
    if (message.kind === "request") return this.#answered(message, oldest?.stream ?? this.#listener);
    if (message.kind === "other") return null;
    if (message.method === "notifications/progress") return this.#progressOf(message.progressToken);
    // A change of a list belongs to no call.
    const isOfCall = message.method === "notifications/message";
    return this.#listener ?? (isOfCall ? (oldest?.stream ?? null) : null);
  }

  #answeredBy(id: RpcId | null): MadeStream | null {
    if (id === null) return null;
    const stream = this.#waiting.get(id)?.stream ?? null;
    this.#waiting.delete(id);
    return stream;
  }

  #progressOf(token: RpcId | null): MadeStream | null {
    if (token === null) return null;
    return [...this.#waiting.values()].find(({ progressToken }) => progressToken === token)?.stream ?? null;
  }

  /** A `ping` is answered here, and so is a request of the server's that reaches nobody; others go to their receiver. */
  #answered({ method, id }: ServerRequest, receiver: MadeStream | null): MadeStream | null {
    if (method !== "ping" && receiver !== null) return receiver;
    const error = { code: METHOD_NOT_FOUND, message: "Method not found" };
    this.#reply(JSON.stringify({ jsonrpc: "2.0", id, ...(method === "ping" ? { result: {} } : { error }) }));
    return null;
  }

  #reply(json: string): void {
    if (this.#replies >= MAX_REPLIES) return;
    this.#replies += 1;
    const signal = AbortSignal.any([this.#life.signal, AbortSignal.timeout(ENDPOINT_MS)]);
    const done = () => void (this.#replies -= 1);
    this.#post({ method: "POST", headers: this.#headers, body: Buffer.from(json), signal })
      .then(drainOrClose)
      .then(done, done);
  }

  #listen(signal: AbortSignal): HttpResponse {
    if (this.#listener !== null) return emptyResponse(409);
    const stream = new MadeStream();
    stream.begin();
    this.#listener = stream;
    endWith(stream, signal, () => {
      this.#listener = null;
    });
    return stream;
  }

  /** Posts a request; the response is the part of the stream that belongs to it, up to its answer. */
  async #ask(
    request: OwnRequest,
    { id, method, progressToken }: Posted,
    headers: Readonly<Record<string, string>>,
  ): Promise<HttpResponse> {
    if (id === null || this.#waiting.has(id)) throw new HttpFault("invalid_request");
    const stream = new MadeStream(headers);
    const waiting = { stream, progressToken, heard: this.#heard };
    this.#waiting.set(id, waiting);
    endWith(stream, request.signal, () => this.#forget(id, { waiting, method }));
    // A server may answer the request on the stream before it answers the POST. A POST that is accepted says nothing yet.
    const refused = this.#post(request).then((response) => {
      if (response.statusCode < 200 || response.statusCode > 299) return response;
      drainOrClose(response);
      return stream.begun.then(() => null);
    });
    try {
      const response = await Promise.race([refused, stream.begun.then(() => null)]);
      if (response === null) return stream;
      stream.destroy();
      return response;
    } catch (error) {
      stream.destroy();
      throw error;
    }
  }

  /** A request ended. One that is not answered ends a channel that has been silent since: it may be dead. */
  #forget(id: RpcId, { waiting, method }: { readonly waiting: Waiting; readonly method: unknown }): void {
    if (this.#waiting.get(id) !== waiting) return;
    this.#waiting.delete(id);
    const isDead = this.isIdle && waiting.heard === this.#heard;
    if (isDead || method === "initialize") this.close();
  }

  #post(request: OwnRequest): Promise<HttpResponse> {
    const { "mcp-session-id": _, ...headers } = request.headers;
    return this.#options.post({ ...request, headers, path: this.#path ?? this.#options.path });
  }
}

/** Destroys a stream when its request is aborted, and tells of its end. */
function endWith(stream: MadeStream, signal: AbortSignal, onEnd: () => void): void {
  const onAbort = () => stream.destroy(faultIn(signal));
  signal.addEventListener("abort", onAbort, { once: true });
  stream.once("close", () => {
    signal.removeEventListener("abort", onAbort);
    onEnd();
  });
  if (signal.aborted) onAbort();
}

function readPosted(body: Uint8Array | null): Posted {
  const nothing = { method: undefined, id: null, progressToken: null };
  const root = body === null ? null : readObjectSpan(body);
  if (body === null || root === null) return nothing;
  const params = innerObjectSpan(body, root.members.get("params"));
  const meta = innerObjectSpan(body, params?.members.get("_meta"));
  return {
    method: shortValue(body, root.members.get("method")),
    id: idOf(body, root.members.get("id")),
    progressToken: idOf(body, meta?.members.get("progressToken")),
  };
}
