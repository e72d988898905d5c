// Notices for the client of a session that wait while she does not read, each of them once. Pure but for what it sends.
import type { Brake } from "../upstream/brake.ts";

export interface WaitingNotices {
  /** Sends it now, or when she has read what came before. */
  add(notice: string): void;
  /** What waits is not sent. */
  clear(): void;
}

/** @param send sends one message, and holds the source while she does not read */
export function createWaitingNotices(send: (message: Buffer, source: Brake) => void): WaitingNotices {
  const waiting = new Set<string>();
  let unread = 0;
  const source: Brake = {
    hold() {
      let isHeld = true;
      unread += 1;
      return () => {
        if (isHeld) unread -= 1;
        isHeld = false;
        flush();
      };
    },
  };
  const flush = () => {
    for (const notice of waiting) {
      if (unread > 0) return;
      waiting.delete(notice);
      send(Buffer.from(notice), source);
    }
  };
  return {
    add(notice) {
      waiting.add(notice);
      flush();
    },
    clear: () => waiting.clear(),
  };
}
