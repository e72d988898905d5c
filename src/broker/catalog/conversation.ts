// A conversation with one server for its lists, as the gateway itself: in the server's own era, with one session if it
// wants one. I/O by upstream/client.ts.
import { HttpFault } from "../../http/client.ts";
import { isObject } from "../../json/object.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import { endSession, OWN_ID, send, sendOwn, type Budget } from "../upstream/client.ts";
import {
  handshake,
  HandshakeFault,
  probe,
  type Dialect,
  type LegacyDialect,
  type SendOwn,
  type UpstreamResponse,
} from "../upstream/era.ts";
import { readUpstreamMessage } from "../../mcp/upstream-message.ts";
import { answerForNobody } from "../upstream/reply.ts";
import type { UpstreamConnections, UpstreamCredential } from "../upstream/upstream.ts";
import type { OlderHandshake, Spoken } from "./direct-fit.ts";
import { readListResponse, type ListResponse, type ListResult } from "./list-response.ts";

/** The server, and what the gateway identifies itself with: never anything of a caller. */
export interface ListedUpstream {
  readonly upstream: UpstreamConnections;
  readonly credential: UpstreamCredential | null;
  /** True for a server that clients call without us: it is asked for its older revisions too. */
  readonly isDirect?: boolean;
}

export interface Conversation {
  readonly dialect: Dialect;
  /** Null unless asked for. */
  readonly spoken: Spoken | null;
  /** Capabilities that the server declares. */
  readonly capabilities: JsonObject;
  /** The result of a list request; null if the server does not know the method. @throws {HttpFault} */
  list(method: string, params: Readonly<Record<string, JsonValue>>): Promise<ListResult | null>;
  /** Ends the session, if there is one; best effort. */
  close(): Promise<void>;
}

const METHOD_NOT_FOUND = -32_601;
/** Servers show some tools only to clients that can be asked. Each caller's own session declares what her client can do. */
const EVERY_CAPABILITY = { elicitation: {}, sampling: {}, roots: {} };
const MAX_ANSWERED = 16;
const MAX_REQUEST_BYTES = 64 * 1024;

/** @throws {HttpFault} */
export async function converse(listed: ListedUpstream, budget: Budget): Promise<Conversation> {
  const { upstream, credential, isDirect = false } = listed;
  const ask = sendOwn(upstream, credential, budget);
  const end = (dialect: LegacyDialect) => endSession(upstream, credential, dialect);
  let greeting: JsonObject | null = null;
  const greet: SendOwn = async (...message) => {
    const response = await ask(...message);
    const result = response.message?.["result"];
    if (isObject(result)) greeting = result;
    return response;
  };
  const dialect: Dialect =
    (await probe(greet)) === "modern" ? { era: "modern" } : await handshake(greet, end, EVERY_CAPABILITY);
  const capabilities = capabilitiesIn(greeting);
  const reader = {
    budget,
    maxBytes: Infinity,
    read: (bytes: Buffer) => readListResponse(bytes, OWN_ID, budget.slices),
    other: refuser({ upstream, credential }, dialect),
  };
  const older = dialect.era === "legacy" ? olderOf(dialect) : isDirect ? await olderHandshake(ask, end) : "unknown";
  return {
    dialect,
    spoken: isDirect ? { modern: dialect.era === "modern", older } : null,
    capabilities,
    list: async (method, params) =>
      resultOf(await send(upstream, credential, { message: { dialect, method, params }, reader })),
    close: async () => {
      if (dialect.era === "legacy") await end(dialect);
    },
  };
}

const olderOf = ({ version, session }: LegacyDialect): OlderHandshake => ({ version, hasSession: session !== null });

/** What a server of the stateless revision says to the handshake of the older ones. */
async function olderHandshake(ask: SendOwn, end: (dialect: LegacyDialect) => Promise<void>): Promise<Spoken["older"]> {
  try {
    const dialect = await handshake(ask, end);
    await end(dialect);
    return olderOf(dialect);
  } catch (error) {
    const isAnswered = error instanceof HandshakeFault && [200, 400, 404, 405].includes(error.status);
    return isAnswered && error.stage === "initialize" ? null : "unknown";
  }
}

/** Answers the requests that a server makes while it is listed: nobody is there who could, and a server may wait for it. */
function refuser(origin: ListedUpstream, dialect: Dialect): (event: Buffer) => void {
  let left = MAX_ANSWERED;
  return (event) => {
    const message = left > 0 && event.length <= MAX_REQUEST_BYTES ? readUpstreamMessage(event) : null;
    if (message?.kind !== "request") return;
    left -= 1;
    answerForNobody(origin, dialect, message);
  };
}

/** @throws {HttpFault} for a server whose `server/discover` response was an error: only its code told its era */
function capabilitiesIn(greeting: JsonObject | null): JsonObject {
  if (greeting === null) throw new HttpFault("discover_refused");
  const { capabilities } = greeting;
  return isObject(capabilities) ? capabilities : {};
}

function resultOf({ status, message }: UpstreamResponse<ListResponse>): ListResult | null {
  if (status === 200 && message?.kind === "result") return message.result;
  if (message?.kind === "error" && message.code === METHOD_NOT_FOUND) return null;
  if (status !== 200) throw new HttpFault(`status_${status}`);
  throw new HttpFault(message === null ? "malformed_answer" : "rpc_error");
}
