// The listener of AuthZEN: bounds, who may ask, then the evaluations. Everything that it refuses has its audit line. I/O: HTTP.
// https://openid.net/specs/authorization-api-1_0.html
import type { IncomingMessage, ServerResponse } from "node:http";
import { challenge } from "../authz/challenge.ts";
import { decisionOf } from "../authz/audit-record.ts";
import { loggableId, type CheckFacts } from "../authz/facts.ts";
import type { Answer } from "../authz/decision-call.ts";
import { REFUSALS } from "../authz/refusal.ts";
import { pass, refuse, type Refused, type Step } from "../authz/step.ts";
import { createByteCollector } from "../http/byte-collector.ts";
import type { ListenAddress } from "../http/listen.ts";
import { createTlsOrPlainServer, type HttpServer, type TlsMaterial } from "../http/server.ts";
import { traceId } from "../telemetry/traceparent.ts";
import { evaluateAll, noteAsking, type Asking, type EvaluatePorts } from "./evaluate.ts";
import { malformed, readEvaluations } from "./read-request.ts";
import { trusted, type TrustSettings } from "./trust.ts";

export interface AuthzenOptions extends EvaluatePorts {
  readonly address: ListenAddress;
  readonly tls: TlsMaterial | null;
  readonly trust: Omit<TrustSettings, "byCertificate" | "resource">;
  /** Where others reach this listener; every URL that it hands out begins with it. */
  readonly origin: string;
  readonly maxBodyBytes: number;
}

export interface AuthzenServer {
  listen(): Promise<number>;
  setTls(material: TlsMaterial): void;
  /** Serves on, and each response ends its connection. */
  leave(): void;
  close(graceMs: number): Promise<void>;
}

const LIMITS = {
  maxHeaderSize: 32 * 1024,
  requestTimeout: 10_000,
  headersTimeout: 5000,
  maxConnections: 256,
  silenceMs: 30_000,
};
const METADATA = "/.well-known/authzen-configuration";
const EVALUATION = "/access/v1/evaluation";
const EVALUATIONS = "/access/v1/evaluations";

export function createAuthzen(options: AuthzenOptions): AuthzenServer {
  const server: HttpServer = createTlsOrPlainServer(LIMITS, options.tls, (request, response) => {
    const isExpected = server.isExpected(request.socket);
    void respond(options, { request, response, isExpected }).catch(() => response.destroy());
  });
  return {
    listen: () => server.listen("listen.authzen", options.address),
    setTls: server.setTls,
    leave: server.leave,
    close: (graceMs) => server.close(graceMs),
  };
}

interface Incoming {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly isExpected: boolean;
}

async function respond(options: AuthzenOptions, incoming: Incoming): Promise<void> {
  const { request, response } = incoming;
  const { url = "", method } = request;
  if (url === METADATA && (method === "GET" || method === "HEAD")) return send(response, 200, metadataOf(options));
  const asking = askingOf(incoming);
  const answered = await answerTo(options, incoming, asking);
  if (!answered.ok) return refuseAll(options, [answered, asking], response);
  send(response, 200, answered.value);
}

async function answerTo(options: AuthzenOptions, incoming: Incoming, asking: Asking): Promise<Step<object>> {
  const { request } = incoming;
  const isMany = request.url === EVALUATIONS;
  if (!isMany && request.url !== EVALUATION) return refuse("route_unknown", "path");
  if (request.method !== "POST") return refuse("method_not_allowed", "method");
  const asker = await askerOf(options, incoming, asking.peer);
  if (!asker.ok) return asker;
  const body = isJson(request) ? await readBody(request, options.maxBodyBytes) : refuse("media_type");
  if (!body.ok) return body;
  const asked = readEvaluations(body.value, isMany);
  if (!asked.ok) return asked;
  const responses = await evaluateAll(options, { ...asking, askedBy: asker.value }, asked.value);
  return pass(asked.value.isSingle ? (responses[0] ?? {}) : { evaluations: responses });
}

