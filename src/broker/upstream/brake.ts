// Slows a source down: one pause for several reasons, and turns for many sources.

/** What can be paused: a stream that is read. */
export interface Pausable {
  pause(): unknown;
  resume(): unknown;
}

/** Pauses a source for as long as there is a reason. */
export interface Brake {
  /** A reason to pause; what is returned ends it. */
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

/** Sources that go on in one turn: each hands over 64 to 128 KiB, so a turn has little to do however many there are. */
const SOURCES_PER_TURN = 2;

/** Lets sources go on in the order in which they asked, a few in each turn: requests and timers have theirs in between. */
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
