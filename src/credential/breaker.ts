// A circuit breaker for one store of credentials: a Vault, or a token endpoint. Pure; time comes from the clock that is passed in.

/** A circuit breaker: a request that it does not let through is refused. */
export interface Breaker {
  /** True if a request may be sent now; the caller must then call {@link leave}. */
  enter(): boolean;
  leave(answered: boolean): void;
}

const THRESHOLD = 5;
const OPEN_MS = 1000;

/**
 * Makes the breaker. After 5 requests in a row without a response it opens for 1 s, then is half-open with one probe, whose
 * response closes it (threat model: G08). Without it each Check would wait for its time limit while the store hangs.
 */
export function createBreaker(monotonic: () => number): Breaker {
  let unanswered = 0;
  let openUntil = -Infinity;
  let probing = false;
  return {
    enter() {
      if (unanswered < THRESHOLD) return true;
      if (probing || monotonic() < openUntil) return false;
      probing = true;
      return true;
    },
    leave(answered) {
      probing = false;
      unanswered = answered ? 0 : unanswered + 1;
      if (unanswered >= THRESHOLD) openUntil = monotonic() + OPEN_MS;
    },
  };
}
