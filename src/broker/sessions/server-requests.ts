// Requests of servers that a client still has to answer, by the ids under which she got them. Timers only.
import { randomInt } from "node:crypto";
import { later as timer, type Alarm, type Later } from "../../async/later.ts";
import type { RpcId } from "../../mcp/operation.ts";
import type { LegacyDialect } from "../upstream/era.ts";
import { errorReply, postMessage, type ReplyTo } from "../upstream/reply.ts";

/** A request of a server, and where its answer goes. */
export interface ServerRequestRecord {
  readonly to: ReplyTo;
  readonly dialect: LegacyDialect;
  /** The server's id. */
  readonly id: RpcId;
  /** The server's token for the progress that its client may report. */
  readonly progressToken: RpcId | null;
  /** The call, or the stream, on which it came: with its end nobody waits any more. */
  readonly origin: object;
  /** Called once when it was answered or given up. */
  readonly onDone: () => void;
}

export interface ServerRequests {
  /** Keeps a request and returns the id for its client; null if there are too many. */
  add(request: ServerRequestRecord): number | null;
  /** Takes out the request with this id of ours; null for any other id. */
  take(id: RpcId): ServerRequestRecord | null;
  /**
   * The id of ours for a request of the MCP session with a server; null if it does not wait. Sessions are told apart as objects:
   * two servers may have the same id, or none.
   */
  idOf(session: LegacyDialect, id: RpcId): number | null;
  /** The one request with this progress token; null for none or several. */
  withToken(token: RpcId): ServerRequestRecord | null;
  /** Gives up the requests of this origin, without an answer. */
  forget(origin: object): void;
  /** Gives up all: each server is told that nobody answers. */
  close(): void;
}

/** Requests that wait in one session. */
const MAX_WAITING = 64;
/** A person may take her time; a server must not wait for ever. */
export const ANSWER_MS = 10 * 60_000;
/** So large that no id was given out before, and below 2^53: an integer to any client. */
const MAX_ID = 2 ** 47;
/** As the SDKs name it: RequestTimeout. */
const TIMED_OUT = -32_001;

export function createServerRequests(later: Later = timer): ServerRequests {
  const waiting = new Map<number, { readonly request: ServerRequestRecord; readonly alarm: Alarm }>();

  function take(id: RpcId): ServerRequestRecord | null {
    const found = typeof id === "number" ? waiting.get(id) : undefined;
    if (found === undefined) return null;
    waiting.delete(id as number);
    found.alarm.cancel();
    found.request.onDone();
    return found.request;
  }

  function giveUp(id: number): void {
    const request = take(id);
    if (request === null) return;
    void postMessage(request.to, request.dialect, errorReply(request.id, TIMED_OUT, "No answer from the client"));
  }

  return {
    add(request) {
      if (waiting.size >= MAX_WAITING) return null;
      const id = randomInt(1, MAX_ID);
      waiting.set(id, { request, alarm: later(() => giveUp(id), ANSWER_MS) });
      return id;
    },
    take,
    idOf(session, id) {
      for (const [ours, { request }] of waiting) if (request.dialect === session && request.id === id) return ours;
      return null;
    },
    withToken(token) {
      const found = [...waiting.values()].filter(({ request }) => request.progressToken === token);
      return found.length === 1 ? (found[0]?.request ?? null) : null;
    },
    forget(origin) {
      for (const [id, { request }] of waiting) if (request.origin === origin) take(id);
    },
    close() {
      for (const id of waiting.keys()) giveUp(id);
    },
  };
}
