// Reads one JSON-RPC 2.0 message (https://www.jsonrpc.org/specification §4) by the strict JSON reader. Pure.
import { isObject } from "../json/object.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";
import { META_CAPABILITIES, META_CLIENT, META_VERSION } from "./meta.ts";
import type { OperationFault, RpcId } from "./operation.ts";
import { DEFAULT_LIMITS, readJson } from "../json/strict-reader.ts";
import { foldName } from "../json/strict-name.ts";
import { isLowerText } from "../json/strict-string.ts";

/** One JSON-RPC message. */
export interface Envelope {
  readonly id: RpcId | null;
  /** Null for a response. */
  readonly method: string | null;
  /** Empty for a response. */
  readonly params: JsonObject;
}

export type ReadEnvelope =
  | { readonly ok: true; readonly envelope: Envelope }
  | { readonly ok: false; readonly fault: OperationFault; readonly id: RpcId | null; readonly isToolCall?: boolean };

const MEMBERS = ["jsonrpc", "id", "method", "params"];
const RESPONSE_MEMBERS = ["jsonrpc", "id", "result", "error"];
/** Protocol members: tolerant parsers match a name that differs only in case (threat model: B03, PO-28). */
const RESERVED = new Set([...MEMBERS, "result", "error", "name", "uri", "arguments", "_meta", "cursor"]);
const RESERVED_PARAMS = new Set([
  ...RESERVED,
  "protocolversion",
  "capabilities",
  "clientinfo",
  "ref",
  "argument",
  "level",
  "taskid",
]);
const RESERVED_REF = new Set(["type", "name", "uri"]);
/** Members that the broker adds for a server of the stateless revision: a lookalike would be sent beside them. */
const META = [META_VERSION, META_CAPABILITIES, META_CLIENT];
const RESERVED_META = new Set([...META, "progressToken"].map((name) => name.toLowerCase()));
/** Lower-case spellings whose exact form has capitals. */
const EXACT: ReadonlyMap<string, string> = new Map(
  [...META, "progressToken", "protocolVersion", "clientInfo", "taskId"].map((name) => [name.toLowerCase(), name]),
);
/** Members of `params` that a client may leave out, and that we read. */
const OPTIONAL = ["_meta", "arguments", "cursor"];
const INVALID_REQUEST = -32600;
const MAX_ID_BYTES = 256;
/** Policy must see what the server reads: 2^53 + 1 would be 2^53 to policy, and another number to the server. */
const LIMITS = { ...DEFAULT_LIMITS, oneReading: true };

/** Reads a body as one message. A fault keeps the id if it was readable, so that the client can match the response. */
export function readEnvelope(bytes: Uint8Array): ReadEnvelope {
  const json = readJson(bytes, LIMITS);
  if (!json.ok) return { ...fault("body_malformed", json.detail), ...(json.isNumber === true && askedBy(bytes)) };
  if (Array.isArray(json.value)) return fault("body_batch", "an array");
  if (!isObject(json.value)) return fault("body_malformed", "not an object", INVALID_REQUEST);
  const message = json.value;
  const id = isId(message["id"]) ? message["id"] : null;
  const wrong = faultOf(message, id);
  if (wrong !== null) return { ok: false, fault: wrong, id };
  const { params, method } = message;
  return {
    ok: true,
    envelope: {
      id,
      method: typeof method === "string" ? method : null,
      params: isObject(params) ? withoutNulls(params) : {},
    },
  };
}

/** Id of a message that a data plane has taken apart: it does not say it, and the answer needs none. */
const NO_ID = 0;

/**
 * Reads a message that a data plane has taken apart: its method, and the bytes of its `params`, or null without any. What they
 * hold is judged as in {@link readEnvelope}.
 */
export function readParams(method: string, bytes: Uint8Array | null): ReadEnvelope {
  const json = bytes === null ? NO_PARAMS : readJson(bytes, LIMITS);
  if (!json.ok) return fault("body_malformed", json.detail);
  const message: Record<string, JsonValue> = { jsonrpc: "2.0", method, params: json.value };
  const wrong = faultOf(message, null);
  if (wrong !== null) return { ok: false, fault: wrong, id: null };
  const params = isObject(json.value) ? withoutNulls(json.value) : {};
  return { ok: true, envelope: { id: method.startsWith("notifications/") ? null : NO_ID, method, params } };
}

