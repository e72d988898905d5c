import type { IncomingMessage } from "node:http";
import { faultOf, HttpFault, readBounded, type HttpClient } from "../http/client.ts";
import { isObject } from "../mcp/envelope.ts";
import type { JsonObject, JsonValue } from "../mcp/json.ts";
import { readJson } from "../mcp/strict-json.ts";
import { MODERN, SUPPORTED_VERSIONS } from "../mcp/versions.ts";
import { createEventReader } from "./listing-stream.ts";

export interface UpstreamOptions {
  /** Connections of this server alone. */
  readonly http: HttpClient;
  /** Path and query of its endpoint, as configured. */
  readonly path: string;
  /** As whom the server is listed: a header with its value, or null. Never anything of a caller. */
  readonly credential: { readonly header: string; readonly value: string } | null;
}

/** A conversation with one server in its own era, until it is closed. */
export interface Upstream {
  /** What it says it offers. */
  readonly capabilities: JsonObject;
  /** The result; null if the server does not know the method. @throws {UpstreamFault | HttpFault} */
  ask(method: string, params: Readonly<Record<string, JsonValue>>): Promise<JsonObject | null>;
  /** Ends its session, if it has one; best effort. */
  close(): Promise<void>;
}

/** How long everything may take, and how many bytes may come, in all. */
export interface Budget {
  readonly signal: AbortSignal;
  bytes: number;
}

/** Why a server could not be listed, in our own words: nothing that the server wrote. */
export class UpstreamFault extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.name = "UpstreamFault";
    this.code = code;
  }
}

const CLIENT_INFO = { name: "mcp-authz", version: "1" };
const META = {
  "io.modelcontextprotocol/protocolVersion": MODERN,
  "io.modelcontextprotocol/clientCapabilities": {},
  "io.modelcontextprotocol/clientInfo": CLIENT_INFO,
};
const HANDSHAKE_VERSIONS = SUPPORTED_VERSIONS.filter((version) => version !== MODERN);
const METHOD_NOT_FOUND = -32601;
/** Errors that only a server of the stateless revision gives (MCP 2026-07-28, Versioning). */
const HEADER_MISMATCH = -32020;
const CAPABILITY_MISSING = -32021;
const VERSION_UNSUPPORTED = -32022;
const MAX_ACKNOWLEDGEMENT = 64 * 1024;
const CLOSE_MS = 2000;
/** A definition deeper than may be shown is left out alone; it must be read for that. */
const LIMITS = { maxDepth: 256, maxMembers: 200_000, verbatim: true };

/** How a server is spoken to. */
interface Dialect {
  readonly version: string;
  readonly session: string | null;
}

/**
 * Begins a conversation. A server that does not know the stateless revision answers 400, 404, 405, or a JSON-RPC error;
 * 401, 403 and 5xx say nothing about its era.
 */
export async function connect(options: UpstreamOptions, budget: Budget): Promise<Upstream> {
  const probe = await post(options, { version: MODERN, session: null }, "server/discover", {}, budget);
  const { result } = probe.message ?? {};
  if (probe.status === 200 && isObject(result))
    return upstream(options, budget, { version: MODERN, session: null }, result);
  if (![200, 400, 404, 405].includes(probe.status)) throw new UpstreamFault(`status_${probe.status}`);
  const code = errorCode(probe.message);
  if (code === HEADER_MISMATCH || code === CAPABILITY_MISSING) throw new UpstreamFault("discover_refused");
  if (code === VERSION_UNSUPPORTED && !offersHandshake(probe.message)) throw new UpstreamFault("no_common_version");
  return handshake(options, budget);
}

async function handshake(options: UpstreamOptions, budget: Budget): Promise<Upstream> {
  const [newest = ""] = HANDSHAKE_VERSIONS;
  const params = { protocolVersion: newest, capabilities: {}, clientInfo: CLIENT_INFO };
  const { status, session, message } = await post(
    options,
    { version: newest, session: null },
    "initialize",
    params,
    budget,
  );
  const result = message?.["result"];
  if (status !== 200 || !isObject(result)) throw new UpstreamFault(`initialize_status_${status}`);
  const version = HANDSHAKE_VERSIONS.find((known) => known === result["protocolVersion"]);
  const dialect = { version: version ?? newest, session };
  if (version === undefined) {
    await endSession(options, dialect);
    throw new UpstreamFault("no_common_version");
  }
  // Should this fail, the first list fails too, and says why.
  await post(options, dialect, "notifications/initialized", {}, budget).catch(() => undefined);
  return upstream(options, budget, dialect, result);
}

