// The revocation file as it was last read: reads what is new of it, in chunks, and says when it cannot be read whole. I/O.
import { createHash, type Hash } from "node:crypto";
import { open, stat, type FileHandle } from "node:fs/promises";
import { isBlank, MAX_LINE_BYTES, readRevocation, type Revocation } from "./revocation-lines.ts";

/** Takes a revocation; resolves to false when there is no room for it. */
export type Take = (revocation: Revocation) => boolean | Promise<boolean>;

export interface RevocationFileOptions {
  readonly path: string;
  readonly maxBytes: number;
  readonly take: Take;
  /** What is said when `take` has no room. */
  readonly full: string;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
}

export interface Look {
  /** True when the file was read, in part at least, and is not as it was before. */
  readonly changed: boolean;
  /** Why the file could not be taken whole, or null. */
  readonly fault: string | null;
}

/** How far a file was read: up to the end of a line that has its newline, with the SHA-256 up to there. */
interface Position {
  readonly bytes: number;
  readonly lines: number;
  readonly digest: Hash;
}

/** A file as `stat` tells it. */
type Shape = readonly [device: number, inode: number, size: number, modifiedMs: number, changedMs: number];

/** About 1 ms of lines; requests come in between. */
const CHUNK_BYTES = 32 * 1024;
const NEWLINE = 0x0a;
const TORN = "the last line is cut off and does not count: write it whole, with a newline";
/** Two changes within so many milliseconds can have the same time of change. */
const CLOCK_TICK_MS = 2000;
/** A file up to here is compared with what was read whenever it changes: 10 ms of SHA-256. */
const SMALL_BYTES = 8 * 1024 * 1024;
/** A larger one, that seems to have only grown, is compared after this many times the time that comparing takes. */
const REST_FACTOR = 50;
const TAIL_BYTES = 4096;

const start = (): Position => ({ bytes: 0, lines: 0, digest: createHash("sha256") });

/**
 * A file of JSON lines that grows, or is replaced. What was read once is not read again while it is the same, by its
 * SHA-256: a file that grows by a line costs the line. A last line without its newline may be one that is being written: it
 * counts once it is whole, and is a fault when it is still cut off at the next look.
 */
export class RevocationFile {
  readonly #options: RevocationFileOptions;
  #position: Position = start();
  #shape: Shape | null = null;
  /** When the file was read, by the clock of its own times. */
  #lookedAt = 0;
  #tail: Buffer = Buffer.alloc(0);
  #comparedAt = -Infinity;
  #comparingTook = 0;
  #torn = false;
  #fault: string | null = null;

  constructor(options: RevocationFileOptions) {
    this.#options = options;
  }

  /** Reads the file from its first line at the next look. */
  forget(): void {
    this.#position = start();
    this.#shape = null;
  }

  async look(): Promise<Look> {
    const { path, maxBytes } = this.#options;
    try {
      const found = await stat(path);
      if (!found.isFile()) return this.#failed("is not a file");
      if (found.size > maxBytes) return this.#failed(`larger than ${maxBytes} bytes: remove lines whose time is over`);
      const shape = shapeOf(found);
      if (this.#isAsBefore(shape)) return { changed: false, fault: this.#torn ? TORN : this.#fault };
      return await this.#readOn(shape);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "unreadable";
      return this.#failed(`cannot be read (${code}): create it, empty where nothing is revoked, or remove the key`);
    }
  }

  #failed(fault: string): Look {
    this.forget(); // whatever stands there next is read anew
    this.#torn = false;
    return { changed: false, fault };
  }

  #isAsBefore(shape: Shape): boolean {
    if (this.#shape === null || this.#fault === this.#options.full) return false;
    const isSettled = this.#lookedAt - shape[3] > CLOCK_TICK_MS && this.#lookedAt - shape[4] > CLOCK_TICK_MS;
    return isSettled && this.#shape.every((part, i) => part === shape[i]);
  }

