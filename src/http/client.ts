// HTTP/1.1 to one fixed origin, for requests that carry credentials. I/O, by undici (decision record 013).
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { buildConnector, Client, Pool, type Dispatcher } from "undici";
import { createByteCollector } from "./byte-collector.ts";
import { faultOf, HttpFault } from "./fault.ts";
import { createGuard, type ChosenBy, type Guard, type Outgoing } from "./outgoing.ts";
import { peerOf, withSpans } from "./request-span.ts";

export { faultOf, HttpFault } from "./fault.ts";

/** One origin that we speak to, with connections of its own. */
export interface HttpClientOptions {
  /** `https://host:port`; what follows the origin is not used. */
  readonly origin: string;
  /** PEM of the CAs that may sign its certificate; null for the system's. Verification cannot be switched off. */
  readonly ca: Buffer | null;
  /** Shown to a server that asks for a certificate. PEM. */
  readonly certificate?: { readonly cert: Buffer; readonly key: Buffer };
  /** The name in the server's certificate, where it is another than the origin's host. */
  readonly serverName?: string | null;
  /** Connections at a time; further requests wait. */
  readonly maxConnections?: number;
  /** `configured` unless told. */
  readonly chosenBy?: ChosenBy;
  readonly outgoing?: Outgoing | undefined;
  /** What it is, for the spans of its requests: a name of the configuration or a word of ours. */
  readonly name?: string;
}

export interface HttpRequest {
  readonly method: string;
  /** Path and query, sent byte for byte: nothing is cleaned, decoded or joined. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | null;
  /** Ends the request: while it waits for a connection, for the response, and while the body comes. */
  readonly signal: AbortSignal;
}

/** Names in lower case. A header that came more than once is one value, joined with commas (RFC 9110 §5.3). */
export type HttpHeaders = Readonly<Record<string, string | undefined>>;

/** The head of a response; the stream is its body, which fails if it ends before its time. */
export interface HttpResponse extends Readable {
  readonly statusCode: number;
  readonly headers: HttpHeaders;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: HttpHeaders;
  readonly body: Buffer;
}

export interface HttpClient {
  /** Resolves with the head of the response. The caller must read its body, destroy it or {@link drainOrClose} it. */
  open(request: HttpRequest): Promise<HttpResponse>;
  /** The whole response, if its body is not longer than `maxBytes`. */
  fetch(request: HttpRequest, maxBytes: number): Promise<HttpAnswer>;
  /** Ends every connection at once. */
  close(): void;
  /** Takes no more requests, and ends the connections when those under way have ended. */
  drain(): void;
}

const MAX_HEADER_BYTES = 32 * 1024;
/** Milliseconds that a connection may be idle, where the server names no time. */
const KEEP_ALIVE_MS = 30_000;
const MAX_LEFTOVER_BYTES = 64 * 1024;
const LINGER_MS = 1000;

/**
 * A pool knows its origin alone, follows no redirect, asks no proxy of the environment, sends no request twice and decodes
 * nothing. The signal is the only time limit but for 10 s until a connection is there.
 */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  const { origin, ca, maxConnections = 256, chosenBy = "configured", outgoing, name = null, ...tls } = options;
  const url = new URL(origin);
  const { origin: base, host, hostname } = url;
  const guard = createGuard(hostname, chosenBy, outgoing);
  const connect = connectorOf({ ca, ...tls }, guard);
  const closing = new AbortController();
  const pool = new Pool(base, {
    connections: maxConnections,
    factory: (to, options) => createConnection(to, options, { connector: connect, closing: closing.signal }),
    allowH2: false,
    useMilo: false, // else a variable of the environment chooses the parser
    maxHeaderSize: MAX_HEADER_BYTES,
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: 0,
    bodyTimeout: 0,
  });

  function send({ method, path, headers, body, signal }: HttpRequest): Promise<HttpResponse> {
    return new Promise((done, fail) => {
      // undici would take an absolute URL, too.
      if (!path.startsWith("/")) throw new HttpFault("invalid_request");
      if (guard.fault !== null) throw guard.fault;
      signal.throwIfAborted();
      // undici hears of an abort only once the request has a connection: one in the pool's queue would wait on.
      const onAbort = () => fail(signal.reason as Error);
      signal.addEventListener("abort", onAbort, { once: true });
      pool.request({ method, path, headers: { ...headers, host }, body, signal }, (error, response) => {
        signal.removeEventListener("abort", onAbort);
        if (error === null) done(responseOf(response));
        else fail(error);
      });
    });
  }

  const open = withSpans(peerOf(name, url), send);
  return {
    open: (request) => open(request).catch((error: unknown) => Promise.reject(faultOf(error))),
    async fetch(request, maxBytes) {
      try {
        const response = await open(request);
        return { status: response.statusCode, headers: response.headers, body: await readBounded(response, maxBytes) };
      } catch (error) {
        throw faultOf(error);
      }
    },
    close() {
      void pool.destroy();
      closing.abort();
    },
    drain: () => void pool.close().finally(() => closing.abort()),
  };
}

