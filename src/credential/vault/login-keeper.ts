import { backoffMs, type Backoff } from "../../async/backoff.ts";
import { later as timer, type Alarm, type Later } from "../../async/later.ts";
import type { VaultClient } from "./client.ts";
import { renewed, type Lease, type LoginResult } from "./login.ts";

export interface LoginKeeperDeps {
  readonly logIn: () => Promise<LoginResult>;
  /** Told of each log-in that was tried; `failures` in a row so far. */
  readonly onLogin: (result: LoginResult, failures: number) => void;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
  /** 0 to 1. */
  readonly random: () => number;
  readonly later?: Later;
}

interface Held {
  readonly lease: Lease;
  readonly endsAt: number;
}

/** A Vault that is away and comes back is noticed within five seconds, the time limit of an attempt included. */
export const VAULT_AWAY: Backoff = { firstMs: 250, maxMs: 2000, jitter: 0.2 };
/** A refused log-in is a mistake in its configuration, and Vault locks an account that is tried too often. */
export const LOGIN_REFUSED: Backoff = { firstMs: 1000, maxMs: 60_000, jitter: 0.2 };
/** When a lease is renewed or replaced, as a part of its life. */
const RENEW_AT = 2 / 3;
const MIN_WAIT_MS = 100;
const MAX_WAIT_MS = 24 * 3600_000;
const BROKEN: LoginResult = { ok: false, refused: false, detail: "internal" };

/**
 * Keeps us logged in: renews at two thirds of the lease, logs in anew when that does not bring its whole life back, and
 * tries for ever when the Vault is away. An old token is used while a new one cannot be had, until its end.
 */
export class LoginKeeper {
  readonly #deps: LoginKeeperDeps;
  readonly #later: Later;
  #held: Held | null = null;
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

  /** Resolves when the first log-in has ended, well or not. */
  start(): Promise<void> {
    return this.#logIn();
  }

  /** How often we have logged in: another number means that all we know is of another Vault's life. */
  get count(): number {
    return this.#count;
  }

  /** The client of a live log-in. Waits for a log-in that is under way, and for no other. */
  async client(): Promise<VaultClient | null> {
    if (this.#live() === null && this.#attempt !== null) await this.#attempt;
    return this.#live();
  }

  isHolding(client: VaultClient): boolean {
    return this.#held?.lease.client === client;
  }

  /** Logs in anew because this client's token is dead; once, however many callers say so. */
  async replace(dead: VaultClient): Promise<void> {
    if (this.#held !== null && !this.isHolding(dead)) return; // somebody has done it
    this.#held = null;
    // While the Vault refuses or is away, the pause between two attempts is for everybody.
    if (this.#attempt === null && this.#failures > 0) return;
    await this.#logIn();
  }

  /** Gives the token back, if it was issued to us. */
  async close(revoke: boolean): Promise<void> {
    this.#closed = true;
    this.#wake?.cancel();
    const client = this.#live();
    this.#held = null;
    if (revoke) await client?.revokeSelf();
  }

  #live(): VaultClient | null {
    const held = this.#held;
    return held !== null && this.#deps.monotonic() < held.endsAt ? held.lease.client : null;
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
      // A Vault that was away for long and then refuses has refused once.
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
    const held = this.#held;
    const startedAt = this.#deps.monotonic();
    const lease = held === null ? null : await renewed(held.lease);
    if (this.#closed || this.#held !== held) return;
    if (lease === null) await this.#logIn();
    else this.#hold(lease, startedAt);
  }

  #hold(lease: Lease, startedAt: number): void {
    const lifeMs = lease.seconds === null ? Infinity : lease.seconds * 1000;
    this.#held = { lease, endsAt: startedAt + lifeMs };
    const dueIn = startedAt + lifeMs * RENEW_AT - this.#deps.monotonic();
    if (lease.seconds === null) this.#wake?.cancel();
    else this.#wakeIn(() => void this.#renew(), Math.min(MAX_WAIT_MS, Math.max(MIN_WAIT_MS, dueIn)));
  }

  #wakeIn(run: () => void, milliseconds: number): void {
    this.#wake?.cancel();
    this.#wake = this.#later(run, milliseconds);
  }
}