function upstream(options: UpstreamOptions, budget: Budget, dialect: Dialect, greeting: JsonObject): Upstream {
  const { capabilities } = greeting;
  return {
    capabilities: isObject(capabilities) ? capabilities : {},
    async ask(method, params) {
      const { status, message } = await post(options, dialect, method, params, budget);
      const result = message?.["result"];
      if (status === 200 && isObject(result)) return result;
      if (errorCode(message) === METHOD_NOT_FOUND) return null;
      if (status !== 200) throw new UpstreamFault(`status_${status}`);
      throw new UpstreamFault(message === null ? "malformed_answer" : "rpc_error");
    },
    close: () => endSession(options, dialect),
  };
}

/** MCP 2025-11-25, Session Management: a client that no longer needs a session should say so; the server may refuse. */
async function endSession(options: UpstreamOptions, dialect: Dialect): Promise<void> {
  if (dialect.session === null) return;
  const headers = headersOf(options, dialect, "");
  const request = { method: "DELETE", path: options.path, headers, body: null, signal: AbortSignal.timeout(CLOSE_MS) };
  await options.http.fetch(request, MAX_ACKNOWLEDGEMENT).catch(() => undefined);
}

interface Reply {
  readonly status: number;
  readonly session: string | null;
  readonly message: JsonObject | null;
}

async function post(
  options: UpstreamOptions,
  dialect: Dialect,
  method: string,
  params: Readonly<Record<string, JsonValue>>,
  budget: Budget,
): Promise<Reply> {
  const isNotification = method.startsWith("notifications/");
  const isModern = dialect.version === MODERN;
  const body = {
    jsonrpc: "2.0",
    ...(!isNotification && { id: 1 }),
    method,
    params: isModern ? { ...params, _meta: META } : params,
  };
  const headers = { ...headersOf(options, dialect, method), "content-type": "application/json" };
  const request = { method: "POST", path: options.path, headers, body: Buffer.from(JSON.stringify(body)) };
  const answer = await options.http.open({ ...request, signal: budget.signal });
  try {
    const message = isNotification ? await acknowledged(answer) : await readMessage(answer, budget);
    return { status: answer.statusCode ?? 0, session: sessionOf(answer), message };
  } catch (error) {
    answer.destroy();
    throw budget.signal.aborted ? new HttpFault("timeout") : faultOf(error);
  }
}

function headersOf({ credential }: UpstreamOptions, dialect: Dialect, method: string): Record<string, string> {
  return {
    ...(credential !== null && { [credential.header]: credential.value }),
    accept: "application/json, text/event-stream",
    // An older server may refuse a revision that is yet to be negotiated.
    ...(method !== "initialize" && { "mcp-protocol-version": dialect.version }),
    ...(dialect.version === MODERN && { "mcp-method": method }),
    ...(dialect.session !== null && { "mcp-session-id": dialect.session }),
  };
}

function sessionOf(answer: IncomingMessage): string | null {
  const session = answer.headers["mcp-session-id"];
  // Visible ASCII (MCP 2025-11-25, Session Management); what is anything else cannot be sent back.
  return typeof session === "string" && /^[\x21-\x7e]{1,1024}$/.test(session) ? session : null;
}

async function acknowledged(answer: IncomingMessage): Promise<null> {
  await readBounded(answer, MAX_ACKNOWLEDGEMENT);
  return null;
}

/** The answer to our one request, out of a JSON body or a stream of events. */
async function readMessage(answer: IncomingMessage, budget: Budget): Promise<JsonObject | null> {
  const type = answer.headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
  if (type !== "text/event-stream") {
    const body = await readBounded(answer, budget.bytes);
    budget.bytes -= body.length;
    return answerOf(body);
  }
  if (answer.headers["content-encoding"] !== undefined) throw new HttpFault("encoded");
  const events = createEventReader();
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    budget.bytes -= chunk.length;
    if (budget.bytes < 0) throw new HttpFault("too_large");
    // Whatever else the server says on the stream is not for us (threat row B50).
    const found = events
      .push(chunk)
      .map((data) => answerOf(Buffer.from(data)))
      .find((message) => message !== null);
    if (found !== undefined) {
      answer.destroy();
      return found;
    }
  }
  return null;
}

function answerOf(bytes: Buffer): JsonObject | null {
  const json = readJson(bytes, LIMITS);
  if (!json.ok || !isObject(json.value)) return null;
  const isAnswer = "result" in json.value || "error" in json.value;
  // An error about a message that the server could not read has no id.
  const isOurs = json.value["id"] === 1 || ("error" in json.value && (json.value["id"] ?? null) === null);
  return isAnswer && isOurs ? json.value : null;
}

function errorCode(message: JsonObject | null): JsonValue | undefined {
  const error = message?.["error"];
  return isObject(error) ? error["code"] : undefined;
}

function offersHandshake(message: JsonObject | null): boolean {
  const error = message?.["error"];
  const data = isObject(error) ? error["data"] : undefined;
  const supported = isObject(data) ? data["supported"] : undefined;
  return Array.isArray(supported) && supported.some((version) => HANDSHAKE_VERSIONS.includes(version as string));
}
