import type { IncomingMessage } from "node:http";
import { faultOf, HttpFault, type HttpClient } from "../http/client.ts";
import { isObject } from "../mcp/envelope.ts";
import type { JsonObject, JsonValue } from "../mcp/json.ts";
import { readJson } from "../mcp/strict-json.ts";
import { MODERN } from "../mcp/versions.ts";
import { META, negotiate, type Dialect, type UpstreamAnswer } from "./era.ts";
import { createEventParser } from "./event-stream.ts";
import { consume, isEncoded, letGo, mediaOf, readWhole } from "./upstream-body.ts";

export interface UpstreamOptions {
  /** Connections of this server alone. */
  readonly http: HttpClient;
  /** Path and query of its endpoint, as configured. */
  readonly path: string;
  /** As whom the server is listed: a header with its value, or null. Never anything of a caller. */
  readonly credential: { readonly header: string; readonly value: string } | null;
}

/** A conversation with one server in its own era, until it is closed. */
export interface Conversation {
  /** What the server says it offers. */
  readonly capabilities: JsonObject;
  /** The result; null if the server does not know the method. @throws {HttpFault} */
  ask(method: string, params: Readonly<Record<string, JsonValue>>): Promise<JsonObject | null>;
  /** Ends its session, if it has one; best effort. */
  close(): Promise<void>;
}

/** How long everything may take, and how many bytes may come, in all. */
export interface Budget {
  readonly signal: AbortSignal;
  bytes: number;
}

const METHOD_NOT_FOUND = -32601;
const MAX_ACKNOWLEDGEMENT = 64 * 1024;
const CLOSE_MS = 2000;
const OWN_ID = 1;
/** A definition deeper than may be shown is left out alone; it must be read for that. */
const LIMITS = { maxDepth: 256, maxMembers: 200_000, verbatim: true };

/** The server that is asked, and what asking it may cost. */
interface Asking {
  readonly upstream: UpstreamOptions;
  readonly budget: Budget;
}

/** Begins a conversation as the gateway itself. @throws {HttpFault} */
export async function converse(upstream: UpstreamOptions, budget: Budget): Promise<Conversation> {
  const asking: Asking = { upstream, budget };
  const met: { greeting: JsonObject | null; session: string | null } = { greeting: null, session: null };
  const end = (version: string) => endSession(upstream, version, met.session);
  const dialect = await negotiate(async (at, method, params) => {
    const answer = await post(asking, at, { method, params });
    const result = answer.message?.["result"];
    if (isObject(result)) met.greeting = result;
    met.session ??= at.era === "legacy" ? answer.session : null;
    return answer;
  }).catch(async (error: unknown) => {
    await end("");
    throw error;
  });
  // Of today's era by its errors alone: it refused what every client asks first.
  if (met.greeting === null) throw new HttpFault("discover_refused");
  const { capabilities } = met.greeting;
  return {
    capabilities: isObject(capabilities) ? capabilities : {},
    ask: async (method, params) => resultOf(await post(asking, dialect, { method, params })),
    close: () => (dialect.era === "legacy" ? end(dialect.version) : Promise.resolve()),
  };
}

function resultOf({ status, message }: UpstreamAnswer): JsonObject | null {
  const result = message?.["result"];
  if (status === 200 && isObject(result)) return result;
  const error = message?.["error"];
  if (isObject(error) && error["code"] === METHOD_NOT_FOUND) return null;
  if (status !== 200) throw new HttpFault(`status_${status}`);
  throw new HttpFault(message === null ? "malformed_answer" : "rpc_error");
}

/** MCP 2025-11-25, Session Management: a client that no longer needs a session should say so; the server may refuse. */
async function endSession({ http, path, credential }: UpstreamOptions, version: string, session: string | null) {
  if (session === null) return;
  const headers = {
    ...(credential !== null && { [credential.header]: credential.value }),
    ...(version !== "" && { "mcp-protocol-version": version }),
    "mcp-session-id": session,
  };
  const request = { method: "DELETE", path, headers, body: null, signal: AbortSignal.timeout(CLOSE_MS) };
  await http.fetch(request, MAX_ACKNOWLEDGEMENT).catch(() => undefined);
}

interface OwnMessage {
  readonly method: string;
  readonly params: object;
}

async function post(
  { upstream, budget }: Asking,
  dialect: Dialect,
  { method, params }: OwnMessage,
): Promise<UpstreamAnswer> {
  const isNotification = method.startsWith("notifications/");
  const isModern = dialect.era === "modern";
  const body = {
    jsonrpc: "2.0",
    ...(!isNotification && { id: OWN_ID }),
    method,
    params: isModern ? { ...params, _meta: META } : params,
  };
  const answer = await upstream.http.open({
    method: "POST",
    path: upstream.path,
    headers: headersOf(upstream, dialect, method),
    body: Buffer.from(JSON.stringify(body)),
    signal: budget.signal,
  });
  try {
    const message = isNotification ? null : await readMessage(answer, budget);
    const session = answer.headers["mcp-session-id"];
    return { status: answer.statusCode ?? 0, session: typeof session === "string" ? session : null, message };
  } catch (error) {
    throw budget.signal.aborted ? new HttpFault("timeout") : faultOf(error);
  } finally {
    letGo(answer);
  }
}

function headersOf({ credential }: UpstreamOptions, dialect: Dialect, method: string): Record<string, string> {
  const common = {
    ...(credential !== null && { [credential.header]: credential.value }),
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
  };
  if (dialect.era === "modern") return { ...common, "mcp-protocol-version": MODERN, "mcp-method": method };
  return {
    ...common,
    // An older server may refuse a revision that is yet to be negotiated.
    ...(method !== "initialize" && { "mcp-protocol-version": dialect.version }),
    ...(dialect.session !== null && { "mcp-session-id": dialect.session }),
  };
}

/** The answer to our one request, out of a JSON body or a stream of events; null for anything else. */
async function readMessage(answer: IncomingMessage, budget: Budget): Promise<JsonObject | null> {
  if (isEncoded(answer)) throw new HttpFault("encoded");
  const media = mediaOf(answer);
  if (media === "other") return null;
  if (media === "json") {
    const body = await readWhole(answer, budget.bytes);
    budget.bytes -= body.length;
    return answerOf(body);
  }
  const parser = createEventParser(budget.bytes);
  const found: JsonObject[] = [];
  // Whatever else the server says on the stream is not for us (threat row B50).
  const look = (events: readonly { readonly data: Buffer }[]) => {
    found.push(...events.map(({ data }) => answerOf(data)).filter((message) => message !== null));
    return found.length > 0;
  };
  const isFound = await consume(answer, (chunk) => {
    budget.bytes -= chunk.length;
    if (budget.bytes < 0) throw new HttpFault("too_large");
    return look(parser.push(chunk));
  });
  if (!isFound) look(parser.end());
  return found[0] ?? null;
}

function answerOf(bytes: Buffer): JsonObject | null {
  const json = readJson(bytes, LIMITS);
  if (!json.ok || !isObject(json.value)) return null;
  const isAnswer = "result" in json.value || "error" in json.value;
  // An error about a message that the server could not read has no id.
  const isOurs = json.value["id"] === OWN_ID || ("error" in json.value && (json.value["id"] ?? null) === null);
  return isAnswer && isOurs ? json.value : null;
}
