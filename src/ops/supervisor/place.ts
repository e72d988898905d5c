// What the supervisor knows of one serving thread and of those before it. Types only.
import type { SupervisedThread } from "./thread.ts";

/** One serving thread after the other. */
export interface Place {
  readonly index: number;
  current: SupervisedThread | null;
  inFlight: SharedArrayBuffer;
  remembered: SharedArrayBuffer | null;
  isReady: boolean;
  /** Ends the pause before the next thread; null in none. */
  waiting: (() => void) | null;
  /** `over`: its last thread has ended, and its audit lines are written. */
  state: "new" | "begun" | "over";
}

/** A thread and the place that it was started in; null while it is a spare one. */
export interface Placed {
  readonly thread: SupervisedThread;
  place: Place | null;
}
