// A poller: runs a check in a fixed rhythm, one at a time.
import { singleFlight } from "./single-flight.ts";

export interface Poller {
  /** Runs the check now, or joins the one in flight. */
  poll(): Promise<void>;
  /** Runs the check every `everyMs` milliseconds until `close`, first after one interval. */
  watch(everyMs: number): void;
  close(): void;
}

/** @param look the check; it reports its own faults and does not reject */
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
