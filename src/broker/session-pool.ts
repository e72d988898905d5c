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
export function createSessionPool({ maxSessions, idleMs, monotonic }: SessionPoolOptions): SessionPool {
  const sessions = new Map<string, Session>();
  const goodbyes = new Set<Promise<void>>();

  function remove(key: string, session: Session): void {
    if (sessions.get(key) === session) sessions.delete(key);
    session.end();
  }

  function open(key: string, owner: SessionOwner): Session {
    const session = createSession(owner, {
      monotonic,
      onUnusable: () => remove(key, session),
      onGoodbye: (told) => {
        goodbyes.add(told);
        void told.finally(() => goodbyes.delete(told));
      },
    });
    return session;
  }

  /** Nobody's ever new credentials take the sessions of others away. */
  function makeRoomFor({ caller }: Key): void {
    const own = [...sessions].filter(([key]) => key.startsWith(caller));
    for (const [key, session] of own.slice(0, -MAX_PER_CALLER)) remove(key, session);
  }

  function makeRoom(): void {
    for (const [key, session] of sessions) {
      if (sessions.size <= maxSessions) return;
      remove(key, session);
    }
  }

  return {
    acquire(owner, signal) {
      const key = keyOf(owner);
      const known = sessions.get(key.whole);
      const session = known ?? open(key.whole, owner);
      sessions.delete(key.whole);
      sessions.set(key.whole, session);
      if (known === undefined) makeRoomFor(key);
      makeRoom();
      return session.lease(signal);
    },
    sweep() {
      for (const [key, session] of sessions) if (session.idleFor() > idleMs) remove(key, session);
    },
    async close() {
      for (const [key, session] of sessions) remove(key, session);
      await Promise.all(goodbyes);
    },
    get size() {
      return sessions.size;
    },
  };
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
