import {
  Agent as PlainAgent,
  request as plainRequest,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
} from "node:http";
import { Agent as TlsAgent, request as tlsRequest } from "node:https";
import { createByteCollector } from "./byte-collector.ts";
import { HttpFault } from "./fault.ts";

export { HttpFault } from "./fault.ts";

/** One origin that we speak to, with connections of its own. */
export interface HttpClientOptions {
  /** `https://host:port`; what follows the origin is not used. */
  readonly origin: string;
  /** PEM of the CAs that may sign its certificate; null for the system's. Verification cannot be switched off. */
  readonly ca: Buffer | null;
  /** Connections at a time; further requests wait. */
  readonly maxConnections?: number;
}

export interface HttpRequest {
  readonly method: string;
  /** Path and query, sent byte for byte: nothing is cleaned, decoded or joined. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | null;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface HttpClient {
  /** Resolves with the head of the answer; its body has not been read. The caller must read or destroy it. */
  open(request: HttpRequest): Promise<IncomingMessage>;
  /** The whole answer, if it is not longer than `maxBytes`. */
  fetch(request: HttpRequest, maxBytes: number): Promise<HttpAnswer>;
  close(): void;
}

const MAX_HEADER_BYTES = 32 * 1024;
const KEEP_ALIVE_MS = 30_000;

/**
 * HTTP/1.1 to one fixed origin, for requests that carry credentials: redirects are answers like any other, proxies of
 * the environment are not used, and TLS is verified. Node's own client rather than `fetch`, which needs another package
 * for a CA of one's own, and rewrites paths.
 */
export function createHttpClient({ origin, ca, maxConnections = 256 }: HttpClientOptions): HttpClient {
  const url = new URL(origin);
  const isTls = url.protocol === "https:";
  const settings = {
    keepAlive: true,
    keepAliveMsecs: KEEP_ALIVE_MS,
    maxSockets: maxConnections,
    scheduling: "lifo",
  } as const;
  const agent = isTls
    ? new TlsAgent({ ...settings, rejectUnauthorized: true, minVersion: "TLSv1.2", ...(ca !== null && { ca }) })
    : new PlainAgent(settings);
  const target = {
    protocol: url.protocol,
    hostname: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (isTls ? 443 : 80) : Number(url.port),
    agent,
    maxHeaderSize: MAX_HEADER_BYTES,
  };
  const send = isTls ? tlsRequest : plainRequest;

  async function open({ method, path, headers, body, signal }: HttpRequest): Promise<IncomingMessage> {
    const length = body === null ? {} : { "content-length": String(body.length) };
    const request = send({ ...target, method, path, signal, headers: { ...headers, host: url.host, ...length } });
    request.end(body ?? undefined);
    return answerTo(request);
  }

  return {
    open: (request) => open(request).catch((error: unknown) => Promise.reject(faultOf(error))),
    async fetch(request, maxBytes) {
      let answer: IncomingMessage | null = null;
      try {
        answer = await open(request);
        const body = await readBounded(answer, maxBytes);
        return { status: answer.statusCode ?? 0, headers: answer.headers, body };
      } catch (error) {
        answer?.destroy();
        // An abort while the body comes looks like a reset connection: the signal knows better.
        throw faultOf(request.signal.aborted ? request.signal.reason : error);
      }
    },
    close: () => agent.destroy(),
  };
}

function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((done, fail) => {
    let isAnswered = false;
    request.on("response", (answer) => {
      isAnswered = true;
      done(answer);
    });
    request.on("error", (error) => fail(faultOf(error)));
    request.on("close", () => {
      // Node closes a connection that was upgraded unasked (101) with neither a response nor an error. An error costs a
      // stack: none for a request that was answered.
      if (!isAnswered) fail(new HttpFault("no_answer"));
    });
  });
}

/** @throws {HttpFault} `too_large`, `encoded`, or what the connection failed with */
export async function readBounded(answer: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const encoding = answer.headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") throw new HttpFault("encoded"); // we never ask for any
  const bytes = createByteCollector(maxBytes);
  for await (const chunk of answer as AsyncIterable<Buffer>) bytes.push(chunk);
  // A body that ends before its content-length does: Node says so on `complete` only.
  if (!answer.complete) throw new HttpFault("cut_off");
  return bytes.take();
}

/** The text of Node's errors can hold addresses and whole certificates; the code says enough. */
export function faultOf(error: unknown): HttpFault {
  if (error instanceof HttpFault) return error;
  if (!(error instanceof Error)) return new HttpFault("failed");
  if (error.name === "TimeoutError") return new HttpFault("timeout");
  // Node's requests are aborted by an AbortError whose cause is the signal's reason.
  if (error.name === "AbortError")
    return new HttpFault(error.cause instanceof Error && error.cause.name === "TimeoutError" ? "timeout" : "aborted");
  return new HttpFault("code" in error && typeof error.code === "string" ? error.code : "failed");
}