function askerOf({ trust, origin, tls, checkTimeoutMs }: AuthzenOptions, incoming: Incoming, peer: string) {
  const settings = { ...trust, resource: origin, byCertificate: (tls?.clientCa ?? null) !== null };
  return trusted(settings, { ...incoming, peer }, AbortSignal.timeout(checkTimeoutMs));
}

function isJson({ headers }: IncomingMessage): boolean {
  const media = headers["content-type"] ?? "";
  return /^application\/json\s*(?:;\s*charset=utf-8\s*)?$/i.test(media) && headers["content-encoding"] === undefined;
}

function metadataOf({ origin }: AuthzenOptions): object {
  return {
    policy_decision_point: origin,
    access_evaluation_endpoint: origin + EVALUATION,
    access_evaluations_endpoint: origin + EVALUATIONS,
  };
}

function askingOf({ request, response }: Incoming): Asking {
  const id = request.headers["x-request-id"];
  const requestId = typeof id === "string" ? loggableId(id) : null;
  const { traceparent } = request.headers;
  if (requestId !== null) response.setHeader("x-request-id", requestId);
  return {
    askedBy: "",
    peer: request.socket.remoteAddress ?? "",
    requestId,
    traceId: traceId(typeof traceparent === "string" ? traceparent : undefined),
    onGone: goneFrom(response),
  };
}

/** Tells listeners when the client goes before its answer is whole: one listener for hundreds of evaluations. */
function goneFrom(response: ServerResponse): Asking["onGone"] {
  const listeners: (() => void)[] = [];
  response.once("close", () => {
    if (!response.writableFinished) for (const listener of listeners) listener();
  });
  return (listener) => void (response.destroyed ? listener() : listeners.push(listener));
}

/** A client that leaves before its end is told, and logged, the same as one whose body is too long. */
async function readBody(request: IncomingMessage, maxBytes: number): Promise<Step<Buffer>> {
  const tooLarge = { ...malformed("body_too_large", `at most ${maxBytes} bytes`), limitBytes: maxBytes };
  if (Number(request.headers["content-length"] ?? 0) > maxBytes) return tooLarge;
  const collector = createByteCollector(maxBytes);
  try {
    for await (const part of request) collector.push(part as Buffer);
  } catch {
    return tooLarge;
  }
  return pass(collector.take());
}

interface RefusedAnswer extends Answer {
  readonly requestId: string;
  readonly refused: Refused;
}

/** A request that is refused as a whole has one audit line and one count, as every decision. */
async function refuseAll(
  options: AuthzenOptions,
  [refused, asking]: readonly [Refused, Asking],
  response: ServerResponse,
): Promise<void> {
  const decide = async (facts: CheckFacts) => {
    noteAsking(facts, asking);
    facts.identity = null;
    facts.askedBy = refused.caller === undefined ? null : `${refused.caller.issuer} ${refused.caller.subject}`;
    return refused;
  };
  const answer = (outcome: Refused, { requestId }: CheckFacts): RefusedAnswer => ({
    ...{ decision: decisionOf(outcome.reason), reason: outcome.reason, detail: outcome.detail ?? null },
    ...{ requestId, refused: outcome },
  });
  const call = { deadlineMs: options.checkTimeoutMs, onGone: () => {} };
  const { requestId, refused: final } = await options.decisions<Refused, RefusedAnswer>({ decide, answer }, call);
  const { http, message } = REFUSALS[final.reason];
  if (http === 401 || final.reason === "scope_insufficient")
    response.setHeader("www-authenticate", challengeOf(options, final));
  if (http === 405) response.setHeader("allow", "POST");
  if (http === 413) response.setHeader("connection", "close");
  const { about } = final;
  send(response, http, { error: final.reason, message, requestId, ...(about !== undefined && { about }) });
}

/** There is no metadata of a protected resource here: the scope is all that a client needs. */
function challengeOf({ origin, trust: { scope } }: AuthzenOptions, refused: Refused): string {
  return challenge({ publicOrigin: origin, scopes: [scope] }, null, refused);
}

function send(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(response.req.method === "HEAD" ? undefined : text);
}
