// A session with one server of an older revision: opened by a handshake, leased to calls, deleted at the server at its end. I/O.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#session-management
import { faultIn, orAborted } from "../abort.ts";
import { createBudget, endSession, sendOwn } from "./client.ts";
import { handshake, type LegacyDialect } from "./era.ts";
import type { Upstream, UpstreamCredential } from "./upstream.ts";

/** The caller to whom a session belongs. Another caller, or another credential of the same caller, has another session. */
export interface SessionOwner {
  readonly upstream: Upstream;
  /** The caller's issuer and subject, verified. */
  readonly idp: string;
  readonly sub: string;
  readonly credential: UpstreamCredential | null;
}

/** A session on loan for one call. */
export interface Lease {
  readonly dialect: LegacyDialect;
  /** The server does not know the session any more: it is not leased again. */
  discard(): void;
  release(): void;
}

/** A session, or its handshake while that lasts. */
export interface Session {
  /** @throws {HttpFault} if the handshake fails, or the signal ends the wait */
  lease(signal: AbortSignal): Promise<Lease>;
  /** Ends the session: it is deleted at its server once its last lease is released. */
  end(): void;
  /** Milliseconds since the last lease was released; 0 while there is one. */
  idleFor(): number;
}

export interface SessionOptions {
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
  /** Called when the handshake fails or the server has lost the session. */
  readonly onUnusable: () => void;
  /** Receives the deletion at the server, which resolves soon, whatever the server does. */
  readonly onDelete: (deletion: Promise<void>) => void;
}

/** Opens a session; its id never reaches a client. */
export function createSession(owner: SessionOwner, { monotonic, onUnusable, onDelete }: SessionOptions): Session {
  const { upstream, credential } = owner;
  const budget = createBudget(AbortSignal.timeout(upstream.timeoutMs));
  const endAtServer = (dialect: LegacyDialect) => endSession(upstream, credential, dialect);
  const opening = handshake(sendOwn(upstream, credential, budget), endAtServer);
  let open: LegacyDialect | null = null;
  let users = 0;
  let usedAt = monotonic();
  let ended = false;
  let needsDeletion = true;

  const deleteIfUnused = () => {
    if (!ended || users > 0 || open === null || !needsDeletion) return;
    needsDeletion = false;
    if (open.session !== null) onDelete(endAtServer(open));
  };
  const end = () => {
    ended = true;
    deleteIfUnused();
  };
  const discard = () => {
    needsDeletion = false; // the server does not know it
    onUnusable();
  };
  const release = () => {
    users -= 1;
    usedAt = monotonic();
    deleteIfUnused();
  };
  opening.then((dialect) => {
    open = dialect;
    deleteIfUnused();
  }, onUnusable);

  return {
    end,
    idleFor: () => (users > 0 || open === null ? 0 : monotonic() - usedAt),
    async lease(signal) {
      users += 1;
      try {
        const dialect = await orAborted(opening, signal);
        return { dialect, discard, release };
      } catch (error) {
        // Later calls do not wait for a handshake that was too slow for this one: the server may be well again.
        if (open === null && signal.aborted && faultIn(signal).code === "timeout") onUnusable();
        release();
        throw error;
      }
    },
  };
}
