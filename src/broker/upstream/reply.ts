// Sends a server messages that have no answer: responses to its requests, and notifications of a client. Best effort: resolves
// soon, whatever the server does. I/O.
import { drainOrClose } from "../../http/client.ts";
import type { RpcId } from "../../mcp/operation.ts";
import { headersFor } from "./client.ts";
import type { ServerRequest } from "../../mcp/upstream-message.ts";
import type { Dialect, LegacyDialect } from "./era.ts";
import { credentialHeader, type UpstreamConnections, type UpstreamCredential } from "./upstream.ts";

/** A server, and the credential with which it is spoken to. */
export interface ReplyTo {
  readonly upstream: UpstreamConnections;
  readonly credential: UpstreamCredential | null;
}

const POST_MS = 5000;

/** Sends one message in an MCP session of the server. */
export async function postMessage(
  { upstream, credential }: ReplyTo,
  dialect: LegacyDialect,
  body: Buffer,
): Promise<void> {
  const headers = { ...headersFor(dialect, "notification"), ...credentialHeader(credential) };
  const signal = AbortSignal.timeout(POST_MS);
  await upstream.request({ method: "POST", headers, body, signal }).then(drainOrClose, () => undefined);
}

const METHOD_NOT_FOUND = -32_601;

/** Answers a server for nobody: the gateway itself has no user and no model, so only a `ping` has a result. */
export function answerForNobody(origin: ReplyTo, dialect: Dialect, { method, id }: ServerRequest): void {
  if (dialect.era === "modern") return;
  const message = method === "ping" ? resultReply(id, {}) : errorReply(id, METHOD_NOT_FOUND, "Method not found");
  void postMessage(origin, dialect, message);
}

export function resultReply(id: RpcId, result: object): Buffer {
  return Buffer.from(JSON.stringify({ jsonrpc: "2.0", id, result }));
}

export function errorReply(id: RpcId, code: number, message: string): Buffer {
  return Buffer.from(JSON.stringify({ jsonrpc: "2.0", id, error: { code, message } }));
}
