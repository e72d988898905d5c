// Requests that a server sends on the stream of a call: towards it the broker is the client, and a client must answer. I/O by
// upstream/reply.ts.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/ping
import type { ServerRequest } from "../../mcp/upstream-message.ts";
import type { Dialect } from "../upstream/era.ts";
import { errorReply, reply, resultReply } from "../upstream/reply.ts";
import type { RelayCall } from "./admit.ts";

/** The call on whose stream a request came, and how its server is spoken to. */
export interface RequestOrigin {
  readonly call: Pick<RelayCall, "upstream" | "credential">;
  readonly request: { readonly dialect: Dialect };
}

const METHOD_NOT_FOUND = -32_601;

/**
 * Answers a request of a server at once: it may wait for ever, and its caller with it. False in the stateless revision, which
 * has no such requests.
 */
export function answerRequest({ call, request: { dialect } }: RequestOrigin, { method, id }: ServerRequest): boolean {
  if (dialect.era === "modern") return false;
  const message = method === "ping" ? resultReply(id, {}) : errorReply(id, METHOD_NOT_FOUND, "Method not found");
  void reply(call, dialect, message);
  return true;
}
