// A session with one server of an older revision: opened by a handshake, leased to calls, deleted at the server at its end. I/O.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#session-management
import { faultIn, orAborted } from "../abort.ts";
import { createBudget, endSession, sendOwn } from "./client.ts";
import { handshake, type LegacyDialect } from "./era.ts";
import type { Upstream, UpstreamCredential } from "./upstream.ts";

/** A server, and what the broker identifies itself with there. */
export interface SessionTarget {
  readonly upstream: Upstream;
  readonly credential: UpstreamCredential | null;
}

/** A session on loan for one call. */
export interface Lease {
  readonly dialect: LegacyDialect;
  /** True if calls have ended in the MCP session before: what they left there is lost with it. */
  readonly wasUsed: boolean;
  /** True if the session belongs to one session of a client, who must be told of its loss. */
  readonly isBound: boolean;
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
  /** Later messages of the broker's own are sent like this. */
  renew(target: SessionTarget): void;
  /** The session as it is now; null while it is opened. */
  current(): OpenSession | null;
}

/** An open session with a server. */
export interface OpenSession extends SessionTarget {
  readonly dialect: LegacyDialect;
}

export interface SessionOptions {
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
  /** Capabilities of the client that the session is for. */
  readonly capabilities?: object;
  readonly isBound?: boolean;
  /** Called after the handshake, before the first call. */
  readonly onOpen?: (session: OpenSession) => Promise<void>;
  /** Called when the handshake fails or the server has lost the session. */
  readonly onUnusable: () => void;
  /** Receives the deletion at the server, which resolves soon, whatever the server does. */
  readonly onDelete: (deletion: Promise<void>) => void;
}

/** Opens a session; its id never reaches a client. */
export function createSession(target: SessionTarget, options: SessionOptions): Session {
  return new ServerSession(target, options);
}

class ServerSession implements Session {
  #upstream: Upstream;
  readonly #options: SessionOptions;
  readonly #opening: Promise<LegacyDialect>;
  #credential: UpstreamCredential | null;
  #open: LegacyDialect | null = null;
  #users = 0;
  #usedAt: number;
  #wasUsed = false;
  #ended = false;
  #needsDeletion = true;

  constructor({ upstream, credential }: SessionTarget, options: SessionOptions) {
    this.#upstream = upstream;
    this.#credential = credential;
    this.#options = options;
    this.#usedAt = options.monotonic();
    this.#opening = this.#begin();
    this.#opening.then(() => this.#deleteIfUnused(), options.onUnusable);
  }

  end(): void {
    this.#ended = true;
    this.#deleteIfUnused();
  }

  idleFor(): number {
    return this.#users > 0 || this.#open === null ? 0 : this.#options.monotonic() - this.#usedAt;
  }

  renew({ upstream, credential }: SessionTarget): void {
    this.#upstream = upstream;
    this.#credential = credential;
  }

  current(): OpenSession | null {
    const dialect = this.#open;
    return dialect === null ? null : { upstream: this.#upstream, credential: this.#credential, dialect };
  }

  async lease(signal: AbortSignal): Promise<Lease> {
    this.#users += 1;
    try {
      const dialect = await orAborted(this.#opening, signal);
      return this.#leaseOf(dialect);
    } catch (error) {
      // Later calls do not wait for a handshake that was too slow for this one: the server may be well again.
      const isTooSlow = this.#open === null && signal.aborted && faultIn(signal).code === "timeout";
      if (isTooSlow) this.#options.onUnusable();
      this.#release();
      throw error;
    }
  }

  async #begin(): Promise<LegacyDialect> {
    const { capabilities, onOpen } = this.#options;
    const budget = createBudget(AbortSignal.timeout(this.#upstream.timeoutMs));
    const send = sendOwn(this.#upstream, this.#credential, budget);
    const dialect = await handshake(send, (begun) => this.#endAtServer(begun), capabilities);
    this.#open = dialect;
    await onOpen?.({ upstream: this.#upstream, credential: this.#credential, dialect });
    return dialect;
  }

  #leaseOf(dialect: LegacyDialect): Lease {
    let isLost = false;
    return {
      dialect,
      wasUsed: this.#wasUsed,
      isBound: this.#options.isBound === true,
      discard: () => {
        isLost = true;
        this.#needsDeletion = false; // the server does not know it
        this.#options.onUnusable();
      },
      release: () => {
        this.#wasUsed ||= !isLost;
        this.#release();
      },
    };
  }

  #release(): void {
    this.#users -= 1;
    this.#usedAt = this.#options.monotonic();
    this.#deleteIfUnused();
  }

  #endAtServer(dialect: LegacyDialect): Promise<void> {
    return endSession(this.#upstream, this.#credential, dialect);
  }

  #deleteIfUnused(): void {
    if (!this.#ended || this.#users > 0 || this.#open === null || !this.#needsDeletion) return;
    this.#needsDeletion = false;
    if (this.#open.session !== null) this.#options.onDelete(this.#endAtServer(this.#open));
  }
}
