// Reads an HTTP body with its headers as one MCP operation. Pure; serve and broker share it.
import { isObject, readEnvelope, type Envelope } from "./envelope.ts";
import { checkHeaders, versionOf } from "./header-agreement.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";
import { MAX_URI } from "./merged-names.ts";
import { methodRow, type MethodRow } from "./method-table.ts";
import type { McpHeaders, OperationFault, ReadOperation, RpcContext } from "./operation.ts";
import { faultOfUri } from "./uri.ts";

export const MAX_NAME = 128;
const INVALID_REQUEST = -32600;

/**
 * Reads one HTTP body with its headers as an MCP operation, or returns the first fault. serve and broker both call it, so
 * that the same bytes get the same verdict.
 *
 * Order of faults: no message; unknown method (a client of another revision needs this error rather than one about
 * headers); parameters; headers that disagree.
 */
export function readOperation(bytes: Uint8Array, headers: McpHeaders): ReadOperation {
  const read = readEnvelope(bytes);
  const fallback = versionOf(undefined, headers.get("mcp-protocol-version"));
  if (!read.ok) return { ok: false, fault: read.fault, rpc: { id: read.id, notification: false, version: fallback } };
  const { envelope } = read;
  const row = methodRow(envelope.method);
  const rpc: RpcContext = {
    id: envelope.id,
    notification: envelope.id === null,
    version: revisionOf(envelope, fallback),
  };
  const refuse = (fault: OperationFault, version = rpc.version): ReadOperation => ({
    ok: false,
    fault,
    rpc: { ...rpc, version },
  });
  if (row === null) return refuse({ reason: "method_unknown", detail: "not in the method table" });
  const wrongId = faultOfId(envelope, row);
  if (wrongId !== null) return refuse(wrongId);
  const wrongParams = faultOfParams(envelope, row);
  if (wrongParams !== null) return refuse(wrongParams);
  const name = nameOf(envelope, row);
  const agreement = checkHeaders(envelope, name, headers);
  if (!agreement.ok) return refuse(agreement.fault, agreement.version);
  return {
    ok: true,
    operation: {
      id: envelope.id,
      method: envelope.method,
      class: row.class,
      kind: row.kind,
      name,
      arguments: row.hasArguments ? argumentsOf(envelope.params) : NO_ARGUMENTS,
      version: agreement.version,
    },
    params: envelope.params,
  };
}

function revisionOf(envelope: Envelope, fallback: string): string {
  const meta = envelope.params["_meta"];
  const inBody = isObject(meta) ? meta["io.modelcontextprotocol/protocolVersion"] : undefined;
  return versionOf(inBody, fallback);
}

function nameOf(envelope: Envelope, row: MethodRow): string | null {
  const name = row.nameParam === null ? undefined : envelope.params[row.nameParam];
  return typeof name === "string" ? name : null;
}

/** A request needs an id, or it gets no response; a notification has none, or its sender waits for a response in vain. */
function faultOfId(envelope: Envelope, row: MethodRow): OperationFault | null {
  if ((envelope.id === null) === (row.class === "notification")) return null;
  return { reason: "body_malformed", rpcCode: INVALID_REQUEST, detail: "id does not fit the method" };
}

function faultOfParams(envelope: Envelope, row: MethodRow): OperationFault | null {
  const invalid = (detail: string): OperationFault => ({ reason: "params_invalid", detail });
  const { params } = envelope;
  if ("_meta" in params && !isObject(params["_meta"])) return invalid("_meta is not an object");
  if (row.nameParam === null) return null;
  const wrongName = faultOfName(params[row.nameParam], row.nameParam);
  if (wrongName !== null) return invalid(wrongName);
  if (row.hasArguments && "arguments" in params && !isObject(params["arguments"]))
    return invalid("arguments is not an object");
  return null;
}

function faultOfName(name: JsonValue | undefined, param: "name" | "uri"): string | null {
  if (typeof name !== "string" || name === "") return `${param} is not a string`;
  if (name.length > (param === "uri" ? MAX_URI : MAX_NAME)) return `${param} is too long`;
  if (/\p{Cc}/u.test(name)) return `a control character in ${param}`;
  return param === "uri" ? faultOfUri(name) : null;
}

const NO_ARGUMENTS: JsonObject = Object.freeze(Object.create(null) as JsonObject);

function argumentsOf(params: JsonObject): JsonObject {
  const value = params["arguments"];
  return isObject(value) ? value : NO_ARGUMENTS;
}
