// Sends a server the responses to its requests. Best effort: resolves soon, whatever the server does. I/O.
import { drainOrClose } from "../../http/client.ts";
import type { RpcId } from "../../mcp/operation.ts";
import { headersFor } from "./client.ts";
import type { LegacyDialect } from "./era.ts";
import { credentialHeader, type UpstreamConnections, type UpstreamCredential } from "./upstream.ts";

/** A server, and the credential of the call that made it ask. */
export interface ReplyTo {
  readonly upstream: UpstreamConnections;
  readonly credential: UpstreamCredential | null;
}

const REPLY_MS = 5000;

/** Sends one JSON-RPC response, in the session in which the server has asked. */
export async function reply({ upstream, credential }: ReplyTo, dialect: LegacyDialect, body: Buffer): Promise<void> {
  const headers = { ...headersFor(dialect, "response"), ...credentialHeader(credential) };
  const signal = AbortSignal.timeout(REPLY_MS);
  await upstream.request({ method: "POST", headers, body, signal }).then(drainOrClose, () => undefined);
}

export function resultReply(id: RpcId, result: object): Buffer {
  return Buffer.from(JSON.stringify({ jsonrpc: "2.0", id, result }));
}

export function errorReply(id: RpcId, code: number, message: string): Buffer {
  return Buffer.from(JSON.stringify({ jsonrpc: "2.0", id, error: { code, message } }));
}
