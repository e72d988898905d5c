import { handshake, type LegacyDialect } from "./era.ts";
import { orAborted } from "../abort.ts";
import { createBudget, endSession, sendOwn } from "./client.ts";
import type { Upstream, UpstreamCredential } from "./upstream.ts";

/** Whose session: nobody else is given it, and a new credential is a new session (design 5.8). */
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
  /** The server does not know the session any more: nobody is given it again. */
  discard(): void;
  release(): void;
}

/** A session with one server, or its handshake while that lasts. */
export interface Session {
  /** @throws {HttpFault} if the server gives none, or the signal ends the wait */
  lease(signal: AbortSignal): Promise<Lease>;
  /** Nobody is given it again. Its server is told once its last user is done. */
  end(): void;
  idleFor(): number;
}

export interface SessionOptions {
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
  /** It will not do: it could not be opened, or its server forgot it. */
  readonly onUnusable: () => void;
  /** Its server is being told that it ended. Resolves soon, whatever the server does. */
  readonly onGoodbye: (told: Promise<void>) => void;
}

/** Opens a session; its id never reaches a client. */
export function createSession(owner: SessionOwner, { monotonic, onUnusable, onGoodbye }: SessionOptions): Session {
  const { upstream, credential } = owner;
  const budget = createBudget(AbortSignal.timeout(upstream.timeoutMs));
  const endAtServer = (dialect: LegacyDialect) => endSession(upstream, credential, dialect);
  const opening = handshake(sendOwn(upstream, credential, budget), endAtServer);
  let open: LegacyDialect | null = null;
  let users = 0;
  let usedAt = monotonic();
  let ended = false;
  let told = false;

  const tellServer = () => {
    if (!ended || users > 0 || open === null || told) return;
    told = true;
    if (open.session !== null) onGoodbye(endAtServer(open));
  };
  const end = () => {
    ended = true;
    tellServer();
  };
  const discard = () => {
    told = true; // by whom it was forgotten needs not be told
    onUnusable();
  };
  const leave = () => {
    users -= 1;
    usedAt = monotonic();
    tellServer();
  };
  opening.then((dialect) => {
    open = dialect;
    tellServer();
  }, onUnusable);

  return {
    end,
    idleFor: () => (users > 0 || open === null ? 0 : monotonic() - usedAt),
    async lease(caller) {
      users += 1;
      try {
        const dialect = await orAborted(opening, caller);
        return { dialect, discard, release: leave };
      } catch (error) {
        leave();
        throw error;
      }
    },
  };
}
