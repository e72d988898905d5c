// The time limits of one relayed call: an idle timeout, a hard limit, and the reason for which the call ended early. Timers only.
import { HttpFault } from "../../http/client.ts";
import type { CANCELLED, LEFT } from "../abort.ts";

/** Why a call ended early; also the code of its fault, and a word for the log. */
export type EndReason = "timeout" | "caller_expired" | typeof LEFT | typeof CANCELLED | "shutdown";

export interface CallTimeout {
  /** Aborted with an {@link HttpFault} whose code is an {@link EndReason}. */
  readonly signal: AbortSignal;
  /** Restarts the idle timeout: the server has sent something. */
  restart(): void;
  /** Stops the idle timeout until the returned function is called, and restarts it then: the client is to answer, not the server. */
  hold(): () => void;
  /** Sets the hard limit, in place of the one before. @param at milliseconds since the epoch */
  endAt(at: number): void;
  end(reason: EndReason): void;
  /** Stops all timers. */
  clear(): void;
}

/** Node's timers fire at once beyond this many milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** @param now milliseconds since the epoch */
export function createCallTimeout(idleMs: number, now: () => number): CallTimeout {
  const controller = new AbortController();
  const end = (reason: EndReason) => controller.abort(new HttpFault(reason));
  let idle = setTimeout(end, idleMs, "timeout");
  let holds = 0;
  let isCleared = false;
  let limit: NodeJS.Timeout | undefined;
  return {
    signal: controller.signal,
    restart: () => void (holds === 0 && idle.refresh()),
    hold() {
      holds += 1;
      clearTimeout(idle);
      let isHeld = true;
      return () => {
        if (!isHeld) return;
        isHeld = false;
        holds -= 1;
        if (holds === 0 && !isCleared) idle = setTimeout(end, idleMs, "timeout");
      };
    },
    endAt(at) {
      clearTimeout(limit);
      limit = setTimeout(end, Math.min(MAX_TIMER_MS, Math.max(0, at - now())), "caller_expired");
    },
    end,
    clear() {
      isCleared = true;
      clearTimeout(idle);
      clearTimeout(limit);
    },
  };
}
