// Keeps one log-in at a Vault alive: renewal, retry with backoff, replacement of a dead token. I/O through the log-in function.
import { backoffMs, type Backoff } from "../../async/backoff.ts";
import { later as timer, type Alarm, type Later } from "../../async/later.ts";
import type { VaultClient } from "./client.ts";
import { renewLease, type Lease, type LoginResult } from "./login.ts";

export interface LoginKeeperDeps {
  readonly logIn: () => Promise<LoginResult>;
  /** Called after each log-in attempt, with the number of failures in a row. */
  readonly onLogin: (result: LoginResult, failures: number) => void;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
  /** 0 to 1. */
  readonly random: () => number;
  readonly later?: Later;
}

/** The current log-in. `endsAt`: milliseconds of the monotonic clock. */
interface ActiveLogin {
  readonly lease: Lease;
  readonly endsAt: number;
}

/** Backoff while the Vault is away: its return is noticed within 5 s, the time limit of an attempt included. */
export const VAULT_AWAY: Backoff = { firstMs: 250, maxMs: 2000, jitter: 0.2 };
/** Backoff after a refused log-in: its configuration is wrong, and Vault locks an account after too many attempts. */
export const LOGIN_REFUSED: Backoff = { firstMs: 1000, maxMs: 60_000, jitter: 0.2 };
/** The part of a lease's life after which it is renewed or replaced. */
const RENEW_AT = 2 / 3;
const MIN_WAIT_MS = 100;
const MAX_WAIT_MS = 24 * 3600_000;
const BROKEN: LoginResult = { ok: false, refused: false, detail: "internal" };

/**
 * Renews at two thirds of the lease, logs in again when a renewal does not restore the whole lease, and retries for ever while
 * the Vault is away. An old token is used until its end while no new one can be had.
 */
export class LoginKeeper {
  readonly #deps: LoginKeeperDeps;
  readonly #later: Later;
  #active: ActiveLogin | null = null;
  #attempt: Promise<void> | null = null;
  #failures = 0;
  #refused = false;
  #count = 0;
  #wake: Alarm | null = null;
  #closed = false;

  constructor(deps: LoginKeeperDeps) {
    this.#deps = deps;
    this.#later = deps.later ?? timer;
  }

  /** Resolves when the first log-in attempt has ended, successful or not. */
  start(): Promise<void> {
    return this.#logIn();
  }

  /** The number of log-ins so far. When it changes, facts that were learned with an earlier log-in may no longer hold. */
  get count(): number {
    return this.#count;
  }

  /** Returns the client of a valid log-in, or null. Waits only for an attempt that is in flight. */
  async client(): Promise<VaultClient | null> {
    if (this.#live() === null && this.#attempt !== null) await this.#attempt;
    return this.#live();
  }

  isLive(): boolean {
    return this.#live() !== null;
  }

  isCurrent(client: VaultClient): boolean {
    return this.#active?.lease.client === client;
  }

  /** Logs in again because the token of this client is dead; once, however many calls there are. */
  async replace(dead: VaultClient): Promise<void> {
    if (this.#active !== null && !this.isCurrent(dead)) return; // already replaced
    this.#active = null;
    // While the Vault refuses or is away, the backoff holds for every caller.
    if (this.#attempt === null && this.#failures > 0) return;
    await this.#logIn();
  }

  /** Ends the log-in. @param revoke whether to revoke the token too */
  async close(revoke: boolean): Promise<void> {
    this.#closed = true;
    this.#wake?.cancel();
    const client = this.#live();
    this.#active = null;
    if (revoke) await client?.revokeSelf();
  }

  #live(): VaultClient | null {
    const active = this.#active;
    return active !== null && this.#deps.monotonic() < active.endsAt ? active.lease.client : null;
  }

  #logIn(): Promise<void> {
    this.#attempt ??= this.#tryLogIn().finally(() => {
      this.#attempt = null;
    });
    return this.#attempt;
  }

  async #tryLogIn(): Promise<void> {
    const startedAt = this.#deps.monotonic();
    const result = await this.#deps.logIn().catch(() => BROKEN);
    if (this.#closed) return;
    if (result.ok) {
      this.#count += 1;
      this.#failures = 0;
      this.#hold(result.lease, startedAt);
    } else {
      // Failures of another kind begin a new count: a Vault that was away and now refuses has refused once.
      this.#failures = result.refused === this.#refused ? this.#failures + 1 : 1;
      this.#refused = result.refused;
      this.#wakeIn(
        () => void this.#logIn(),
        backoffMs(result.refused ? LOGIN_REFUSED : VAULT_AWAY, this.#failures, this.#deps.random()),
      );
    }
    this.#deps.onLogin(result, this.#failures);
  }

  async #renew(): Promise<void> {
    const active = this.#active;
    const startedAt = this.#deps.monotonic();
    const lease = active === null ? null : await renewLease(active.lease);
    if (this.#closed || this.#active !== active) return;
    if (lease === null) await this.#logIn();
    else this.#hold(lease, startedAt);
  }

  #hold(lease: Lease, startedAt: number): void {
    const lifeMs = lease.seconds === null ? Infinity : lease.seconds * 1000;
    this.#active = { lease, endsAt: startedAt + lifeMs };
    const dueIn = startedAt + lifeMs * RENEW_AT - this.#deps.monotonic();
    if (lease.seconds === null) this.#wake?.cancel();
    else this.#wakeIn(() => void this.#renew(), Math.min(MAX_WAIT_MS, Math.max(MIN_WAIT_MS, dueIn)));
  }

  #wakeIn(run: () => void, milliseconds: number): void {
    this.#wake?.cancel();
    this.#wake = this.#later(run, milliseconds);
  }
}
