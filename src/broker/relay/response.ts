// Turns a server's JSON-RPC response into the client's: passes its bytes on, never writes them anew. Pure.
import { HttpFault } from "../../http/client.ts";
import { RewriteFault } from "../../json/rewriter.ts";
import type { Operation } from "../../mcp/operation.ts";
import type { UpstreamMessage } from "../../mcp/upstream-message.ts";
import { MODERN } from "../../mcp/versions.ts";
import { AnswerFault, createAnswer } from "./answer.ts";
import type { RelayRequest } from "./request.ts";

/** A response as the client gets it: in parts, because a copy of a large one would take as much memory again. */
export interface ClientResponse {
  readonly status: number;
  readonly body: readonly Uint8Array[];
  /** True for one that is not for her, but asks her something. */
  readonly isAsking?: boolean;
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

/**
 * A whole response, in the client's words (answer.ts). Null for what a client of an older revision cannot handle:
 * `input_required`, a task, a capability that she cannot declare.
 * @throws {HttpFault} `not_an_answer`
 */
export function toClientResponse(
  { bytes, message, status }: RpcResponse,
  request: RelayRequest,
  operation: Operation,
): ClientResponse | null {
  try {
    const answer = createAnswer({ request, operation, mayLackId: message.id === null });
    const body = [...answer.push(bytes), ...answer.end()];
    const { isAsking } = answer;
    return { status: statusOf(request, operation, { code: message.errorCode, status }), body, isAsking };
  } catch (error) {
    const fault = answerFault(error);
    if (fault instanceof HttpFault && fault.code === "capability_missing") return null;
    throw fault;
  }
}

/** The fault of a response in the words of the log. */
export function answerFault(error: unknown): unknown {
  if (error instanceof AnswerFault) return new HttpFault(error.code);
  return error instanceof RewriteFault ? new HttpFault("not_an_answer") : error;
}

/** To a client of an older revision 404 says that its session has ended; the stateless one has it for −32601. */
export function statusOf(
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
