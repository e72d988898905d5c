// What all connections of one server hold of bodies that are not whole, against one limit: a client has as many connections as it wants. Pure.
import { HELD_BYTES, OWN_HELD_BYTES } from "./limits.ts";

export class HeldBytes {
  readonly #limit: number;
  /** Of all connections. */
  #all = 0;
  readonly #waiting = new Set<() => void>();

  constructor(limit: number = HELD_BYTES) {
    this.#limit = limit;
  }

  /** True where a connection that holds so much may hold no more. One that holds little may, whatever others hold. */
  isFull(own: number): boolean {
    return this.#all >= this.#limit && own > OWN_HELD_BYTES;
  }

  /** True where the window of a connection that holds so much is not opened again. It begins early: open windows cannot be closed. */
  isScarce(own: number): boolean {
    return this.#all > this.#limit / 2 && own > OWN_HELD_BYTES;
  }

  take(bytes: number): void {
    this.#all += bytes;
  }

  /** Gives back what was taken, and wakes who waits for it. */
  free(bytes: number): void {
    this.#all -= bytes;
    if (this.#waiting.size === 0 || this.#all > this.#limit / 2) return;
    const woken = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of woken) wake();
  }

  /** Called back once, when there is room again. */
  wait(wake: () => void): void {
    this.#waiting.add(wake);
  }

  forget(wake: () => void): void {
    this.#waiting.delete(wake);
  }
}
