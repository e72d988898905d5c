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

  function makeRoom(): void {
    for (const [key, session] of sessions) {
      if (sessions.size <= maxSessions) return;
      remove(key, session);
    }
  }

  return {
    acquire(owner, signal) {
      const key = keyOf(owner);
      const session = sessions.get(key) ?? open(key, owner);
      sessions.delete(key);
      sessions.set(key, session);
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

/** A list of fixed length as JSON is injective (P4); the credential itself is in no key. */
function keyOf({ upstream, idp, sub, credential }: SessionOwner): string {
  const secret = JSON.stringify(credential === null ? [] : [credential.header, credential.value.reveal()]);
  return JSON.stringify([upstream.name, idp, sub, hash("sha256", secret, "base64url")]);
}
