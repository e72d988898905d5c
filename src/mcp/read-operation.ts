// Reads an HTTP body with its headers as one MCP operation. Pure; serve and broker share it.
import { readEnvelope, readParams, type Envelope, type ReadEnvelope } from "./envelope.ts";
import { checkHeaders, revisionAlone, revisionIn, versionOf } from "./header-agreement.ts";
import { META_CAPABILITIES, META_VERSION } from "./meta.ts";
import { isObject } from "../json/object.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";
import { faultOfFilter, watchedIn } from "./listen-filter.ts";
import { MAX_URI } from "./merged-names.ts";
import { isOfRevision, methodRow, RESPONSE, RESPONSE_ROW, TASKS_EXTENSION, type MethodRow } from "./method-table.ts";
import type { Kind, McpHeaders, Operation, OperationFault, ReadOperation, RpcContext } from "./operation.ts";
import { faultOfTemplate, faultOfUri } from "./uri.ts";

export const MAX_NAME = 128;
const INVALID_REQUEST = -32600;

/**
 * Reads one HTTP body with its headers as an MCP operation, or returns the first fault. serve and broker both call it, so
 * that the same bytes get the same verdict.
 *
 * Order of faults: no message; a method that is unknown, or not one of this revision (a client of another revision needs
 * this error rather than one about headers); parameters; headers that disagree.
 */
export function readOperation(bytes: Uint8Array, headers: McpHeaders): ReadOperation {
  return operationIn(readEnvelope(bytes), headers, checkHeaders);
}

/**
 * The same for a message that a data plane has taken apart and puts together again: its headers do not mirror what goes on, so
 * that of the revision alone counts.
 * @param params bytes of `params`; null without any
 */
export function readTakenApart(
  { method, params }: { readonly method: string; readonly params: Uint8Array | null },
  headers: McpHeaders,
): ReadOperation {
  return operationIn(readParams(method, params), headers, (_, __, received) => revisionAlone(received));
}

function operationIn(read: ReadEnvelope, headers: McpHeaders, agree: typeof checkHeaders): ReadOperation {
  const fallback = versionOf(undefined, revisionIn(headers));
  if (!read.ok) return { ok: false, fault: read.fault, rpc: contextOfFault(read, fallback) };
  const { envelope } = read;
  const row = envelope.method === null ? RESPONSE_ROW : methodRow(envelope.method);
  const rpc = contextOf(envelope, revisionOf(envelope, fallback));
  const refuse = (fault: OperationFault, version = rpc.version): ReadOperation => ({
    ok: false,
    fault,
    rpc: { ...rpc, version },
  });
  if (row === null) return refuse({ reason: "method_unknown", detail: "not in the method table" });
  if (!isOfRevision(row, rpc.version)) return refuse({ reason: "method_unknown", detail: "not in this revision" });
  const wrongId = faultOfId(envelope, row);
  if (wrongId !== null) return refuse(wrongId);
  const wrongParams = faultOfParams(envelope, row);
  if (wrongParams !== null) return refuse(wrongParams);
  const named = nameOf(envelope, row);
  const agreement = agree(envelope, row.nameHeader ? named.name : null, headers);
  if (!agreement.ok) return refuse(agreement.fault, agreement.version);
  return {
    ok: true,
    operation: {
      id: envelope.id,
      method: envelope.method ?? RESPONSE,
      class: row.class,
      ...named,
      arguments: row.hasArguments ? argumentsOf(envelope.params) : NO_ARGUMENTS,
      version: agreement.version,
      ...furtherParts(envelope, row),
    },
    params: envelope.params,
  };
}

function contextOfFault({ id, isToolCall }: Pick<RpcContext, "id" | "isToolCall">, version: string): RpcContext {
  return { id, notification: false, version, ...(isToolCall === true && { isToolCall }) };
}

/** The facts that a refusal of this operation needs. A search is a call of `search_tools` (search-mode.ts). */
export function rpcContextOf({ id, method, version, search }: RpcOperation): RpcContext {
  const context = contextOf({ id, method: method === RESPONSE ? null : method }, version);
  return method === "tools/call" || search !== undefined ? { ...context, isToolCall: true } : context;
}

type RpcOperation = Pick<Operation, "id" | "method" | "version" | "search">;

function contextOf({ id, method }: Pick<Envelope, "id" | "method">, version: string): RpcContext {
  return { id: method === null ? null : id, notification: id === null || method === null, version };
}

