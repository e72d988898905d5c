// Back pressure: pauses a stream for several reasons at once, and gives many streams their turns in the event loop.

/** A readable stream, as far as it is paused here. */
export interface Pausable {
  pause(): unknown;
  resume(): unknown;
}

/** Pauses a stream while it has at least one reason to. */
export interface Brake {
  /** Adds a reason to pause; the returned function removes it. */
  hold(): () => void;
}

export function createBrake(source: Pausable): Brake {
  let reasons = 0;
  return {
    hold() {
      let isHeld = true;
      reasons += 1;
      source.pause();
      return () => {
        if (!isHeld) return;
        isHeld = false;
        reasons -= 1;
        if (reasons === 0) source.resume();
      };
    },
  };
}

/** Runs something in a later turn of the event loop. */
export type Pacer = (run: () => void) => void;

/** Streams that resume in one turn: each hands over 64 to 128 KiB, so a turn is short however many there are. */
const SOURCES_PER_TURN = 2;

/** Resumes streams in the order in which they asked, a few in each turn: requests and timers run in between. */
export function createPacer(perTurn = SOURCES_PER_TURN): Pacer {
  const waiting: (() => void)[] = [];
  let isDue = false;
  const turn = () => {
    for (const run of waiting.splice(0, perTurn)) run();
    isDue = waiting.length > 0;
    if (isDue) setImmediate(turn);
  };
  return (run) => {
    waiting.push(run);
    if (!isDue) setImmediate(turn);
    isDue = true;
  };
}
