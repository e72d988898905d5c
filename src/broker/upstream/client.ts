// Sends messages of the broker's own to a server: the probe of its era, the handshake, lists, a cancellation, the end of a
// session. Lists and calls go through here, so what can be listed can be called. I/O.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports
import { createSlices, type Slices } from "../../async/slices.ts";
import { drainOrClose, faultOf, HttpFault, isEncoded, type HttpResponse } from "../../http/client.ts";
import { isObject } from "../../json/object.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import { readJson } from "../../json/strict-reader.ts";
import { MODERN } from "../../mcp/versions.ts";
import { faultIn } from "../abort.ts";
import { consume, mediaOf, readWhole } from "./body.ts";
import { META, type Dialect, type LegacyDialect, type SendOwn, type UpstreamResponse } from "./era.ts";
import { createEventParser, type StreamEvent } from "./event-stream.ts";
import { credentialHeader, type UpstreamConnections, type UpstreamCredential } from "./upstream.ts";

/** A message of the broker's own. */
export interface OwnMessage {
  readonly dialect: Dialect;
  readonly method: string;
  readonly params: object;
}

/** Limits of a conversation: its time, and the bytes that may still come, all responses together. */
export interface Budget {
  readonly signal: AbortSignal;
  bytes: number;
  readonly slices: Slices;
}

/** The reader of the response to one message, with its limits. */
export interface ResponseReader<T> {
  readonly budget: Budget;
  /** Of one JSON body, or of one event. */
  readonly maxBytes: number;
  /** Null for JSON that is no response to our message. */
  readonly read: (bytes: Buffer) => Promise<T | null>;
  /** Receives each event that `read` did not take. */
  readonly other?: (event: Buffer) => void;
}

/** The id of each message of ours: no HTTP exchange has two of them. */
export const OWN_ID = 1;
const MAX_BYTES = 8 * 1024 * 1024;
/** Of a response to the probe or the handshake: each call may have one, and no caller's account holds them. */
const MAX_HANDSHAKE_BYTES = 128 * 1024;
const HANDSHAKE_LIMITS = { maxDepth: 64, maxMembers: 10_000, verbatim: true };
/** Bytes that an event costs in a slice beside its own. */
const EVENT_COST = 64;
const END_SESSION_MS = 1000;

export function createBudget(signal: AbortSignal, slices: Slices = createSlices()): Budget {
  return { signal, bytes: MAX_BYTES, slices };
}

/** Sends one message and reads its response, unless it is a notification. @throws {HttpFault} */
export async function send<T>(
  upstream: UpstreamConnections,
  credential: UpstreamCredential | null,
  {
    message: { dialect, method, params },
    reader,
  }: { readonly message: OwnMessage; readonly reader: ResponseReader<T> },
): Promise<UpstreamResponse<T>> {
  const isNotification = method.startsWith("notifications/");
  const body = {
    jsonrpc: "2.0",
    ...(!isNotification && { id: OWN_ID }),
    method,
    params: dialect.era === "modern" ? { ...params, _meta: META } : params,
  };
  const { signal } = reader.budget;
  try {
    const response = await upstream.request({
      method: "POST",
      headers: { ...headersFor(dialect, method), ...credentialHeader(credential) },
      body: Buffer.from(JSON.stringify(body)),
      signal,
    });
    try {
      const message = isNotification ? null : await readMessage(response, reader);
      const session = response.headers["mcp-session-id"];
      return { status: response.statusCode ?? 0, session: typeof session === "string" ? session : null, message };
    } finally {
      drainOrClose(response);
    }
  } catch (error) {
    throw signal.aborted ? faultIn(signal) : faultOf(error);
  }
}

/** {@link send} for the probe and the handshake. */
export function sendOwn(upstream: UpstreamConnections, credential: UpstreamCredential | null, budget: Budget): SendOwn {
  const reader: ResponseReader<JsonObject> = {
    budget,
    maxBytes: MAX_HANDSHAKE_BYTES,
    read: (bytes) => Promise.resolve(readResponse(bytes)),
  };
  return (dialect, method, params) => {
    const message = { dialect, method, params };
    if (method !== "server/discover") return send(upstream, credential, { message, reader });
    const signal = AbortSignal.any([budget.signal, AbortSignal.timeout(upstream.probeMs)]);
    return send(upstream, credential, { message, reader: { ...reader, budget: { ...budget, signal } } });
  };
}