  async #readOn(shape: Shape): Promise<Look> {
    const before = { bytes: this.#shape?.[2] ?? -1, hash: hex(this.#position), torn: this.#torn };
    this.#lookedAt = Date.now();
    const handle = await open(this.#options.path, "r");
    try {
      if (!(await this.#isPrefix(handle, shape))) this.#position = start();
      this.#fault = await this.#readLines(handle);
      this.#tail = await readAt(handle, tailOf(this.#position.bytes));
    } finally {
      await handle.close();
    }
    this.#shape = shape;
    const changed = before.bytes !== shape[2] || before.hash !== hex(this.#position);
    return { changed, fault: this.#fault ?? (this.#torn && before.torn && !changed ? TORN : null) };
  }

  /** Whether the file still begins with what was read of it. */
  async #isPrefix(handle: FileHandle, shape: Shape): Promise<boolean> {
    const { bytes } = this.#position;
    if (bytes === 0) return true;
    if (shape[2] < bytes) return false;
    if (await this.#mayHaveGrownOnly(handle, shape)) return true;
    const { monotonic } = this.#options;
    const startedAt = monotonic();
    const digest = createHash("sha256");
    for (let at = 0; at < bytes;) {
      const chunk = await readAt(handle, { at, length: Math.min(CHUNK_BYTES, bytes - at) });
      if (chunk.length === 0) return false;
      digest.update(chunk);
      at += chunk.length;
    }
    this.#comparedAt = monotonic();
    this.#comparingTook = this.#comparedAt - startedAt;
    return digest.digest("hex") === hex(this.#position);
  }

  /** By its identity, its size and its last lines; for large files, and not for long. */
  async #mayHaveGrownOnly(handle: FileHandle, shape: Shape): Promise<boolean> {
    const { bytes } = this.#position;
    if (bytes <= SMALL_BYTES || this.#shape?.[0] !== shape[0] || this.#shape[1] !== shape[1]) return false;
    if (this.#options.monotonic() - this.#comparedAt >= this.#comparingTook * REST_FACTOR) return false;
    return this.#tail.equals(await readAt(handle, tailOf(bytes)));
  }

  /** Reads on from the position to the end. @returns what is wrong, or null */
  async #readLines(handle: FileHandle): Promise<string | null> {
    let at = this.#position.bytes;
    let rest: Buffer = Buffer.alloc(0);
    for (;;) {
      const chunk = await readAt(handle, { at, length: CHUNK_BYTES });
      if (chunk.length === 0) return this.#readLast(rest);
      at += chunk.length;
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const fault = await this.#takeLines(bytes);
      if (fault !== null) return fault;
      rest = bytes.subarray(bytes.lastIndexOf(NEWLINE) + 1);
      if (rest.length > MAX_LINE_BYTES) return `line ${this.#position.lines + 1}: longer than ${MAX_LINE_BYTES} bytes`;
    }
  }

  /** Takes the lines that have their newline; those before a faulty one count. */
  async #takeLines(bytes: Buffer): Promise<string | null> {
    const { digest } = this.#position;
    let { lines } = this.#position;
    let begin = 0;
    let fault: string | null = null;
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, begin)) {
      const taken = this.#takeLine(bytes.subarray(begin, end));
      fault = typeof taken === "object" && taken !== null ? await taken : taken;
      if (fault !== null) break;
      lines += 1;
      begin = end + 1;
    }
    digest.update(bytes.subarray(0, begin));
    this.#position = { bytes: this.#position.bytes + begin, lines, digest };
    return fault === null || fault === this.#options.full ? fault : `line ${lines + 1}: ${fault}`;
  }

  /** What is wrong with a line, or null. No promise unless room must be made: most lines cost no turn of their own. */
  #takeLine(line: Buffer): string | null | Promise<string | null> {
    if (isBlank(line)) return null;
    if (line.length > MAX_LINE_BYTES) return `longer than ${MAX_LINE_BYTES} bytes`;
    const revocation = readRevocation(line);
    if (typeof revocation === "string") return revocation;
    const taken = this.#options.take(revocation);
    const faultOf = (isTaken: boolean) => (isTaken ? null : this.#options.full);
    return typeof taken === "boolean" ? faultOf(taken) : taken.then(faultOf);
  }

  async #readLast(line: Buffer): Promise<string | null> {
    const fault = await this.#takeLine(line);
    const isFull = fault === this.#options.full;
    this.#torn = fault !== null && !isFull;
    return isFull ? fault : null;
  }
}

function shapeOf({ dev, ino, size, mtimeMs, ctimeMs }: Awaited<ReturnType<typeof stat>>): Shape {
  return [Number(dev), Number(ino), Number(size), Number(mtimeMs), Number(ctimeMs)];
}

function hex({ digest }: Position): string {
  return digest.copy().digest("hex");
}

interface Range {
  readonly at: number;
  readonly length: number;
}

function tailOf(bytes: number): Range {
  const length = Math.min(TAIL_BYTES, bytes);
  return { at: bytes - length, length };
}

/** Fewer bytes at the end of the file. */
async function readAt(handle: FileHandle, { at, length }: Range): Promise<Buffer> {
  const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, at);
  return buffer.subarray(0, bytesRead);
}