/** Opens connections to the addresses that the guard gives. */
function connectorOf(
  { ca, certificate, serverName }: Pick<HttpClientOptions, "ca" | "certificate" | "serverName">,
  { lookup }: Guard,
): buildConnector.connector {
  return buildConnector({
    ...{ rejectUnauthorized: true, minVersion: "TLSv1.2", ...(ca !== null && { ca }), ...certificate },
    ...(serverName != null && { servername: serverName }),
    ...{ allowH2: false, lookup },
  });
}

/** How the connections of one pool come about, and the end of the pool. */
interface Connecting {
  readonly connector: buildConnector.connector;
  readonly closing: AbortSignal;
}

/**
 * One connection of a pool. An abort ends the attempt to connect for its request, and so does the end of the pool: undici would
 * go on for all of its 10 s, keep the request with its body, and let others wait behind it.
 */
function createConnection(to: URL, options: Client.Options, { connector, closing }: Connecting): Client {
  let signals = [closing];
  const connect: buildConnector.connector = (target, callback) => {
    const current = signals;
    // Without an error undici would not hear of the end.
    const giveUp = () => socket.destroy(new HttpFault("aborted"));
    const settle: buildConnector.Callback = (...result) => {
      for (const signal of current) signal.removeEventListener("abort", giveUp);
      callback(...result);
    };
    const socket = connector(target, settle) as unknown as Socket;
    for (const signal of current) signal.addEventListener("abort", giveUp, { once: true });
    if (current.some(({ aborted }) => aborted)) giveUp();
  };
  const client = new Client(to, { ...options, connect });
  const dispatch = client.dispatch.bind(client);
  // The pool gives a connection one request at a time.
  client.dispatch = (request: Dispatcher.RequestOptions, handler) => {
    signals = [closing, request.signal as AbortSignal];
    return dispatch(request, handler);
  };
  return client;
}

function responseOf({ statusCode, headers, body }: Dispatcher.ResponseData): HttpResponse {
  body.on("error", () => {}); // a body that fails while nobody reads it must not end the process
  return Object.assign(body, { statusCode, headers: joined(headers) });
}

function joined(headers: Record<string, string | string[] | undefined>): HttpHeaders {
  for (const name in headers) {
    const value = headers[name];
    if (Array.isArray(value)) headers[name] = value.join(", ");
  }
  return headers as HttpHeaders;
}

/** True for an encoded body. The client asks for no encoding and decodes none: a small body can become a large one. */
export function isEncoded({ headers }: Pick<HttpResponse, "headers">): boolean {
  const encoding = headers["content-encoding"];
  return encoding !== undefined && encoding !== "identity";
}

/** The whole body, given up as soon as it is too long. @throws {HttpFault} `too_large`, `encoded`, or how it failed */
export function readBounded(response: HttpResponse, maxBytes: number): Promise<Buffer> {
  const bytes = createByteCollector(maxBytes, Number(response.headers["content-length"] ?? 0));
  return new Promise((done, fail) => {
    const giveUp = (error: unknown) => {
      fail(faultOf(error));
      response.destroy();
    };
    response.on("error", giveUp);
    response.on("end", () => done(bytes.take()));
    if (isEncoded(response)) giveUp(new HttpFault("encoded"));
    else if (response.destroyed) giveUp(response.errored ?? new HttpFault("cut_off"));
    else
      response.on("data", (chunk: Buffer) => {
        if (bytes.length + chunk.length > maxBytes) giveUp(new HttpFault("too_large"));
        else bytes.push(chunk);
      });
  });
}

/** Ends our interest in a response: what little is left is read, so that its connection serves again; else it is closed. */
export function drainOrClose(response: HttpResponse): void {
  if (response.closed || response.readableEnded) return;
  const timer = setTimeout(() => response.destroy(), LINGER_MS);
  timer.unref();
  let left = MAX_LEFTOVER_BYTES;
  response.on("close", () => clearTimeout(timer));
  response.on("data", (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) response.destroy();
  });
  response.resume();
}