const NO_PARAMS = { ok: true, value: null } as const;

/** Id of a request whose only fault is a number that has no one reading: a model that sent it can mend that. */
function askedBy(bytes: Uint8Array): { readonly id: RpcId | null; readonly isToolCall?: boolean } {
  const json = readJson(bytes, DEFAULT_LIMITS);
  if (!json.ok || !isObject(json.value)) return { id: null };
  const { id, method } = json.value;
  if (!isId(id) || faultOf(json.value, id) !== null) return { id: null };
  return { id, ...(method === "tools/call" && { isToolCall: true }) };
}

/** Go, Java and C# write absent members as null. It has one reading: absence, for policy and server alike. */
function withoutNulls(params: JsonObject): JsonObject {
  if (!OPTIONAL.some((name) => params[name] === null)) return params;
  const stated = Object.create(null) as Record<string, JsonValue>;
  for (const [name, value] of Object.entries(params))
    if (value !== null || !OPTIONAL.includes(name)) stated[name] = value;
  return stated;
}

/** The first fault of an object as a request, notification or response, or null. */
function faultOf(message: JsonObject, id: RpcId | null): OperationFault | null {
  if (lookalike(message, RESERVED)) return malformed("a member that differs from the protocol's only in case");
  const isResponse = "result" in message || "error" in message;
  if (isResponse && "method" in message) return malformed("both a request and an answer");
  if (message["jsonrpc"] !== "2.0") return malformed("jsonrpc is not 2.0");
  return isResponse ? faultOfResponse(message, id) : faultOfRequest(message, id);
}

/** JSON-RPC 2.0 §5: an id, and either a result or an error. MCP wants a result to be an object. */
function faultOfResponse(message: JsonObject, id: RpcId | null): OperationFault | null {
  const { result, error } = message;
  if (Object.keys(message).some((name) => !RESPONSE_MEMBERS.includes(name))) return malformed("an unknown member");
  if (id === null) return malformed("a response without an id");
  if ("result" in message) return isObject(result) && !("error" in message) ? null : malformed("the result");
  return isObject(error) && Number.isInteger(error["code"]) && typeof error["message"] === "string"
    ? null
    : malformed("the error");
}

function faultOfRequest(message: JsonObject, id: RpcId | null): OperationFault | null {
  const { method, params } = message;
  if (typeof method !== "string" || method === "") return malformed("method is not a string");
  if (Object.keys(message).some((name) => !MEMBERS.includes(name))) return malformed("an unknown member");
  if ("id" in message && id === null) return malformed("id is neither a short string nor a safe integer");
  if (params === undefined || params === null) return null;
  if (!isObject(params)) return { reason: "params_invalid", detail: "params is not an object" };
  return faultOfMembers(params);
}

function faultOfMembers(params: JsonObject): OperationFault | null {
  if (lookalike(params, RESERVED_PARAMS)) return malformed("a lookalike in params");
  const { _meta: meta, ref } = params;
  if (isObject(ref) && lookalike(ref, RESERVED_REF)) return malformed("a lookalike in ref");
  return isObject(meta) && lookalike(meta, RESERVED_META) ? malformed("a lookalike in _meta") : null;
}

function malformed(detail: string): OperationFault {
  return { reason: "body_malformed", rpcCode: INVALID_REQUEST, detail };
}

function lookalike(object: JsonObject, reserved: ReadonlySet<string>): boolean {
  for (const name in object) {
    const folded = isLowerText(name) ? name : foldName(name);
    if (reserved.has(folded) && name !== (EXACT.get(folded) ?? folded)) return true;
  }
  return false;
}

function isId(value: JsonValue | undefined): value is RpcId {
  if (typeof value === "string") return Buffer.byteLength(value) <= MAX_ID_BYTES;
  return typeof value === "number" && Number.isSafeInteger(value) && !Object.is(value, -0);
}

/** The fault of a body that is no message, so has no id. */
function fault(reason: OperationFault["reason"], detail: string, rpcCode?: number): ReadEnvelope {
  return { ok: false, fault: { reason, detail, ...(rpcCode !== undefined && { rpcCode }) }, id: null };
}
