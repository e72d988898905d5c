// A token bucket: how often a peer may do what costs us more than it. Pure, with the clock given.

export interface Rate {
  /** How many at once. */
  readonly burst: number;
  readonly perSecond: number;
}

export class Budget {
  readonly #rate: Rate;
  readonly #now: () => number;
  #left: number;
  #filledAt: number;

  /** @param now milliseconds of a monotonic clock */
  constructor(rate: Rate, now: () => number) {
    this.#rate = rate;
    this.#now = now;
    this.#left = rate.burst;
    this.#filledAt = now();
  }

  /** Takes one. False where none is left. */
  take(): boolean {
    if (this.#left >= 1) {
      this.#left -= 1;
      return true;
    }
    const now = this.#now();
    this.#left = Math.min(this.#rate.burst, this.#left + ((now - this.#filledAt) / 1000) * this.#rate.perSecond);
    this.#filledAt = now;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
