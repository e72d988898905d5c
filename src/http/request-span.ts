// The span of an outgoing request, where the work that sends it is sampled (OpenTelemetry's conventions for HTTP clients). Pure.
import { currentSpan, type Span } from "../telemetry/span.ts";
import { faultOf } from "./fault.ts";

/** The server that requests go to. */
export interface RequestPeer {
  /** A name of the configuration or a word of ours: it stands behind the method in the span's name. */
  readonly name: string | null;
  readonly host: string;
  readonly port: number;
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { "https:": 443, "http:": 80 };

export function peerOf(name: string | null, { hostname, port, protocol }: URL): RequestPeer {
  return { name, host: hostname, port: port === "" ? (DEFAULT_PORTS[protocol] ?? 0) : Number(port) };
}

interface Request {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
}

interface Response {
  readonly statusCode: number;
  readonly errored: Error | null;
  once(event: "close", listener: () => void): unknown;
}

/** Sends each request of sampled work in a span of its own, which the other side can go on with; others as they are. */
export function withSpans<Q extends Request, R extends Response>(
  peer: RequestPeer,
  send: (request: Q) => Promise<R>,
): (request: Q) => Promise<R> {
  return (request) => {
    const parent = currentSpan();
    if (parent === undefined) return send(request);
    const span = begin(parent, request.method, peer);
    const sent = send({ ...request, headers: { ...request.headers, traceparent: span.traceparent } });
    sent.then(
      (response) => endWith(span, response),
      (error: unknown) => endFailed(span, error),
    );
    return sent;
  };
}

/** Neither the path nor a header is noted: they hold names of users, tokens and arguments. */
function begin(parent: Span, method: string, { name, host, port }: RequestPeer): Span {
  const span = parent.child(name === null ? method : `${method} ${name}`, "client");
  span.set("http.request.method", method);
  span.set("server.address", host);
  span.set("server.port", port);
  return span;
}

function endFailed(span: Span, error: unknown): void {
  span.end(faultOf(error).code);
}

/** Ends it with the body of its response. */
function endWith(span: Span, response: Response): void {
  const { statusCode } = response;
  span.set("http.response.status_code", statusCode);
  response.once("close", () => {
    if (response.errored !== null) endFailed(span, response.errored);
    else span.end(statusCode >= 400 ? String(statusCode) : null);
  });
}
