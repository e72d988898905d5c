// The sessions of all callers with servers of the older revisions, bounded in number and idle time. I/O by session.ts.
import { hash } from "node:crypto";
import { credentialKey } from "./upstream.ts";
import { createSession, type Lease, type Session, type SessionTarget } from "./session.ts";

/** The caller to whom a session belongs. Another caller, or another credential of the same caller, has another session. */
export interface SessionOwner extends SessionTarget {
  /** The caller's issuer and subject, verified. */
  readonly idp: string;
  readonly sub: string;
  /** The client that the caller's token was issued to. */
  readonly client: string;
  /** What the client can do for the server: sessions of others differ. Nothing without. */
  readonly capabilities?: object;
}

export interface SessionPool {
  /** @throws {HttpFault} if the handshake fails, or the signal ends the wait */
  acquire(owner: SessionOwner, signal: AbortSignal): Promise<Lease>;
  /** Ends sessions that were idle for `idleMs`. */
  sweep(): void;
  /** Ends all sessions with a server that is another one now, or is not there any more. */
  endAt(server: string): void;
  /** Ends all sessions, and deletes them at their servers; best effort. */
  close(): Promise<void>;
  readonly size: number;
}

export interface SessionPoolOptions {
  readonly maxSessions: number;
  readonly idleMs: number;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
}

/** Sessions of one caller at one server: an exchanged token lives for minutes, and each has a session of its own. */
const MAX_PER_CALLER = 8;

/**
 * One session per caller, client (unless the server's sessions are `caller`) and credential, opened once for all calls that wait for it. The least recently used is the first of
 * the map, and is ended when there are too many.
 */
export function createSessionPool(options: SessionPoolOptions): SessionPool {
  return new CallerSessions(options);
}

class CallerSessions implements SessionPool {
  readonly #options: SessionPoolOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #deletions = new Set<Promise<void>>();

  constructor(options: SessionPoolOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sessions.size;
  }

  acquire(owner: SessionOwner, signal: AbortSignal): Promise<Lease> {
    const key = keyOf(owner);
    const known = this.#sessions.get(key.whole);
    known?.renew(owner);
    const session = known ?? this.#open(key.whole, owner);
    this.#sessions.delete(key.whole);
    this.#sessions.set(key.whole, session);
    if (known === undefined) this.#makeRoomFor(key);
    this.#makeRoom();
    return session.lease(signal);
  }

  sweep(): void {
    for (const [key, session] of this.#sessions) {
      if (session.idleFor() > this.#options.idleMs) this.#remove(key, session);
    }
  }

  endAt(server: string): void {
    const prefix = prefixOf(server);
    for (const [key, session] of this.#sessions) if (key.startsWith(prefix)) this.#remove(key, session);
  }

  async close(): Promise<void> {
    for (const [key, session] of this.#sessions) this.#remove(key, session);
    await Promise.all(this.#deletions);
  }

  #open(key: string, owner: SessionOwner): Session {
    const session = createSession(owner, {
      ...(owner.capabilities !== undefined && { capabilities: owner.capabilities }),
      monotonic: this.#options.monotonic,
      onUnusable: () => this.#remove(key, session),
      onDelete: (deletion) => {
        this.#deletions.add(deletion);
        void deletion.finally(() => this.#deletions.delete(deletion));
      },
    });
    return session;
  }

  #remove(key: string, session: Session): void {
    if (this.#sessions.get(key) === session) this.#sessions.delete(key);
    session.end();
  }

  /** A caller with ever new credentials ends sessions of that caller only. */
  #makeRoomFor({ caller }: Key): void {
    const own = [...this.#sessions].filter(([key]) => key.startsWith(caller));
    for (const [key, session] of own.slice(0, -MAX_PER_CALLER)) this.#remove(key, session);
  }

  #makeRoom(): void {
    for (const [key, session] of this.#sessions) {
      if (this.#sessions.size <= this.#options.maxSessions) return;
      this.#remove(key, session);
    }
  }
}

interface Key {
  /** The prefix of all keys of one caller at one server, and of no others: JSON of three texts ends where it ends. */
  readonly caller: string;
  readonly whole: string;
}

/** The beginning of all keys of a server, and of no others: its name ends at the quotation mark. */
function prefixOf(server: string): string {
  return `[${JSON.stringify(server)},`;
}

/** A list of fixed length as JSON is injective (P4); the credential itself is in no key. */
function keyOf({ upstream, idp, sub, client, credential, capabilities = {} }: SessionOwner): Key {
  const shared = upstream.sessions === "caller" ? null : client;
  const secret = credentialKey(credential);
  const caller = JSON.stringify([upstream.name, idp, sub]);
  const passed = Object.entries(upstream.passed);
  return {
    caller,
    whole:
      caller +
      hash("sha256", JSON.stringify([upstream.destination, shared, secret, passed, capabilities]), "base64url"),
  };
}
