// A request of a server on its way to the one client who can answer it. Pure but for the timer of server-requests.ts.
import { innerObjectSpan, readObjectSpan, splice } from "../../json/spans.ts";
import type { RpcId } from "../../mcp/operation.ts";
import { idOf, type ServerRequest } from "../../mcp/upstream-message.ts";
import type { ReplyTo } from "../upstream/reply.ts";
import type { LegacyDialect } from "../upstream/era.ts";
import { canAnswer, type ClientCapabilities } from "./client-capabilities.ts";
import type { ServerRequests } from "./server-requests.ts";

/** A request as it came, and where its answer goes. */
export interface Asking {
  readonly data: Buffer;
  readonly message: ServerRequest;
  readonly to: ReplyTo;
  readonly dialect: LegacyDialect;
  /** The call, or the stream, on which it came. */
  readonly origin: object;
  /** Called once when it was answered or given up. */
  readonly onDone: () => void;
}

/** What a session has for it. */
export interface AskedClient {
  readonly capabilities: ClientCapabilities;
  readonly requests: ServerRequests;
}

/** Larger messages are not searched, for a token, an id or a URI: that would hold up other calls. */
export const MAX_SEARCHED_BYTES = 64 * 1024;

/**
 * Hands a request to the client, under an id of ours. False if she did not say that she can answer it, has no stream for it, or
 * has too many to answer.
 * @param send false if there is no stream
 */
export function askClient(session: AskedClient, asking: Asking, send: (message: Buffer) => boolean): boolean {
  const { data, message, ...waiting } = asking;
  if (!canAnswer(session.capabilities, message.method)) return false;
  const id = session.requests.add({ ...waiting, id: message.id, progressToken: tokenIn(data) });
  if (id === null) return false;
  if (send(splice(data, [{ ...message.idSpan, text: String(id) }]))) return true;
  session.requests.take(id);
  return false;
}

/**
 * The cancellation of a request of a server, with the id under which the client knows it; null if she does not, or needs no
 * word of it any more.
 */
export function cancellationFor(
  { requests }: Pick<AskedClient, "requests">,
  data: Buffer,
  dialect: LegacyDialect,
): Buffer | null {
  if (data.length > MAX_SEARCHED_BYTES) return null;
  const params = innerObjectSpan(data, readObjectSpan(data)?.members.get("params"));
  const place = params?.members.get("requestId");
  const id = idOf(data, place);
  const ours = id === null ? null : requests.idOf(dialect, id);
  if (ours === null || place === undefined) return null;
  requests.take(ours);
  return splice(data, [{ ...place, text: String(ours) }]);
}

function tokenIn(data: Buffer): RpcId | null {
  if (data.length > MAX_SEARCHED_BYTES) return null;
  const params = innerObjectSpan(data, readObjectSpan(data)?.members.get("params"));
  const meta = innerObjectSpan(data, params?.members.get("_meta"));
  return idOf(data, meta?.members.get("progressToken"));
}
