import type { IncomingMessage } from "node:http";
import type { JsonObject } from "../../json/types.ts";
import { isObject } from "../../mcp/envelope.ts";
import { readJson } from "../../json/strict-reader.ts";
import { MODERN } from "../../mcp/versions.ts";
import { META, type Dialect, type Exchange } from "./era.ts";
import { createEventParser, type StreamEvent } from "./event-stream.ts";
import { consume, isEncoded, letGo, mediaOf, readWhole } from "./body.ts";
import { credentialHeader, type Upstream, type UpstreamCredential } from "./upstream.ts";

/** Of a handshake: each call may have one, and they count on nobody's account. */
const MAX_BYTES = 128 * 1024;
const LIMITS = { maxDepth: 64, maxMembers: 10_000 };
const OWN_ID = 1;

/** Sends messages of our own to a server, with a caller's credential: the probe of its era, and the handshake. */
export function exchangeWith(upstream: Upstream, credential: UpstreamCredential | null, signal: AbortSignal): Exchange {
  return async (dialect, method, params) => {
    const isNotification = method.startsWith("notifications/");
    const body = { jsonrpc: "2.0", ...(!isNotification && { id: OWN_ID }), method, params: withMeta(dialect, params) };
    const answer = await upstream.client.open({
      method: "POST",
      path: upstream.path,
      headers: { ...protocolHeaders(dialect, method), ...credentialHeader(credential) },
      body: Buffer.from(JSON.stringify(body)),
      signal,
    });
    try {
      const message = isNotification ? null : await readOwnAnswer(answer);
      const session = answer.headers["mcp-session-id"];
      return { status: answer.statusCode ?? 0, session: typeof session === "string" ? session : null, message };
    } finally {
      letGo(answer);
    }
  };
}

function withMeta(dialect: Dialect, params: object): object {
  return dialect.era === "modern" ? { ...params, _meta: META } : params;
}

function protocolHeaders(dialect: Dialect, method: string): Record<string, string> {
  return {
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
    ...(dialect.era === "modern"
      ? { "mcp-protocol-version": MODERN, "mcp-method": method }
      : { "mcp-protocol-version": dialect.version }),
    ...(dialect.era === "legacy" && dialect.session !== null && { "mcp-session-id": dialect.session }),
  };
}

/** Null for a body that holds no answer to us. */
async function readOwnAnswer(answer: IncomingMessage): Promise<JsonObject | null> {
  const media = mediaOf(answer);
  if (media === "other" || isEncoded(answer)) return null;
  if (media === "json") return ownAnswer(await readWhole(answer, MAX_BYTES));
  const parser = createEventParser(MAX_BYTES);
  let found: JsonObject | null = null;
  const look = (events: readonly StreamEvent[]) => {
    for (const { data } of events) found ??= ownAnswer(data);
    return found !== null;
  };
  if (!(await consume(answer, (chunk) => look(parser.push(chunk))))) look(parser.end());
  return found;
}

function ownAnswer(bytes: Buffer): JsonObject | null {
  const json = readJson(bytes, LIMITS);
  if (!json.ok || !isObject(json.value)) return null;
  const isAnswer = "result" in json.value || "error" in json.value;
  return isAnswer && (json.value["id"] === OWN_ID || "error" in json.value) ? json.value : null;
}