function revisionOf(envelope: Envelope, fallback: string): string {
  const meta = envelope.params["_meta"];
  const inBody = isObject(meta) ? meta[META_VERSION] : undefined;
  return versionOf(inBody, fallback);
}

/** In the stateless revision each request says what its client is capable of. */
function declaresTasks({ params }: Envelope): boolean {
  const at = ["_meta", META_CAPABILITIES, "extensions", TASKS_EXTENSION];
  const found = at.reduce<JsonValue | undefined>((value, name) => (isObject(value) ? value[name] : undefined), params);
  return isObject(found);
}

/** The kinds of `ref`, and the member of it that has the name (MCP, Completion). */
const REFERENCES: ReadonlyMap<JsonValue | undefined, { readonly kind: Kind; readonly param: "name" | "uri" }> = new Map(
  [
    ["ref/prompt", { kind: "prompt", param: "name" }],
    ["ref/resource", { kind: "resource", param: "uri" }],
  ],
);

function nameOf({ params }: Envelope, row: MethodRow): Pick<Operation, "kind" | "name"> {
  if (row.nameParam !== "ref") return { kind: row.kind, name: textIn(params, row.nameParam) };
  const ref = isObject(params["ref"]) ? params["ref"] : {};
  const reference = REFERENCES.get(ref["type"]);
  return { kind: reference?.kind ?? null, name: textIn(ref, reference?.param ?? null) };
}

function textIn(object: JsonObject, member: string | null): string | null {
  const value = member === null ? undefined : object[member];
  return typeof value === "string" ? value : null;
}

/** A request needs an id, or it gets no response; a notification has none, or its sender waits for a response in vain. */
function faultOfId(envelope: Envelope, row: MethodRow): OperationFault | null {
  if ((envelope.id === null) === (row.class === "notification")) return null;
  return { reason: "body_malformed", rpcCode: INVALID_REQUEST, detail: "id does not fit the method" };
}

/** What a request about tasks, and a stream of `subscriptions/listen`, say besides. */
function furtherParts(envelope: Envelope, row: MethodRow): Pick<Operation, "declaresTasks" | "watched"> {
  if (row.nameParam === "taskId") return { declaresTasks: declaresTasks(envelope) };
  if (row.class !== "listen") return {};
  return { declaresTasks: declaresTasks(envelope), watched: watchedIn(envelope.params) };
}

function faultOfParams(envelope: Envelope, row: MethodRow): OperationFault | null {
  const invalid = (detail: string): OperationFault => ({ reason: "params_invalid", detail });
  const { params } = envelope;
  if ("_meta" in params && !isObject(params["_meta"])) return invalid("_meta is not an object");
  const wrongFilter = row.class === "listen" ? faultOfFilter(params) : null;
  if (wrongFilter !== null) return invalid(wrongFilter);
  if (row.nameParam === null) return null;
  const wrongName =
    row.nameParam === "ref" ? faultOfRef(params["ref"]) : faultOfName(params[row.nameParam], row.nameParam);
  if (wrongName !== null) return invalid(wrongName);
  if (row.hasArguments && "arguments" in params && !isObject(params["arguments"]))
    return invalid("arguments is not an object");
  return null;
}

/** The URI of a reference is a resource's, or a template. */
function faultOfRef(ref: JsonValue | undefined): string | null {
  if (!isObject(ref)) return "ref is not an object";
  const param = REFERENCES.get(ref["type"])?.param;
  if (param === undefined) return "ref.type is neither ref/prompt nor ref/resource";
  return faultOfName(ref[param], param, faultOfTemplate);
}

const MAX_TASK_ID = 4096;
const MAX_LENGTH = { name: MAX_NAME, uri: MAX_URI, taskId: MAX_TASK_ID };

function faultOfName(
  name: JsonValue | undefined,
  param: "name" | "uri" | "taskId",
  faultOf: (uri: string) => string | null = faultOfUri,
): string | null {
  if (typeof name !== "string" || name === "") return `${param} is not a string`;
  if (name.length > MAX_LENGTH[param]) return `${param} is too long`;
  if (/\p{Cc}/u.test(name)) return `a control character in ${param}`;
  return param === "uri" ? faultOf(name) : null;
}

const NO_ARGUMENTS: JsonObject = Object.freeze(Object.create(null) as JsonObject);

function argumentsOf(params: JsonObject): JsonObject {
  const value = params["arguments"];
  return isObject(value) ? value : NO_ARGUMENTS;
}
