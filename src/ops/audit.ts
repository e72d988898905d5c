import { close, constants, open, write } from "node:fs";
import { promisify } from "node:util";

export interface AuditOptions {
  /** A file to append to; null is standard output. */
  readonly file: string | null;
  /** Records that may wait for the sink; one more is not taken. */
  readonly maxQueued: number;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
  /** Told of a failing sink, at most once a second. */
  readonly onFailure: (message: string) => void;
}

export interface Audit {
  /** Resolves to true once the operating system has taken the whole line, to false if it did not. */
  write(record: object): Promise<boolean>;
  /** Opens the file anew (log rotation); lines that wait go to the new one. */
  reopen(): Promise<void>;
  /** Writes what waits, then closes. */
  close(): Promise<void>;
  readonly stats: { readonly queued: number; readonly failed: number };
}

interface Waiting {
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
 * The audit log: JSON lines, each confirmed by the operating system before an allow may leave (P15). While one write is
 * under way the next lines gather and go together. Nothing here blocks the event loop: a full pipe is waited for, and
 * when the queue is full the answer is "not written".
 */
export function createAudit(options: AuditOptions): Audit {
  const queue: Waiting[] = [];
  const stats = { queued: 0, failed: 0 };
  const tell = oncePerSecond(options);
  let descriptor: number | null = null;
  let wantsReopen = false;
  let pumping = false;
  let torn = false;
  let closed = false;
  let idle: (() => void)[] = [];

  async function pump(): Promise<void> {
    if (pumping) return;
    pumping = true;
    // What this turn of the event loop decides goes in one write: a system call per line would cost more than the decision.
    await new Promise((done) => setImmediate(done));
    do await step();
    while (hasWork());
    pumping = false;
    for (const done of idle.splice(0)) done();
    idle = [];
  }

  const hasWork = () => queue.length > 0 || wantsReopen;

  async function step(): Promise<void> {
    const batch = takeBatch(queue);
    stats.queued = queue.length;
    try {
      const fd = await ensureOpen();
      if (batch.length > 0)
        await writeAll(fd, Buffer.from(`${torn ? "\n" : ""}${batch.map(({ line }) => line).join("")}`));
      torn = false;
      for (const { done } of batch) done(true);
    } catch (error) {
      stats.failed += batch.length;
      tell(error);
      await drop();
      for (const { done } of batch) done(false);
    }
  }

  async function ensureOpen(): Promise<number> {
    if (wantsReopen) {
      wantsReopen = false;
      await drop();
    }
    if (options.file === null) return STDOUT;
    descriptor ??= await openFile(options.file, FLAGS, 0o640);
    return descriptor;
  }

  async function writeAll(fd: number, bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const written = await writeSome(fd, bytes, at);
      at += written;
      torn = at > 0 && at < bytes.length;
      // A pipe that nobody reads takes nothing: come back later, without holding the thread.
      if (written === 0) await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }

  async function drop(): Promise<void> {
    const fd = descriptor;
    descriptor = null;
    if (fd !== null) await closeFile(fd).catch(() => {});
  }

  return {
    stats,
    write(record) {
      if (closed || queue.length >= options.maxQueued) {
        stats.failed += 1;
        tell(new Error("the queue is full"));
        return Promise.resolve(false);
      }
      return new Promise((done) => {
        queue.push({ line: `${JSON.stringify(record)}\n`, done });
        stats.queued = queue.length;
        void pump();
      });
    },
    async reopen() {
      wantsReopen = true;
      await settle();
    },
    async close() {
      await settle();
      closed = true;
      await drop();
    },
  };

  function settle(): Promise<void> {
    return new Promise((done) => {
      idle.push(done);
      void pump();
    });
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

/** What is wrong with the sink, for the operator. @param code as `onFailure` is told it */
export function auditFault(code: string): string {
  return `${REMEDIES[code] ?? `audit lines cannot be written: ${code}`}; nothing is allowed until they can be, which is tried with each call`;
}

/** Tells of a failing sink, at most once a second. */
function oncePerSecond({ monotonic, onFailure }: AuditOptions): (error: unknown) => void {
  let toldAt = -Infinity;
  return (error) => {
    const now = monotonic();
    if (now - toldAt < 1000) return;
    toldAt = now;
    onFailure(error instanceof Error && "code" in error ? String(error.code) : "write failed");
  };
}

function takeBatch(queue: Waiting[]): Waiting[] {
  let bytes = 0;
  let count = 0;
  while (count < queue.length && bytes < MAX_BATCH_BYTES) {
    bytes += queue[count]?.line.length ?? 0;
    count += 1;
  }
  return queue.splice(0, count);
}

/** Resolves with the bytes taken; 0 when the sink would block. */
function writeSome(fd: number, bytes: Buffer, at: number): Promise<number> {
  return new Promise((done, fail) => {
    write(fd, bytes, at, bytes.length - at, null, (error, written) => {
      if (error === null) done(written);
      else if (error.code === "EAGAIN") done(0);
      else fail(error);
    });
  });
}
