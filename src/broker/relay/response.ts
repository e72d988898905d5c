// Turns a server's JSON-RPC response into the client's: splices its bytes, never writes them anew. Pure.
import { setMembers, splicedParts, type Edit, type ObjectSpan } from "../../json/spans.ts";
import type { Operation } from "../../mcp/operation.ts";
import { shortValue, type UpstreamMessage } from "../../mcp/upstream-message.ts";
import { MODERN } from "../../mcp/versions.ts";
import type { RelayRequest } from "./request.ts";
import { resultNameEdits } from "./result-names.ts";

/** A response as the client gets it: in parts, because a copy of a large one would take as much memory again. */
export interface ClientResponse {
  readonly status: number;
  readonly body: readonly Uint8Array[];
}

export function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((length, part) => length + part.length, 0);
}

/** A JSON-RPC response of a server. */
export interface RpcResponse {
  readonly bytes: Buffer;
  /** `bytes`, read. */
  readonly message: Extract<UpstreamMessage, { kind: "answer" }>;
  /** The HTTP status under which it came. */
  readonly status: number;
}

const METHOD_NOT_FOUND = -32_601;
/** MissingRequiredClientCapability of the stateless revision. */
const MISSING_CAPABILITY = -32_021;

/**
 * Puts the client's id in place of the wire's, maps the URIs on the merged endpoint, and adds what the client's revision
 * requires. Every other byte stays. Null for what a client of an older revision cannot handle: `input_required`, a task, a
 * capability that she cannot declare.
 * @throws {HttpFault}
 */
export function toClientResponse(
  response: RpcResponse,
  request: RelayRequest,
  operation: Operation,
): ClientResponse | null {
  const { bytes, message, status } = response;
  const edits: Edit[] = [];
  if (message.idSpan !== null) edits.push({ ...message.idSpan, text: request.clientId });
  const { result } = message;
  const isModernClient = operation.version === MODERN;
  if (result !== null) edits.push(...resultEdits({ bytes, result }, request, operation));
  if (result !== null && !isModernClient) {
    const type = result.members.get("resultType");
    if (type !== undefined && shortValue(bytes, type) !== "complete") return null;
  }
  if (!isModernClient && message.errorCode === MISSING_CAPABILITY) return null;
  return {
    status: statusOf(request, operation, { code: message.errorCode, status }),
    body: splicedParts(bytes, edits),
  };
}

interface ResultBytes {
  readonly bytes: Buffer;
  readonly result: ObjectSpan;
}

function resultEdits({ bytes, result }: ResultBytes, { dialect, mapUri }: RelayRequest, operation: Operation): Edit[] {
  const { method, version } = operation;
  const edits = mapUri === null ? [] : resultNameEdits(bytes, result, { method, map: mapUri });
  if (version !== MODERN || dialect.era === "modern") return edits;
  const needed = Object.entries(modernMembers(operation)).filter(([name]) => !result.members.has(name));
  return [...edits, ...setMembers(result, Object.fromEntries(needed))];
}

/** Members that the stateless revision requires of a result, and older ones do not have. */
function modernMembers({ method }: Operation): Record<string, string> {
  const caching = method === "resources/read" ? { ttlMs: "0", cacheScope: '"private"' } : {};
  return { resultType: '"complete"', ...caching };
}

/** To a client of an older revision 404 says that its session has ended; the stateless one has it for −32601. */
function statusOf(
  { dialect }: RelayRequest,
  { version }: Operation,
  { code, status }: { readonly code: number | null; readonly status: number },
): number {
  if (code === null) return 200;
  if (version === MODERN && code === METHOD_NOT_FOUND) return 404;
  if (version === MODERN) return status === 400 || status === 404 ? 400 : 200;
  // The stateless revision puts errors under 400, older ones under 200: their clients read no JSON under another status.
  return status === 400 && dialect.era === "legacy" ? 400 : 200;
}
