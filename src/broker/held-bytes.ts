// Bytes that the broker holds for callers: request bodies, and responses that are collected or not read yet. Pure accounting.
import { HttpFault } from "../http/client.ts";
import { faultIn, LEFT } from "./abort.ts";

export interface HeldBytesLimits {
  /** Bytes that one caller may hold. */
  readonly perCaller: number;
  /** Bytes that all callers together may hold. */
  readonly total: number;
}

export interface HeldBytes {
  /** Opens the account of one request of this caller, which must be released. */
  open(caller: string): Hold;
  /** Bytes that are held now, by all callers. */
  readonly bytes: number;
}

/** The account of one request. */
export interface Hold {
  /** Bytes that this request could take if it were the only one. */
  readonly most: number;
  /** Takes so many more bytes; false if there is no room. */
  take(bytes: number): boolean;
  /**
   * Takes so many more bytes as soon as there is room.
   * @throws {HttpFault} the fault with which the signal was aborted
   */
  wait(bytes: number, signal: AbortSignal): Promise<void>;
  give(bytes: number): void;
  /** Keeps it beyond the next release, until the returned function is called. */
  retain(): () => void;
  /** Gives everything back, unless it is retained; after it nothing can be taken. */
  release(): void;
}

/** A part of the total of which each caller gets a small share of what is free only. */
const RESERVE = 1 / 8;
/** The share of what is free that a caller may always hold. */
const SMALL_SHARE = 1 / 16;

/**
 * A caller may hold as much as stays free for the others, up to a limit of its own (Choudhury and Hahne, "Dynamic queue
 * length thresholds", 1998). That rule alone halves what is free with each caller that takes all it can: after twelve of
 * them a small response has no room. So large responses leave an eighth free, of which each caller gets a sixteenth of what
 * is left: of 128 MiB, forty callers that take all they can leave more than 100 KiB to the next.
 */
export function createHeldBytes(limits: HeldBytesLimits): HeldBytes {
  return new Ledger(limits);
}

interface Account {
  bytes: number;
  holds: number;
  /** Requests that wait for room, in order. */
  readonly queue: Set<Waiter>;
}

interface Waiter {
  readonly bytes: number;
  readonly granted: () => void;
}

class Ledger implements HeldBytes {
  readonly #limits: HeldBytesLimits;
  readonly #accounts = new Map<string, Account>();
  readonly #waiting = new Set<Account>();
  #total = 0;

  constructor(limits: HeldBytesLimits) {
    this.#limits = limits;
  }

  get bytes(): number {
    return this.#total;
  }

  open(caller: string): Hold {
    const account = this.#accounts.get(caller) ?? { bytes: 0, holds: 0, queue: new Set() };
    this.#accounts.set(caller, account);
    account.holds += 1;
    return new RequestHold(this, account, () => {
      account.holds -= 1;
      if (account.holds === 0) this.#accounts.delete(caller);
    });
  }

  /** Bytes that one request could take if there were no other. */
  get most(): number {
    const { perCaller, total } = this.#limits;
    return Math.min(perCaller, Math.floor((total * (1 - RESERVE)) / 2));
  }

  take(account: Account, bytes: number): boolean {
    const { perCaller, total } = this.#limits;
    const free = total - this.#total - bytes;
    if (account.bytes + bytes > Math.min(perCaller, Math.max(free - total * RESERVE, free * SMALL_SHARE))) return false;
    account.bytes += bytes;
    this.#total += bytes;
    return true;
  }

  give(account: Account, bytes: number): void {
    account.bytes -= bytes;
    this.#total -= bytes;
    for (const each of this.#waiting) this.#serve(each);
  }

  /** Resolves once the bytes are taken. A signal that ends before rejects, and nothing is taken. */
  async wait(account: Account, bytes: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw faultIn(signal);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { bytes, granted: resolve };
    const onAbort = () => {
      this.#leave(account, waiter);
      reject(faultIn(signal));
    };
    account.queue.add(waiter);
    this.#waiting.add(account);
    signal.addEventListener("abort", onAbort, { once: true });
    await promise.finally(() => signal.removeEventListener("abort", onAbort));
  }

  #serve(account: Account): void {
    for (const waiter of account.queue) {
      if (!this.take(account, waiter.bytes)) return;
      this.#leave(account, waiter);
      waiter.granted();
    }
  }

  #leave(account: Account, waiter: Waiter): void {
    account.queue.delete(waiter);
    if (account.queue.size === 0) this.#waiting.delete(account);
  }
}

class RequestHold implements Hold {
  readonly #ledger: Ledger;
  readonly #account: Account;
  readonly #onRelease: () => void;
  #held = 0;
  #users = 1;
  #released = false;

  constructor(ledger: Ledger, account: Account, onRelease: () => void) {
    this.#ledger = ledger;
    this.#account = account;
    this.#onRelease = onRelease;
  }

  get most(): number {
    return this.#ledger.most - this.#held;
  }

  take(bytes: number): boolean {
    if (this.#released || !this.#ledger.take(this.#account, bytes)) return false;
    this.#held += bytes;
    return true;
  }

  async wait(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.take(bytes)) return;
    if (this.#released) throw new HttpFault(LEFT);
    await this.#ledger.wait(this.#account, bytes, signal);
    this.#held += bytes;
    // The request ended between the grant and this turn.
    if (this.#released) this.give(bytes);
  }

  give(bytes: number): void {
    const given = Math.min(bytes, this.#held);
    this.#held -= given;
    if (given > 0) this.#ledger.give(this.#account, given);
  }

  retain(): () => void {
    this.#users += 1;
    let isRetained = true;
    return () => {
      if (isRetained) this.release();
      isRetained = false;
    };
  }

  release(): void {
    this.#users -= 1;
    if (this.#released || this.#users > 0) return;
    this.#released = true;
    this.give(this.#held);
    this.#onRelease();
  }
}
