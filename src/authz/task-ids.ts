// Ids of tasks (SEP-2663) towards clients: the server's own id, sealed over the caller with the call that made the task. Pure but for
// the sealer's randomness.
import { z } from "zod";
import { parseJson } from "../json/parse.ts";
import { SERVER_NAME } from "../mcp/resolver.ts";
import type { Sealer } from "../secret/seal.ts";

/** A task of a server. Who may not call `tool` may not ask for the task either. */
export interface Task {
  readonly server: string;
  /** The tool whose call made the task, without prefix. */
  readonly tool: string;
  /** The server's own id. */
  readonly id: string;
}

/** The caller of a task: nobody else's id opens. */
export interface TaskOwner {
  readonly issuer: string;
  readonly subject: string;
  /** The client of the caller's token: another client of hers is somebody else. */
  readonly client: string;
}

export interface TaskIds {
  seal(owner: TaskOwner, task: Task): string;
  /** Null for what is unknown, altered or somebody else's: they cannot be told apart. */
  open(owner: TaskOwner, text: string): Task | null;
}

/** Characters of a server's own id. */
export const MAX_TASK_ID = 512;

const payload = z.tuple([z.string().regex(SERVER_NAME), z.string().min(1), z.string().min(1).max(MAX_TASK_ID)]);

export function createTaskIds(sealer: Sealer): TaskIds {
  const contextOf = ({ issuer, subject, client }: TaskOwner) => ({
    purpose: "task",
    bound: [issuer, subject, client],
  });
  return {
    seal: (owner, { server, tool, id }) =>
      sealer.seal(Buffer.from(JSON.stringify([server, tool, id])), contextOf(owner)),
    open(owner, text) {
      const opened = sealer.open(text, contextOf(owner));
      const read = opened === null ? null : payload.safeParse(parseJson(opened.toString()));
      if (read?.success !== true) return null;
      const [server, tool, id] = read.data;
      return { server, tool, id };
    },
  };
}
