// The operational log: one JSON line per event on standard error, by pino (docs/decisions/012). The audit log is another one.
import { writeSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
import { pino } from "pino";

const STDERR = 2;

/** Fields of a log line: named values only, never an object from outside. */
export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

/** From all to little. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** In characters. */
const MAX_TEXT = 1000;
/** As {@link Secret} prints. */
const MARK = "[secret]";
/** Base64url of `{"`: the header of a JWS or JWE in compact form (RFC 7515 §3.1), and its other parts. */
const COMPACT_TOKEN = /eyJ[\w.-]{10,}/g;
/** RFC 6749, RFC 8693, RFC 9110 and our own words for what must not be printed. */
const SECRET_FIELDS = [
  ...["token", "access_token", "id_token", "refresh_token", "subject_token", "actor_token", "client_assertion"],
  ...["authorization", "cookie", "client_secret", "secret", "password", "credential", "wristband", "jws", "privateKey"],
];

/**
 * One JSON line per event: `level`, `time` (ISO 8601), `event`, the fields. Redaction is a second net: the first is that
 * {@link LogFields} takes no objects.
 * @param write takes a whole line with its newline, at once; false if the line is lost: the next one has their number as `lostLines`
 * @param now milliseconds since 1970
 */
export function createLog(write: (line: string) => unknown, level: LogLevel, now: () => number): Log {
  let lostLines = 0;
  const stream = { write: (line: string) => void (lostLines = write(line) === false ? lostLines + 1 : 0) };
  const options: pino.LoggerOptions = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date(now()).toISOString()}"`,
    formatters: { level: (label) => ({ level: label }), log: withShortTexts },
    redact: { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]), censor: MARK },
  };
  const logger = pino(options, stream);
  const at = (severity: LogLevel) => (event: string, fields?: LogFields) =>
    logger[severity]({ event, ...fields, ...(lostLines > 0 && { lostLines }) });
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function withShortTexts(line: Record<string, unknown>): Record<string, unknown> {
  const short = (text: string) => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text);
  return Object.fromEntries(
    Object.entries(line).map(([name, value]) => [
      name,
      typeof value === "string" ? short(value).replaceAll(COMPACT_TOKEN, MARK) : value,
    ]),
  );
}

/** A log on standard error. In a process with threads the main thread must have made one before. */
export function createStderrLog(level: LogLevel): Log {
  // A getter with an effect: libuv sets pipes and sockets to O_NONBLOCK, for all threads. A reader that stalls would stop us.
  if (isMainThread) void process.stderr;
  return createLog(writeStderr, level, Date.now);
}

/** True while the last line is not whole. */
let torn = false;

/**
 * A line straight to the descriptor: `process.stderr` of a thread goes through the main thread, which must stay free to
 * watch. On a full disk, a closed or a full pipe the line is lost, and nothing else.
 * @returns false if not all of it was written
 */
export function writeStderr(line: string): boolean {
  const bytes = Buffer.from(torn ? `\n${line}` : line);
  try {
    const written = writeSync(STDERR, bytes);
    torn = written < bytes.length && (torn || written > 0);
    return written === bytes.length;
  } catch {
    return false; // ENOSPC, EPIPE, EAGAIN, EIO
  }
}
