import { writeSync } from "node:fs";

const STDERR = 2;

/** Fields of a log line: named values only, never an object from outside. */
export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

/**
 * A line straight to the descriptor: a thread's own stream goes through the main thread, which must stay free to watch. On a
 * full disk, or where nobody reads, the line is lost, and nothing else: a log must not end what it tells of.
 */
export function writeStderr(line: string): void {
  try {
    writeSync(STDERR, line);
  } catch {
    // There is nowhere to say so.
  }
}

/** From all to little. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const MAX_TEXT = 1000;

/**
 * One JSON line per event. Small on purpose: a library such as pino brings serialisers, redaction and transports for
 * objects that we never log.
 * @param write receives a whole line with its newline
 */
export function createLog(write: (line: string) => void, level: LogLevel, now: () => number): Log {
  const at =
    (severity: LogLevel) =>
    (event: string, fields: LogFields = {}) => {
      if (LOG_LEVELS.indexOf(severity) < LOG_LEVELS.indexOf(level)) return;
      const line: Record<string, unknown> = { time: new Date(now()).toISOString(), level: severity, event };
      for (const [name, value] of Object.entries(fields)) {
        line[name] = typeof value === "string" && value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}…` : value;
      }
      write(`${JSON.stringify(line)}\n`);
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
