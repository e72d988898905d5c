/** Stops asking somebody who does not answer; design 6.8: what is not asked is refused. */
export interface Breaker {
  /** Whether to ask now. Who may must call {@link leave} afterwards. */
  enter(): boolean;
  leave(answered: boolean): void;
}

const THRESHOLD = 5;
const OPEN_MS = 1000;

/**
 * After some questions in a row without an answer, nobody is asked for a while; then one is, and his answer opens the
 * way for all (threat row G08). Without it each Check would wait out its time limit while a Vault hangs.
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