/**
 * The protocol's headers of one request. Until a revision is negotiated, for `initialize`, there is no mcp-protocol-version:
 * an older server may refuse one that it does not know.
 */
export function headersFor(dialect: Dialect, method: string): Record<string, string> {
  const common = { accept: "application/json, text/event-stream", "content-type": "application/json" };
  if (dialect.era === "modern") return { ...common, "mcp-protocol-version": MODERN, "mcp-method": method };
  return { ...common, ...legacyHeaders(dialect) };
}

function legacyHeaders({ version, session }: LegacyDialect): Record<string, string> {
  return {
    ...(version !== null && { "mcp-protocol-version": version }),
    ...(session !== null && { "mcp-session-id": session }),
  };
}

/** The headers of the request for a session's stream. @param lastEventId where it goes on; null for what comes from now on */
export function streamHeaders(dialect: LegacyDialect, lastEventId: string | null): Record<string, string> {
  const from = lastEventId === null ? {} : { "last-event-id": lastEventId };
  return { accept: "text/event-stream", ...legacyHeaders(dialect), ...from };
}

/**
 * MCP 2025-11-25, Session Management: a client that no longer needs a session SHOULD delete it. Best effort: resolves soon,
 * whatever the server does.
 */
export async function endSession(
  upstream: UpstreamConnections,
  credential: UpstreamCredential | null,
  dialect: LegacyDialect,
): Promise<void> {
  if (dialect.session === null) return;
  const headers = { ...legacyHeaders(dialect), ...credentialHeader(credential) };
  const signal = AbortSignal.timeout(END_SESSION_MS);
  await upstream.request({ method: "DELETE", headers, body: null, signal }).then(drainOrClose, () => undefined);
}

/** JSON-RPC 2.0 §5: a response has the id of its request; an error has none if the server could not read that id. */
export function isResponseTo(ownId: number, id: JsonValue | undefined, isError: boolean): boolean {
  return id === ownId || (isError && (id ?? null) === null);
}

/** The response to our message, out of a JSON body or a stream of events; null for anything else. */
async function readMessage<T>(response: HttpResponse, reader: ResponseReader<T>): Promise<T | null> {
  if (isEncoded(response)) {
    if (response.statusCode === 200) throw new HttpFault("encoded");
    return null; // the status says enough
  }
  const media = mediaOf(response);
  if (media === "other") return null;
  const { budget, read, other = () => {} } = reader;
  const maxBytes = Math.min(budget.bytes, reader.maxBytes);
  if (media === "stream") return readEvents(response, { budget, read, other, maxBytes });
  const body = await readWhole(response, maxBytes);
  budget.bytes -= body.length;
  return read(body);
}

/** The first event that is our response. Whatever else the server says on the stream is not for us (threat model: B50). */
async function readEvents<T>(
  response: HttpResponse,
  { budget, read, other, maxBytes }: Required<ResponseReader<T>>,
): Promise<T | null> {
  const parser = createEventParser(maxBytes);
  for (;;) {
    const events: StreamEvent[] = [];
    const isOpen = await consume(response, (chunk) => {
      budget.bytes -= chunk.length;
      if (budget.bytes < 0) throw new HttpFault("too_large");
      for (const event of parser.push(chunk)) events.push(event);
      if (events.length > 0) response.pause(); // until these are read
      return events.length > 0;
    });
    if (!isOpen) events.push(...parser.end());
    for (const { data } of events) {
      const message = await read(data);
      if (message !== null) return message;
      other(data);
      await budget.slices.spend(data.length + EVENT_COST);
    }
    if (!isOpen) return null;
    response.resume();
  }
}

function readResponse(bytes: Buffer): JsonObject | null {
  const json = readJson(bytes, HANDSHAKE_LIMITS);
  if (!json.ok || !isObject(json.value)) return null;
  const isError = "error" in json.value;
  const isResponse = isError || "result" in json.value;
  return isResponse && isResponseTo(OWN_ID, json.value["id"], isError) ? json.value : null;
}
