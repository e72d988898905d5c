// The sessions of all clients that this replica owns: bounded in number, and in idle and whole lifetime. I/O by client-session.ts.
import { pass, refuse, type Step } from "../../authz/step.ts";
import type { Audience } from "../change-notices.ts";
import { createConcurrencyLimit } from "../relay/concurrency-limit.ts";
import { createClientSession, type ClientSession, type ClientSessionOptions } from "./client-session.ts";
import type { ClientCapabilities } from "./client-capabilities.ts";
import type { SessionHolder, SessionIds } from "./session-id.ts";

/** Where the session of an id is. */
export type Found =
  | { readonly session: ClientSession; readonly owner: null }
  /** At another replica. */
  | { readonly session: null; readonly owner: string };

export interface OpenedSession {
  readonly id: string;
  readonly session: ClientSession;
}

export interface ClientSessions {
  /** Opens a session. Refuses with `rate_limited` if there are too many, and each is in use. */
  open(holder: SessionHolder, capabilities: ClientCapabilities, audience: Audience): Step<OpenedSession>;
  /** Refuses with `session_unknown` for whatever is no living session of this holder. */
  find(id: string, holder: SessionHolder): Step<Found>;
  /**
   * Ends sessions that hold something at one of these servers: it is another one now, or none. What was there is lost, and the
   * old server must not go on to speak to the client.
   */
  endAt(isGone: (server: string) => boolean): void;
  /** Ends all sessions; their clients begin anew. */
  endAll(): void;
  /** Ends sessions that were idle, or have lived, for their time. */
  sweep(): void;
  /** Ends all sessions, at their servers too; best effort. */
  close(): Promise<void>;
  readonly size: number;
}

export interface ClientSessionsOptions extends Pick<
  ClientSessionOptions,
  "events" | "readMessage" | "notificationsPerSecond" | "now" | "monotonic" | "notices" | "policies" | "onListChanged"
> {
  readonly ids: SessionIds;
  /** Where other replicas reach this one. */
  readonly address: string;
  readonly max: number;
  readonly maxPerCaller: number;
  readonly idleMs: number;
  readonly absoluteMs: number;
}

/**
 * Messages of one caller's sessions on their way to servers: answers, notifications, log levels. Each takes a connection of a
 * server and holds its body, and a server may let it wait.
 */
const MAX_MESSAGES = 64;
/** Streams of one caller's sessions: a sixteenth of the connections that a broker accepts. */
const MAX_STREAMS = 256;

interface Entry {
  readonly session: ClientSession;
  readonly openedAt: number;
}

export function createClientSessions(options: ClientSessionsOptions): ClientSessions {
  return new OwnedSessions(options);
}

class OwnedSessions implements ClientSessions {
  readonly #options: ClientSessionsOptions;
  /** By key; the least recently used first. */
  readonly #entries = new Map<string, Entry>();
  /** Keys by caller; the least recently used first. */
  readonly #byCaller = new Map<string, Set<string>>();
  readonly #deletions = new Set<Promise<void>>();
  readonly #messages = createConcurrencyLimit(MAX_MESSAGES);
  readonly #streams = createConcurrencyLimit(MAX_STREAMS);

  constructor(options: ClientSessionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  open(holder: SessionHolder, capabilities: ClientCapabilities, audience: Audience): Step<OpenedSession> {
    const { ids, max, maxPerCaller } = this.#options;
    const { monotonic, now, events, readMessage, notificationsPerSecond } = this.#options;
    const { notices, policies, onListChanged } = this.#options;
    const own = this.#byCaller.get(callerOf(holder));
    if (own !== undefined && own.size >= maxPerCaller && !this.#endIdle(own)) return refuse("rate_limited", "sessions");
    if (this.size >= max && !this.#endIdle(this.#entries.keys())) return refuse("rate_limited", "sessions");
    const { id, key } = ids.mint(holder);
    const session = createClientSession({
      ...{ key, holder, capabilities, monotonic, events, readMessage, notificationsPerSecond },
      ...{ now, notices, policies, audience, onListChanged },
      tryMessage: () => this.#messages.tryAcquire(callerOf(holder)),
      tryStream: () => this.#streams.tryAcquire(callerOf(holder)),
      onEnd: () => this.#forget(key, holder),
      onDelete: (deletion) => {
        this.#deletions.add(deletion);
        void deletion.finally(() => this.#deletions.delete(deletion));
      },
    });
    this.#keep(key, { session, openedAt: monotonic() });
    return pass({ id, session });
  }

  find(id: string, holder: SessionHolder): Step<Found> {
    const { ids, address } = this.#options;
    const ref = ids.read(id, holder);
    if (ref === null) return refuse("session_unknown", "seal or age");
    if (ref.owner !== address) return pass({ session: null, owner: ref.owner });
    const entry = this.#entries.get(ref.key);
    if (entry === undefined) return refuse("session_unknown", "ended");
    if (this.#isOver(entry)) {
      entry.session.end();
      return refuse("session_unknown", "over");
    }
    this.#keep(ref.key, entry);
    return pass({ session: entry.session, owner: null });
  }

  endAt(isGone: (server: string) => boolean): void {
    for (const { session } of this.#entries.values())
      if (session.upstreams.names().some((server) => isGone(server))) session.end();
  }

  endAll(): void {
    for (const { session } of this.#entries.values()) session.end();
  }

  sweep(): void {
    for (const entry of this.#entries.values()) if (this.#isOver(entry)) entry.session.end();
  }

  async close(): Promise<void> {
    this.endAll();
    await Promise.all(this.#deletions);
  }

  #isOver({ session, openedAt }: Entry): boolean {
    const { idleMs, absoluteMs, monotonic } = this.#options;
    return session.idleFor() >= idleMs || monotonic() - openedAt >= absoluteMs;
  }

  /** As the most recently used. */
  #keep(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    const caller = callerOf(entry.session.holder);
    const own = this.#byCaller.get(caller) ?? new Set();
    own.delete(key);
    this.#byCaller.set(caller, own.add(key));
  }

  #forget(key: string, holder: SessionHolder): void {
    this.#entries.delete(key);
    const caller = callerOf(holder);
    const own = this.#byCaller.get(caller);
    own?.delete(key);
    if (own?.size === 0) this.#byCaller.delete(caller);
  }

  /** Ends the least recently used of these that nothing is under way in; false if there is none. */
  #endIdle(keys: Iterable<string>): boolean {
    for (const key of keys) {
      const session = this.#entries.get(key)?.session;
      if (session === undefined || session.idleFor() === 0) continue;
      session.end();
      return true;
    }
    return false;
  }
}

function callerOf({ idp, sub }: SessionHolder): string {
  return JSON.stringify([idp, sub]);
}
