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

/** What a server sent, read as far as a relay must know it. Places are in the text that was read. */
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
  | { readonly kind: "notification"; readonly method: string; readonly progressToken: RpcId | null }
  /** A request of the server's, or an answer to nobody: never passed on (threat row B50). */
  | { readonly kind: "other" };

const MEMBERS = new Set(["jsonrpc", "id", "method", "params", "result", "error"]);
const MAX_SHORT_BYTES = 2048;

/** Reads one JSON-RPC message of a server. Null for what is no message, or one that two parsers could read differently. */
export function readUpstreamMessage(bytes: Uint8Array): UpstreamMessage | null {
  return atOnce(messageIn(bytes));
}

/**
 * The same for one that may be long: a megabyte can take tens of milliseconds, and others have their turn in between.
 * @param spend counts bytes that were read; a promise once others have their turn
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
  if (root.members.has("id") || !/^notifications\/[\x21-\x7e]{1,100}$/.test(method)) return { kind: "other" };
  const params = yield* innerObjectSpanIn(bytes, root.members.get("params"));
  return { kind: "notification", method, progressToken: idOf(bytes, params?.members.get("progressToken")) };
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
  // An id that is there, and is neither null nor an id, belongs to nobody.
  if (id === null && idSpan !== null && shortValue(bytes, idSpan) !== null) return null;
  return { kind: "answer", id, idSpan, result: null, errorCode: code };
}

/** An id or progress token; null if the place holds neither. */
export function idOf(bytes: Uint8Array, span: Span | undefined): RpcId | null {
  const value = shortValue(bytes, span);
  return typeof value === "string" || (typeof value === "number" && Number.isSafeInteger(value)) ? value : null;
}

/** The value at a place; undefined if there is none, it is long, or two parsers could read it differently. */
export function shortValue(bytes: Uint8Array, span: Span | undefined): unknown {
  if (span === undefined || span.end - span.start > MAX_SHORT_BYTES) return undefined;
  const read = readJson(bytes.subarray(span.start, span.end), { ...DEFAULT_LIMITS, anyNames: true });
  return read.ok ? read.value : undefined;
}
