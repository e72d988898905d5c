import { HttpFault } from "../http/client.ts";
import type { JsonObject } from "../mcp/json.ts";
import { MODERN } from "../mcp/versions.ts";

export type Era = "modern" | "legacy";

/** How one server is spoken to: the stateless revision, or an older one with the session that the server wants, if any. */
export type Dialect = { readonly era: "modern" } | LegacyDialect;

export interface LegacyDialect {
  readonly era: "legacy";
  /** The revision that the server chose in its handshake. */
  readonly version: string;
  readonly session: string | null;
}

/** What a server said to one message of ours. `message` is null where it said nothing that is JSON-RPC. */
export interface UpstreamAnswer {
  readonly status: number;
  readonly session: string | null;
  readonly message: JsonObject | null;
}

/** Sends one message of ours, and reads the answer unless it is a notification. */
export type Exchange = (dialect: Dialect, method: string, params: object) => Promise<UpstreamAnswer>;

/** The newest revision with a handshake: what we ask for. */
export const LEGACY = "2025-11-25";
const CLIENT_INFO = { name: "mcp-authz", version: "1" };
/** What each request of ours carries in the stateless revision. */
export const META = {
  "io.modelcontextprotocol/protocolVersion": MODERN,
  "io.modelcontextprotocol/clientCapabilities": {},
  "io.modelcontextprotocol/clientInfo": CLIENT_INFO,
};

/** Asks a server that nothing is known of. @throws {HttpFault} if there is no telling */
export async function negotiate(exchange: Exchange): Promise<Dialect> {
  return (await probe(exchange)) === "modern" ? { era: "modern" } : handshake(exchange);
}

/** A server that does not know the stateless revision says 400, 404 or 405; 401, 403 and 5xx say nothing about its era. */
export async function probe(exchange: Exchange): Promise<Era> {
  const { status, message } = await exchange({ era: "modern" }, "server/discover", {});
  if (status === 200 && message?.["result"] !== undefined) return "modern";
  if (![200, 400, 404, 405].includes(status)) throw new HttpFault(`status_${status}`);
  return "legacy";
}

/** The handshake of the older revisions. */
export async function handshake(exchange: Exchange): Promise<LegacyDialect> {
  const first: LegacyDialect = { era: "legacy", version: LEGACY, session: null };
  const params = { protocolVersion: LEGACY, capabilities: {}, clientInfo: CLIENT_INFO };
  const answer = await exchange(first, "initialize", params);
  const result = answer.message?.["result"] as JsonObject | undefined;
  if (answer.status !== 200 || result === undefined) throw new HttpFault(`initialize_${answer.status}`);
  const dialect: LegacyDialect = { era: "legacy", version: LEGACY, session: answer.session };
  await exchange(dialect, "notifications/initialized", {});
  return dialect;
}
