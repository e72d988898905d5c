// Reads a JSON-RPC message of a server as far as the relay needs, and finds the places that it edits. Pure.
import {
  atOnce,
  innerObjectSpanIn,
  inSlices,
  objectSpanIn,
  type ObjectSpan,
  type Span,
  type Steps,
} from "../json/spans.ts";
import type { RpcId } from "./operation.ts";
import { DEFAULT_LIMITS, readJson } from "../json/strict-reader.ts";

/** A message of a server. Spans are byte offsets into the text that was read. */
export type UpstreamMessage =
  | {
      readonly kind: "answer";
      /** Null if the server could not tell (JSON-RPC 2.0 §5). */
      readonly id: RpcId | null;
      readonly idSpan: Span | null;
      /** Null for an error. */
      readonly result: ObjectSpan | null;
      /** Null for a result. */
      readonly errorCode: number | null;
    }
  | ServerNotification
  | ServerRequest
  /** Any other message that is never passed on (threat model: B50). */
  | { readonly kind: "other" };

export interface ServerNotification {
  readonly kind: "notification";
  readonly method: string;
  readonly progressToken: RpcId | null;
}

/** A request of the server's to its client. */
export interface ServerRequest {
  readonly kind: "request";
  readonly method: string;
  readonly id: RpcId;
  readonly idSpan: Span;
}

const MEMBERS = new Set(["jsonrpc", "id", "method", "params", "result", "error"]);
const MAX_SHORT_BYTES = 2048;

/** Reads one message. Null if it is no JSON-RPC message, or one that two parsers could read differently. */
export function readUpstreamMessage(bytes: Uint8Array): UpstreamMessage | null {
  return atOnce(messageIn(bytes));
}

/**
 * Reads one message that may be long, in slices: a megabyte can take tens of milliseconds, and other work runs in between.
 * @param spend counts the bytes that were read; returns a promise when it is time to yield to other work
 */
export function readLongUpstreamMessage(
  bytes: Uint8Array,
  spend: (bytes: number) => Promise<void> | null,
): Promise<UpstreamMessage | null> {
  return inSlices(messageIn(bytes), spend);
}

function* messageIn(bytes: Uint8Array): Steps<UpstreamMessage | null> {
  const root = yield* objectSpanIn(bytes);
  if (root === null || shortValue(bytes, root.members.get("jsonrpc")) !== "2.0") return null;
  for (const name of root.members.keys()) if (!MEMBERS.has(name)) return null;
  const has = (name: string) => root.members.has(name);
  if (has("method")) return has("result") || has("error") ? null : yield* requestOf(bytes, root);
  return has("result") === has("error") || has("params") ? null : yield* answerOf(bytes, root);
}

function* requestOf(bytes: Uint8Array, root: ObjectSpan): Steps<UpstreamMessage | null> {
  const method = shortValue(bytes, root.members.get("method"));
  if (typeof method !== "string") return null;
  const idSpan = root.members.get("id");
  if (idSpan !== undefined) return clientRequest(bytes, method, idSpan);
  if (!/^notifications\/[\x21-\x7e]{1,100}$/.test(method)) return { kind: "other" };
  const params = yield* innerObjectSpanIn(bytes, root.members.get("params"));
  return { kind: "notification", method, progressToken: idOf(bytes, params?.members.get("progressToken")) };
}

function clientRequest(bytes: Uint8Array, method: string, idSpan: Span): UpstreamMessage {
  const id = idOf(bytes, idSpan);
  const isRequest = id !== null && /^[\x21-\x7e]{1,100}$/.test(method) && !method.startsWith("notifications/");
  return isRequest ? { kind: "request", method, id, idSpan } : { kind: "other" };
}

function* answerOf(bytes: Uint8Array, root: ObjectSpan): Steps<UpstreamMessage | null> {
  const idSpan = root.members.get("id") ?? null;
  const id = idOf(bytes, idSpan ?? undefined);
  const error = root.members.get("error");
  if (error === undefined) {
    const result = yield* innerObjectSpanIn(bytes, root.members.get("result"));
    return result === null || id === null ? null : { kind: "answer", id, idSpan, result, errorCode: null };
  }
  const code = shortValue(bytes, (yield* innerObjectSpanIn(bytes, error))?.members.get("code"));
  if (typeof code !== "number" || !Number.isSafeInteger(code)) return null;
  // An id of another type than string, integer or null belongs to no call.
  if (id === null && idSpan !== null && shortValue(bytes, idSpan) !== null) return null;
  return { kind: "answer", id, idSpan, result: null, errorCode: code };
}

/** Reads an id or progress token at a place; null if the place holds neither. */
export function idOf(bytes: Uint8Array, span: Span | undefined): RpcId | null {
  const value = shortValue(bytes, span);
  return typeof value === "string" || (typeof value === "number" && Number.isSafeInteger(value)) ? value : null;
}

/** Reads the value at a place; undefined if there is none, it is long, or two parsers could read it differently. */
export function shortValue(bytes: Uint8Array, span: Span | undefined): unknown {
  if (span === undefined || span.end - span.start > MAX_SHORT_BYTES) return undefined;
  const read = readJson(bytes.subarray(span.start, span.end), { ...DEFAULT_LIMITS, anyNames: true });
  return read.ok ? read.value : undefined;
}

const LIST_CHANGED = /^notifications\/(?:tools|prompts|resources)\/list_changed$/;

/**
 * The notification that a list has changed, in our own bytes: a server's may name what its reader must not see. Null for
 * another method.
 */
export function listChange(method: string): Buffer | null {
  return LIST_CHANGED.test(method) ? Buffer.from(JSON.stringify({ jsonrpc: "2.0", method })) : null;
}
