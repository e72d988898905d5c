// Messages of a client that act on her own session: answers to servers' requests, notifications for servers, the level of log
// messages. What nobody waits for is dropped. I/O by upstream/.
import { refuse, pass, type Step } from "../../authz/step.ts";
import { readObjectSpan, splice } from "../../json/spans.ts";
import type { JsonObject } from "../../json/types.ts";
import { RESPONSE } from "../../mcp/method-table.ts";
import type { Operation, RpcId } from "../../mcp/operation.ts";
import { postMessage } from "../upstream/reply.ts";
import type { ClientSession } from "./client-session.ts";
import { LOG_LEVELS } from "./session-settings.ts";

/** A message, as it came. */
export interface ClientMessage {
  readonly operation: Operation;
  readonly params: JsonObject;
  readonly body: Buffer;
}

/** Passes an answer or a notification on. Refuses with `rate_limited` if too many of this caller are on their way. */
export function passMessage(session: ClientSession, message: ClientMessage): Step<null> {
  const release = session.tryMessage();
  if (release === null) return refuse("rate_limited", "messages of sessions");
  const posts = message.operation.method === RESPONSE ? answerTo(session, message) : notificationTo(session, message);
  void Promise.all(posts).finally(release);
  return pass(null);
}

/** Hands an answer to the call that waits for it, or sends it to the server whose request has this id; nothing for an id that does not wait, and for a second answer. */
function answerTo({ requests, answers }: ClientSession, { operation, body }: ClientMessage): Promise<void>[] {
  if (operation.id !== null && answers.take(operation.id, body)) return [];
  const request = operation.id === null ? null : requests.take(operation.id);
  const id = readObjectSpan(body)?.members.get("id");
  if (request === null || id === undefined) return [];
  return [postMessage(request.to, request.dialect, splice(body, [{ ...id, text: JSON.stringify(request.id) }]))];
}

/** Passes a notification on to the servers that it concerns: progress of an answer, or changed roots. */
function notificationTo(session: ClientSession, { operation, params, body }: ClientMessage): Promise<void>[] {
  if (operation.method === "notifications/roots/list_changed" && session.capabilities.roots !== undefined)
    return session.upstreams.open().map(({ dialect, ...to }) => postMessage(to, dialect, body));
  if (operation.method !== "notifications/progress" || !isId(params["progressToken"])) return [];
  const request = session.requests.withToken(params["progressToken"]);
  return request === null ? [] : [postMessage(request.to, request.dialect, body)];
}

/** Sets the level at the servers of an MCP session. Refuses with `params_invalid` for one that RFC 5424 does not have. */
export async function setLogLevel(session: ClientSession, { level }: JsonObject): Promise<Step<null>> {
  if (typeof level !== "string" || !LOG_LEVELS.includes(level)) return refuse("params_invalid", "level");
  const release = session.tryMessage();
  if (release === null) return refuse("rate_limited", "messages of sessions");
  await session.settings.setLogLevel(level, session.upstreams.open()).finally(release);
  return pass(null);
}

function isId(value: unknown): value is RpcId {
  return typeof value === "string" || typeof value === "number";
}
