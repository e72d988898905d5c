// Looks again and again whether something has changed.
import { singleFlight } from "./single-flight.ts";

export interface Poller {
  /** Looks now; joins a look that is under way. */
  poll(): Promise<void>;
  /** Looks in this rhythm until `close`. The first look comes after one interval. */
  watch(everyMs: number): void;
  close(): void;
}

/** @param look reports its own faults: it does not reject */
export function createPoller(look: () => Promise<void>): Poller {
  const poll = singleFlight(look);
  let timer: NodeJS.Timeout | undefined;
  return {
    poll,
    watch(everyMs) {
      clearInterval(timer);
      timer = setInterval(() => void poll(), everyMs);
      timer.unref();
    },
    close: () => clearInterval(timer),
  };
}
