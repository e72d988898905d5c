import { hash } from "node:crypto";
import { createSession, type Lease, type Session, type SessionOwner } from "./session.ts";

export interface SessionPool {
  /** @throws {HttpFault} if the server gives no session, or the signal ends the wait */
  acquire(owner: SessionOwner, signal: AbortSignal): Promise<Lease>;
  /** Ends sessions that nobody used for a while. */
  sweep(): void;
  /** Ends all sessions, and tells their servers as far as they listen. */
  close(): Promise<void>;
  readonly size: number;
}

export interface SessionPoolOptions {
  readonly maxSessions: number;
  readonly idleMs: number;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
}

/** Of one caller at one server: an exchanged token lives for minutes, and each is a session of its own. */
const MAX_PER_CALLER = 8;

/**
 * Sessions with servers of the older revisions: one per caller and credential, opened once for all who wait. Most
 * recently used last; the first goes when there are too many.
 */
export function createSessionPool(options: SessionPoolOptions): SessionPool {
  return new CallerSessions(options);
}

class CallerSessions implements SessionPool {
  readonly #options: SessionPoolOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #goodbyes = new Set<Promise<void>>();

  constructor(options: SessionPoolOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sessions.size;
  }

  acquire(owner: SessionOwner, signal: AbortSignal): Promise<Lease> {
    const key = keyOf(owner);
    const known = this.#sessions.get(key.whole);
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

  async close(): Promise<void> {
    for (const [key, session] of this.#sessions) this.#remove(key, session);
    await Promise.all(this.#goodbyes);
  }

  #open(key: string, owner: SessionOwner): Session {
    const session = createSession(owner, {
      monotonic: this.#options.monotonic,
      onUnusable: () => this.#remove(key, session),
      onGoodbye: (told) => {
        this.#goodbyes.add(told);
        void told.finally(() => this.#goodbyes.delete(told));
      },
    });
    return session;
  }

  #remove(key: string, session: Session): void {
    if (this.#sessions.get(key) === session) this.#sessions.delete(key);
    session.end();
  }

  /** Nobody's ever new credentials take the sessions of others away. */
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
  /** What all keys of one caller at one server begin with, and no others: JSON of three texts ends where it ends. */
  readonly caller: string;
  readonly whole: string;
}

/** A list of fixed length as JSON is injective (P4); the credential itself is in no key. */
function keyOf({ upstream, idp, sub, credential }: SessionOwner): Key {
  const secret = JSON.stringify(credential === null ? [] : [credential.header, credential.value.reveal()]);
  const caller = JSON.stringify([upstream.name, idp, sub]);
  return { caller, whole: caller + hash("sha256", secret, "base64url") };
}
