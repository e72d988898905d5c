// The sessions at servers that belong to one session of a client: one per server, opened with the first call there, and never
// replaced once they hold something. I/O by upstream/session.ts.
import { createSession, type Lease, type OpenSession, type Session, type SessionTarget } from "../upstream/session.ts";

export interface BoundUpstreams {
  /** @throws {HttpFault} if the handshake fails, or the signal ends the wait */
  acquire(target: SessionTarget, signal: AbortSignal): Promise<Lease>;
  /** The servers that have one, or for which one is opened. */
  names(): string[];
  /** Those that are open now. */
  open(): OpenSession[];
  /** Ends all, and deletes them at their servers once their calls have ended. */
  end(): void;
}

export interface BoundUpstreamsOptions {
  readonly monotonic: () => number;
  /** What the client can do for servers. */
  readonly capabilities: object;
  /** Called when a session is there, before its first call; does not fail. */
  readonly onOpen: (session: OpenSession) => Promise<void>;
  /** Called when a server has lost a session that calls have used. */
  readonly onLost: () => void;
  /** Receives each deletion, which resolves soon. */
  readonly onDelete: (deletion: Promise<void>) => void;
}

export function createBoundUpstreams(options: BoundUpstreamsOptions): BoundUpstreams {
  const sessions = new Map<string, Session>();
  let isEnded = false;

  function begin(target: SessionTarget): Session {
    const { name } = target.upstream;
    const session = createSession(target, {
      ...{ monotonic: options.monotonic, capabilities: options.capabilities, isBound: true },
      onOpen: options.onOpen,
      onDelete: options.onDelete,
      onUnusable() {
        if (sessions.get(name) === session) sessions.delete(name);
      },
    });
    sessions.set(name, session);
    return session;
  }

  return {
    async acquire(target, signal) {
      const known = sessions.get(target.upstream.name);
      known?.renew(target);
      const session = known ?? begin(target);
      if (isEnded) session.end();
      const lease = await session.lease(signal);
      return {
        ...lease,
        discard() {
          lease.discard();
          if (lease.wasUsed) options.onLost();
        },
      };
    },
    names: () => [...sessions.keys()],
    open: () => [...sessions.values()].flatMap((session) => session.current() ?? []),
    end() {
      isEnded = true;
      for (const session of sessions.values()) session.end();
      sessions.clear();
    },
  };
}
