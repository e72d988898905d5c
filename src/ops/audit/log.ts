// Writes the audit log: JSON lines to a file or standard output, each confirmed before an allow may leave (docs/operations.md). I/O.
import { errorCode } from "../../files/read-error.ts";
import { close, closeSync, constants, fstatSync, open, openSync, readSync, write } from "node:fs";
import { promisify } from "node:util";
import type { Log } from "../log.ts";
import type { AuditTurns } from "./turns.ts";

export interface AuditOptions {
  /** A file to append to; null is standard output. */
  readonly file: string | null;
  /** Length of the queue; a record beyond it is not written. */
  readonly maxQueued: number;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
  /** Called with the error code of a failing sink, at most once a second. */
  readonly onFailure: (message: string) => void;
  /** An earlier writer may have left half a line: begin with a newline if the file does not end with one. */
  readonly afterAnother?: boolean;
  /** Where several threads write to it. */
  readonly turns?: AuditTurns | null;
}

export interface Audit {
  /** Resolves to true once write(2) has taken the whole line, to false if it did not. */
  write(record: object): Promise<boolean>;
  /** Opens the file anew (log rotation); queued lines go to the new one. */
  reopen(): Promise<void>;
  /** Writes what is queued, then closes. */
  close(): Promise<void>;
  readonly stats: { readonly queued: number; readonly failed: number };
}

interface QueueEntry {
  readonly line: string;
  readonly done: (written: boolean) => void;
}

const openFile = promisify(open);
const closeFile = promisify(close);
const STDOUT = 1;
const MAX_BATCH_BYTES = 256 * 1024;
const RETRY_MS = 20;
const FLAGS = constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY;

/**
 * The audit log (threat model: P15). Lines that arrive during a write go together in the next one. No write blocks the event
 * loop: a full pipe is retried, and a record beyond the queue resolves to false.
 */
export function createAudit(options: AuditOptions): Audit {
  const queue = new AuditQueue(options);
  return {
    stats: queue.stats,
    write: (record) => queue.write(record),
    reopen: () => queue.reopen(),
    close: () => queue.close(),
  };
}

class AuditQueue {
  readonly stats = { queued: 0, failed: 0 };
  readonly #sink: AuditSink;
  readonly #maxQueued: number;
  readonly #report: (error: unknown) => void;
  readonly #waiting: QueueEntry[] = [];
  readonly #idle: (() => void)[] = [];
  #wantsReopen = false;
  #pumping = false;
  #closed = false;

  constructor(options: AuditOptions) {
    this.#sink = new AuditSink(options.file, options.afterAnother ?? false, options.turns ?? null);
    this.#maxQueued = options.maxQueued;
    this.#report = throttledFailure(options);
  }

  write(record: object): Promise<boolean> {
    if (this.#closed || this.#waiting.length >= this.#maxQueued) {
      this.stats.failed += 1;
      this.#report(new Error("the queue is full"));
      return Promise.resolve(false);
    }
    return new Promise((done) => {
      this.#waiting.push({ line: `${JSON.stringify(record)}\n`, done });
      this.stats.queued = this.#waiting.length;
      void this.#pump();
    });
  }

  async reopen(): Promise<void> {
    this.#wantsReopen = true;
    await this.#settle();
  }

  async close(): Promise<void> {
    await this.#settle();
    this.#closed = true;
    await this.#sink.release();
  }

  #settle(): Promise<void> {
    return new Promise((done) => {
      this.#idle.push(done);
      void this.#pump();
    });
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    // One write for all records of this turn of the event loop: a system call per line would cost more than the decision.
    await new Promise((done) => setImmediate(done));
    do await this.#step();
    while (this.#waiting.length > 0 || this.#wantsReopen);
    this.#pumping = false;
    for (const done of this.#idle.splice(0)) done();
  }

  async #step(): Promise<void> {
    const batch = takeBatch(this.#waiting);
    this.stats.queued = this.#waiting.length;
    try {
      if (this.#wantsReopen) {
        this.#wantsReopen = false;
        await this.#sink.release();
      }
      await this.#sink.append(batch.map(({ line }) => line).join(""));
      for (const { done } of batch) done(true);
    } catch (error) {
      this.stats.failed += batch.length;
      this.#report(error);
      await this.#sink.release();
      for (const { done } of batch) done(false);
    }
  }
}

/** The file, opened by its first line, or standard output. */
class AuditSink {
  readonly #file: string | null;
  #descriptor: number | null = null;
  readonly #turns: AuditTurns | null;
  /** True while the last line is not whole, or may not be. */
  #torn: boolean;

