import type { JsonObject, JsonValue } from "../mcp/json.ts";
import { readJson } from "../mcp/strict-json.ts";
import { MODERN } from "../mcp/versions.ts";
import { NO_ENTRIES, usableEntries, type ServerEntries } from "./definitions.ts";
import { META, negotiate, type Dialect, type UpstreamAnswer } from "./era.ts";

export interface UpstreamOptions {
  readonly url: string;
  /** As whom the server is listed: a header with its value, or null. */
  readonly credential: { readonly header: string; readonly value: string } | null;
  readonly fetch: typeof fetch;
  readonly timeoutMs: number;
}

const MAX_ANSWER_BYTES = 8 * 1024 * 1024;
const MAX_PAGES = 100;
const METHOD_NOT_FOUND = -32601;

/** Reads everything that a server lists, in the server's own era. @throws {Error} with a short reason */
export async function listUpstream(options: UpstreamOptions): Promise<ServerEntries> {
  const signal = AbortSignal.timeout(options.timeoutMs);
  const dialect = await negotiate((at, method, params) => send(options, at, method, params, signal));
  const all = (method: string, member: string, key: "name" | "uri" | "uriTemplate") =>
    listAll(options, dialect, method, member, key, signal);
  const tools = await all("tools/list", "tools", "name");
  const prompts = await all("prompts/list", "prompts", "name");
  const resources = await all("resources/list", "resources", "uri");
  const templates = await all("resources/templates/list", "resourceTemplates", "uriTemplate");
  return { ...NO_ENTRIES, tools, prompts, resources, templates };
}

async function listAll(
  options: UpstreamOptions,
  dialect: Dialect,
  method: string,
  member: string,
  key: "name" | "uri" | "uriTemplate",
  signal: AbortSignal,
): Promise<JsonObject[]> {
  const found: JsonValue[] = [];
  let cursor: JsonValue | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { status, message } = await send(options, dialect, method, cursor === undefined ? {} : { cursor }, signal);
    const error = message?.["error"] as JsonObject | undefined;
    if (error?.["code"] === METHOD_NOT_FOUND) return [];
    const result = message?.["result"] as JsonObject | undefined;
    if (status !== 200 || result === undefined) throw new Error(`${method}: status ${status}`);
    const list = result[member];
    if (Array.isArray(list)) found.push(...(list as readonly JsonValue[]));
    cursor = result["nextCursor"];
    if (typeof cursor !== "string") break;
  }
  return usableEntries(found, key);
}

async function send(
  options: UpstreamOptions,
  dialect: Dialect,
  method: string,
  params: object,
  signal: AbortSignal,
): Promise<UpstreamAnswer> {
  const isNotification = method.startsWith("notifications/");
  const modern = dialect.era === "modern";
  const body = {
    jsonrpc: "2.0",
    ...(!isNotification && { id: 1 }),
    method,
    params: modern ? { ...params, _meta: META } : params,
  };
  const response = await options.fetch(options.url, {
    method: "POST",
    redirect: "manual",
    signal,
    body: JSON.stringify(body),
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": modern ? MODERN : dialect.version,
      ...(modern && { "mcp-method": method }),
      ...(!modern && dialect.session !== null && { "mcp-session-id": dialect.session }),
      ...(options.credential !== null && { [options.credential.header]: options.credential.value }),
    },
  });
  const message = isNotification ? null : await readMessage(response);
  if (isNotification) await response.body?.cancel();
  return { status: response.status, session: response.headers.get("mcp-session-id"), message };
}

/** The JSON-RPC answer of a JSON body, or the first event of a stream that has one. */
async function readMessage(response: Response): Promise<JsonObject | null> {
  const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") ?? false;
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_ANSWER_BYTES) throw new Error("the answer is too large");
    if (!isStream) continue;
    const found = firstAnswer(text);
    if (found !== null) return found;
  }
  return isStream ? firstAnswer(`${text}\n\n`) : objectOf(text);
}

function firstAnswer(stream: string): JsonObject | null {
  const events = stream.split(/\r?\n\r?\n/).slice(0, -1);
  for (const event of events) {
    const data = event
      .split(/\r?\n/)
      .filter((line) => line.startsWith("data:"))
      .map((line) => line.slice(5).trimStart());
    const message = objectOf(data.join("\n"));
    if (message !== null && ("result" in message || "error" in message)) return message;
  }
  return null;
}

function objectOf(text: string): JsonObject | null {
  const json = readJson(Buffer.from(text), { maxDepth: 64, maxMembers: 200_000 });
  return json.ok && typeof json.value === "object" && json.value !== null && !Array.isArray(json.value)
    ? (json.value as JsonObject)
    : null;
}
