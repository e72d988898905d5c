import { HttpFault } from "../../http/client.ts";

/** The client closed its connection. */
export const LEFT = "left";
/** What ends a call before its time; also the code of its fault. */
export type End = "timeout" | "caller_expired" | typeof LEFT | "shutdown";

export interface Leash {
  /** Aborted with an {@link HttpFault} whose code is an {@link End}. */
  readonly signal: AbortSignal;
  /** The server gave a sign of life: its patience begins anew. */
  touch(): void;
  /** @param at milliseconds since the epoch: nothing goes on after it */
  until(at: number): void;
  end(why: End): void;
  /** No timer runs on. */
  drop(): void;
}

/** Node's timers fire at once beyond this. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Holds one call: it ends when its server is silent for too long, and when somebody says so. */
export function createLeash(silenceMs: number, now: () => number): Leash {
  const controller = new AbortController();
  const end = (why: End) => controller.abort(new HttpFault(why));
  const silence = setTimeout(end, silenceMs, "timeout");
  let limit: NodeJS.Timeout | undefined;
  return {
    signal: controller.signal,
    touch: () => void silence.refresh(),
    until(at) {
      limit = setTimeout(end, Math.min(MAX_TIMER_MS, Math.max(0, at - now())), "caller_expired");
    },
    end,
    drop() {
      clearTimeout(silence);
      clearTimeout(limit);
    },
  };
}
