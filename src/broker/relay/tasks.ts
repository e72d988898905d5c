// Tasks of a server (SEP-2663) on their way through the relay: their ids are sealed towards the client, and opened towards the
// server. A client that does not know tasks, or a broker without keys, gets none. Pure.
import { MAX_TASK_ID, type Task, type TaskIds, type TaskOwner } from "../../authz/task-ids.ts";
import { innerObjectSpan, type Edit, type ObjectSpan } from "../../json/spans.ts";
import { isOfTask, TASKS_EXTENSION } from "../../mcp/method-table.ts";
import type { Operation } from "../../mcp/operation.ts";
import { MODERN } from "../../mcp/versions.ts";
import { META_CAPABILITIES } from "../../mcp/meta.ts";
import type { WristbandClaims } from "../../wristband/claims.ts";

/** What a call has to do with tasks. */
export type CallTask =
  /** Nothing: its client gets no task. */
  | { readonly kind: "none" }
  /** It may make one, whose id is sealed. */
  | { readonly kind: "may-make"; readonly seal: (id: string) => string }
  /** It is about one: `text` is the client's id of it. */
  | { readonly kind: "about"; readonly task: Task; readonly text: string };

const NONE: CallTask = { kind: "none" };

/** The task that a request is about, null for an unknown one. */
export function taskOf(ids: TaskIds | null, { method, name }: Operation, wristband: WristbandClaims): Task | null {
  if (ids === null || name === null || !isOfTask(method)) return null;
  return ids.open(ownerOf(wristband), name);
}

export interface TaskMaker {
  readonly operation: Operation;
  readonly body: Buffer;
  readonly wristband: WristbandClaims;
  readonly server: string;
  /** The tool's own name. */
  readonly tool: string;
}

/** What a tool call may make: a task, if its client says that she knows them. */
export function taskMade(ids: TaskIds | null, call: TaskMaker): CallTask {
  const { operation, wristband, server, tool } = call;
  if (ids === null || operation.version !== MODERN || operation.method !== "tools/call") return NONE;
  if (extensionsIn(call.body)?.members.has(TASKS_EXTENSION) !== true) return NONE;
  return { kind: "may-make", seal: (id) => ids.seal(ownerOf(wristband), { server, tool, id }) };
}

function ownerOf({ idp, sub, client }: WristbandClaims): TaskOwner {
  return { issuer: idp, subject: sub, client };
}

function extensionsIn(body: Buffer): ObjectSpan | null {
  const root = innerObjectSpan(body, { start: 0, end: body.length });
  return ["params", "_meta", META_CAPABILITIES, "extensions"].reduce<ObjectSpan | null>(
    (at, name) => (at === null ? null : innerObjectSpan(body, at.members.get(name))),
    root,
  );
}

/** Takes the extension out of the client's capabilities where no task could go on to her. */
export function withoutTasks(body: Buffer, task: CallTask): Edit[] {
  const extensions = task.kind === "none" ? extensionsIn(body) : null;
  if (extensions?.members.has(TASKS_EXTENSION) !== true) return [];
  const others = [...extensions.members].filter(([name]) => name !== TASKS_EXTENSION);
  const texts = others.map(([name, { start, end }]) => `${JSON.stringify(name)}:${body.toString("utf8", start, end)}`);
  return [{ start: extensions.start, end: extensions.end, text: `{${texts.join()}}` }];
}

/** The id of a task in a result as its client gets it; null if it is none. */
export function clientTaskId(task: CallTask, id: unknown): string | null {
  if (typeof id !== "string" || id === "" || id.length > MAX_TASK_ID) return null;
  if (task.kind === "may-make") return task.seal(id);
  return task.kind === "about" && task.task.id === id ? task.text : null;
}
