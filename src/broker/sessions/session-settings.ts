// What a client sets for all servers of its session: the level of log messages. I/O by upstream/client.ts.
// https://modelcontextprotocol.io/specification/2025-11-25/server/utilities/logging
import { createBudget, sendOwn } from "../upstream/client.ts";
import type { OpenSession } from "../upstream/session.ts";

/** RFC 5424 §6.2.1, from the least severe on. */
export const LOG_LEVELS: readonly string[] = [
  ...["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"],
];

export interface SessionSettings {
  /** The level that was set last; null for none. */
  readonly logLevel: string | null;
  /** Sets the level at these servers, and later at those that {@link applyTo} is called with. */
  setLogLevel(level: string, sessions: readonly OpenSession[]): Promise<void>;
  /** Tells a server what was set before. Best effort: resolves soon, whatever the server does. */
  applyTo(session: OpenSession): Promise<void>;
}

const SET_MS = 5000;

export function createSettings(): SessionSettings {
  let logLevel: string | null = null;
  async function applyTo({ upstream, credential, dialect }: OpenSession): Promise<void> {
    if (logLevel === null) return;
    const send = sendOwn(upstream, credential, createBudget(AbortSignal.timeout(SET_MS)));
    // A server without this capability answers with an error, which is as good.
    await send(dialect, "logging/setLevel", { level: logLevel }).catch(() => null);
  }
  return {
    get logLevel() {
      return logLevel;
    },
    applyTo,
    async setLogLevel(level, sessions) {
      logLevel = level;
      await Promise.all(sessions.map(applyTo));
    },
  };
}