  constructor(file: string | null, afterAnother: boolean, turns: AuditTurns | null) {
    this.#file = file;
    this.#turns = turns;
    this.#torn = afterAnother && (file === null || !endsWithLine(file));
  }

  /** Resolves once write(2) has taken all of it. @throws {NodeJS.ErrnoException} */
  async append(lines: string): Promise<void> {
    const fd = await this.#open();
    if (lines === "") return void (this.#torn = false);
    await this.#turns?.take();
    try {
      this.#torn ||= this.#turns?.isTorn() === true;
      const isTorn = this.#torn;
      this.#turns?.setTorn(true); // until it is known to be whole: this thread may end meanwhile
      await this.#writeAll(fd, Buffer.from(isTorn ? `\n${lines}` : lines));
      this.#torn = false;
    } finally {
      this.#turns?.setTorn(this.#torn);
      this.#turns?.give();
    }
  }

  /** Closes the file; the next line opens it anew. */
  async release(): Promise<void> {
    const fd = this.#descriptor;
    this.#descriptor = null;
    if (fd !== null) await closeFile(fd).catch(() => {});
  }

  async #open(): Promise<number> {
    if (this.#file === null) return STDOUT;
    this.#descriptor ??= await openFile(this.#file, FLAGS, 0o640);
    return this.#descriptor;
  }

  async #writeAll(fd: number, bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const written = await writeSome(fd, bytes, at);
      at += written;
      if (at > 0) this.#torn = at < bytes.length; // else the last line is as it was
      // EAGAIN: the pipe is full. Retry after a timer, which does not hold the thread.
      if (written === 0) await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }
}

/** True if a file ends with a newline or is empty. False if that cannot be read. O_NONBLOCK: opening a named pipe must not wait. */
function endsWithLine(file: string): boolean {
  let fd: number | null = null;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const found = fstatSync(fd);
    if (!found.isFile()) return false;
    const { size } = found;
    const last = Buffer.alloc(1);
    return size === 0 || (readSync(fd, last, 0, 1, size - 1) === 1 && last[0] === 0x0a);
  } catch (error) {
    return errorCode(error) === "ENOENT"; // a new file has no half line
  } finally {
    if (fd !== null) closeSync(fd);
  }
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full: make room where audit.file is",
  EDQUOT: "the disk quota of this user is used up: make room where audit.file is",
  EROFS: "the file system of audit.file is read-only",
  ENOENT: "the folder of audit.file is gone: create it",
  EACCES: "this user may not write audit.file",
  EPIPE: "nobody reads standard output any more: start it with a reader, or name audit.file",
};

/** Cause and remedy for the operator. @param code the argument of `onFailure` */
export function auditFault(code: string): string {
  return `${REMEDIES[code] ?? `audit lines cannot be written: ${code}`}; nothing is allowed until they can be, which is tried with each call`;
}

/** An `onFailure` that logs `audit_failed`. @param file as in {@link AuditOptions} */
export function auditFailure(log: Log, file: string | null): AuditOptions["onFailure"] {
  return (code) => log.error("audit_failed", { code, file, message: auditFault(code) });
}

/** Calls `onFailure` at most once a second. */
function throttledFailure({ monotonic, onFailure }: AuditOptions): (error: unknown) => void {
  let reportedAt = -Infinity;
  return (error) => {
    const now = monotonic();
    if (now - reportedAt < 1000) return;
    reportedAt = now;
    onFailure(errorCode(error, "write failed"));
  };
}

function takeBatch(queue: QueueEntry[]): QueueEntry[] {
  let bytes = 0;
  let count = 0;
  while (count < queue.length && bytes < MAX_BATCH_BYTES) {
    bytes += queue[count]?.line.length ?? 0;
    count += 1;
  }
  return queue.splice(0, count);
}

/** Resolves with the number of bytes written; 0 for EAGAIN. */
function writeSome(fd: number, bytes: Buffer, at: number): Promise<number> {
  return new Promise((done, fail) => {
    write(fd, bytes, at, bytes.length - at, null, (error, written) => {
      if (error === null) done(written);
      else if (error.code === "EAGAIN") done(0);
      else fail(error);
    });
  });
}
