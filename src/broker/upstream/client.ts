import type { IncomingMessage } from "node:http";
import { faultOf, HttpFault, type HttpClient } from "../../http/client.ts";
import { isObject } from "../../mcp/envelope.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import { readJson } from "../../json/strict-reader.ts";
import { MODERN } from "../../mcp/versions.ts";
import { META, negotiate, type Dialect, type UpstreamAnswer } from "./era.ts";
import { createEventParser, type StreamEvent } from "./event-stream.ts";
import { readListAnswer, type ListAnswer, type ListResult } from "../catalog/list-response.ts";
import type { Slices } from "../../async/slices.ts";
import { consume, isEncoded, letGo, mediaOf, readWhole } from "./body.ts";

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
  /** The result of a list request; null if the server does not know the method. @throws {HttpFault} */
  list(method: string, params: Readonly<Record<string, JsonValue>>): Promise<ListResult | null>;
  /** Ends its session, if it has one; best effort. */
  close(): Promise<void>;
}

/** How long everything may take, and how many bytes may come, in all. */
export interface Budget {
  readonly signal: AbortSignal;
  bytes: number;
  readonly slices: Slices;
}

const METHOD_NOT_FOUND = -32601;
const MAX_ACKNOWLEDGEMENT = 64 * 1024;
const CLOSE_MS = 2000;
const OWN_ID = 1;
/** Of an answer to the handshake. */
const MAX_HANDSHAKE_BYTES = 256 * 1024;
const LIMITS = { maxDepth: 64, maxMembers: 10_000, verbatim: true };

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
    const answer = await post(asking, at, { method, params, read: readOwn, maxBytes: MAX_HANDSHAKE_BYTES });
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
    list: async (method, params) => {
      const read = (bytes: Buffer) => readListAnswer(bytes, OWN_ID, budget.slices);
      return resultOf(await post(asking, dialect, { method, params, read, maxBytes: Infinity }));
    },
    close: () => (dialect.era === "legacy" ? end(dialect.version) : Promise.resolve()),
  };
}

function resultOf({ status, message }: Posted<ListAnswer>): ListResult | null {
  if (status === 200 && message?.kind === "result") return message.result;
  if (message?.kind === "error" && message.code === METHOD_NOT_FOUND) return null;
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

/** A message of ours, and how its answer is read. */
interface OwnMessage<T> {
  readonly method: string;
  readonly params: object;
  /** Null for what is no answer to us. */
  readonly read: (bytes: Buffer) => Promise<T | null>;
  readonly maxBytes: number;
}

interface Posted<T> extends Omit<UpstreamAnswer, "message"> {
  readonly message: T | null;
}

async function post<T>(
  { upstream, budget }: Asking,
  dialect: Dialect,
  { method, params, read, maxBytes }: OwnMessage<T>,
): Promise<Posted<T>> {
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
    const message = isNotification ? null : await readMessage(answer, budget, { read, maxBytes });
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
async function readMessage<T>(
  answer: IncomingMessage,
  budget: Budget,
  { read, maxBytes }: Pick<OwnMessage<T>, "read" | "maxBytes">,
): Promise<T | null> {
  if (isEncoded(answer)) throw new HttpFault("encoded");
  const media = mediaOf(answer);
  if (media === "other") return null;
  const most = Math.min(budget.bytes, maxBytes);
  if (media === "stream") return readEvents(answer, budget, { read, maxBytes: most });
  const body = await readWhole(answer, most);
  budget.bytes -= body.length;
  return read(body);
}

/** The first event that is our answer. Whatever else the server says on the stream is not for us (threat row B50). */
async function readEvents<T>(
  answer: IncomingMessage,
  budget: Budget,
  { read, maxBytes }: Pick<OwnMessage<T>, "read" | "maxBytes">,
): Promise<T | null> {
  const parser = createEventParser(maxBytes);
  for (;;) {
    const events: StreamEvent[] = [];
    const isOpen = await consume(answer, (chunk) => {
      budget.bytes -= chunk.length;
      if (budget.bytes < 0) throw new HttpFault("too_large");
      for (const event of parser.push(chunk)) events.push(event);
      if (events.length > 0) answer.pause(); // what comes meanwhile waits
      return events.length > 0;
    });
    if (!isOpen) events.push(...parser.end());
    for (const { data } of events) {
      const found = await read(data);
      if (found !== null) return found;
      await budget.slices.spend(data.length + EVENT_COST);
    }
    if (!isOpen) return null;
    answer.resume();
  }
}

/** What an event costs beside its bytes. */
const EVENT_COST = 64;

function readOwn(bytes: Buffer): Promise<JsonObject | null> {
  return Promise.resolve(answerOf(bytes));
}

function answerOf(bytes: Buffer): JsonObject | null {
  const json = readJson(bytes, LIMITS);
  if (!json.ok || !isObject(json.value)) return null;
  const isAnswer = "result" in json.value || "error" in json.value;
  // An error about a message that the server could not read has no id.
  const isOurs = json.value["id"] === OWN_ID || ("error" in json.value && (json.value["id"] ?? null) === null);
  return isAnswer && isOurs ? json.value : null;
}
