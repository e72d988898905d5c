// Messages of a client that act on her own session: answers to servers' requests, notifications for servers, the level of log
// messages. What nobody waits for is dropped. I/O by upstream/.
import { refuse, pass, type Step } from "../../authz/step.ts";
import { readObjectSpan, splice } from "../../json/spans.ts";
import type { JsonObject } from "../../json/types.ts";
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

/** Sends an answer to the server whose request has this id; nothing for an id that does not wait, and for a second answer. */
export function passAnswer({ requests }: ClientSession, { operation, body }: ClientMessage): void {
  const request = operation.id === null ? null : requests.take(operation.id);
  const id = readObjectSpan(body)?.members.get("id");
  if (request === null || id === undefined) return;
  void postMessage(request.to, request.dialect, splice(body, [{ ...id, text: JSON.stringify(request.id) }]));
}

/** Passes a notification on to the servers that it concerns: progress of an answer, or changed roots. */
export function passNotification(session: ClientSession, { operation, params, body }: ClientMessage): void {
  if (operation.method === "notifications/roots/list_changed" && session.capabilities.roots !== undefined) {
    for (const { dialect, ...to } of session.upstreams.open()) void postMessage(to, dialect, body);
  }
  if (operation.method !== "notifications/progress" || !isId(params["progressToken"])) return;
  const request = session.requests.withToken(params["progressToken"]);
  if (request !== null) void postMessage(request.to, request.dialect, body);
}

/** Sets the level at the servers of this session. Refuses with `params_invalid` for one that RFC 5424 does not have. */
export async function setLogLevel(session: ClientSession, { level }: JsonObject): Promise<Step<null>> {
  if (typeof level !== "string" || !LOG_LEVELS.includes(level)) return refuse("params_invalid", "level");
  await session.settings.setLogLevel(level, session.upstreams.open());
  return pass(null);
}

function isId(value: unknown): value is RpcId {
  return typeof value === "string" || typeof value === "number";
}
