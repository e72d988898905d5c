// What a server sends on the stream of a call beside its answer: requests, which are answered or handed to the client of the
// call, and notifications. Towards the server the broker is the client. I/O by upstream/reply.ts.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/ping
import { innerObjectSpan, readObjectSpan } from "../../json/spans.ts";
import { META_LOG_LEVEL } from "../../mcp/meta.ts";
import { isTaskNotice } from "../../mcp/method-table.ts";
import { listChange, shortValue, type ServerNotification, type ServerRequest } from "../../mcp/upstream-message.ts";
import { MODERN } from "../../mcp/versions.ts";
import { askClient, cancellationFor } from "../sessions/ask-client.ts";
import { LOG_LEVELS } from "../sessions/session-settings.ts";
import { errorReply, postMessage, resultReply } from "../upstream/reply.ts";
import type { RelayCall } from "./admit.ts";
import type { AskBack } from "./ask-back.ts";
import type { CallTimeout } from "./call-timeout.ts";
import type { RelayRequest } from "./request.ts";
import { MAX_UPDATE_BYTES, UPDATED, withMappedUpdate } from "./result-names.ts";

/** The call on whose stream a message came. */
export interface StreamedCall {
  readonly call: RelayCall;
  readonly request: RelayRequest;
  readonly timeout: CallTimeout;
}

const METHOD_NOT_FOUND = -32_601;

/**
 * Answers a request of a server, or hands it to the client of the call: at once, because the server may wait for ever, and its
 * caller with it. False in the stateless revision, which has no such requests.
 * @param asked `send` writes to the stream to the client, null if she takes none; `asking` asks her in a result
 */
export function takeRequest(
  asked: StreamedCall & { readonly send: ((message: Buffer) => void) | null; readonly asking: AskBack | null },
  data: Buffer,
  message: ServerRequest,
): boolean {
  const { dialect } = asked.request;
  if (dialect.era === "modern") return false;
  const { upstream, credential, session } = asked.call;
  const { method, id } = message;
  const to = { upstream, credential };
  const { timeout, send } = asked;
  if (method === "ping") void postMessage(to, dialect, resultReply(id, {}));
  else if (asked.asking?.ask(data, message) !== true) {
    const onDone = timeout.hold();
    const asking = { ...{ data, message, to, dialect, onDone }, origin: timeout };
    const isAsked = session !== null && send !== null && askClient(session, asking, sendTo(send));
    if (!isAsked) {
      onDone();
      void postMessage(to, dialect, errorReply(id, METHOD_NOT_FOUND, "Method not found"));
    }
  }
  return true;
}

function sendTo(send: (message: Buffer) => void): (message: Buffer) => boolean {
  return (message) => {
    send(message);
    return true;
  };
}

/** A notification as the client of the call gets it; null for one that is not for her. */
export function notificationFor(
  { call, request }: Pick<StreamedCall, "call" | "request">,
  data: Buffer,
  { method }: ServerNotification,
): Buffer | null {
  const { dialect } = request;
  if (method === UPDATED) return updateFor(call, data);
  if (isTaskNotice(method)) return null;
  const changed = listChange(method);
  if (changed !== null || dialect.era === "modern") return changed ?? data;
  if (method === "notifications/cancelled")
    return call.session === null ? null : cancellationFor(call.session, data, dialect);
  if (method !== "notifications/message" || call.operation.version !== MODERN) return data;
  return isWanted(call.body, data) ? data : null;
}

/** The change of a resource that she has subscribed to, under its name at her endpoint: of any other she may not know. */
function updateFor({ session, upstream, mapUri }: RelayCall, data: Buffer): Buffer | null {
  const uri = data.length > MAX_UPDATE_BYTES ? null : shortValue(data, paramsIn(data)?.members.get("uri"));
  if (typeof uri !== "string" || session?.subscriptions.hears(upstream.name, uri) !== true) return null;
  return mapUri === null ? data : withMappedUpdate(data, mapUri);
}

/**
 * In the stateless revision a log message is for a client that asked for its level in this request, and for no other (MCP
 * 2026-07-28, Logging). A server of an older revision does not know that.
 */
function isWanted(body: Buffer, data: Buffer): boolean {
  const least = wantedLevels.get(body) ?? levelWantedBy(body);
  wantedLevels.set(body, least);
  if (least === -1 || data.length > MAX_LOG_BYTES) return false;
  return levelAt(data, paramsIn(data)?.members.get("level")) >= least;
}

/** Longer ones are not searched for their level: that would hold up other calls. */
const MAX_LOG_BYTES = 64 * 1024;
/** By the body of a call: to read a long one for each message of its server would hold up other calls. */
const wantedLevels = new WeakMap<Buffer, number>();

function levelWantedBy(body: Buffer): number {
  const meta = innerObjectSpan(body, paramsIn(body)?.members.get("_meta"));
  return levelAt(body, meta?.members.get(META_LOG_LEVEL));
}

function paramsIn(message: Buffer) {
  return innerObjectSpan(message, readObjectSpan(message)?.members.get("params"));
}

/** The place among the levels; -1 for none. */
function levelAt(message: Buffer, place: Parameters<typeof shortValue>[1]): number {
  const level = shortValue(message, place);
  return typeof level === "string" ? LOG_LEVELS.indexOf(level) : -1;
}
