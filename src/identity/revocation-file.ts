// Reads the revocation file incrementally, in chunks, and reports when it cannot be read whole. I/O.
import { createHash, type Hash } from "node:crypto";
import { open, stat, type FileHandle } from "node:fs/promises";
import { errorCode } from "../files/read-error.ts";
import { isBlank, MAX_LINE_BYTES, readRevocation, type Revocation } from "./revocation-lines.ts";

/** Stores a revocation; false if there is no room for it. */
export type AddRevocation = (revocation: Revocation) => boolean | Promise<boolean>;

export interface RevocationFileOptions {
  readonly path: string;
  readonly maxBytes: number;
  readonly add: AddRevocation;
  /** The fault that is reported when `add` has no room. */
  readonly full: string;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
}

export interface ReadResult {
  /** True when the file was read, in part at least, and differs from the last time. */
  readonly changed: boolean;
  /** The reason for which the file could not be read whole, or null. */
  readonly fault: string | null;
}

/** The end of the last complete line that was read, with the SHA-256 of the bytes before it. */
interface Position {
  readonly bytes: number;
  readonly lines: number;
  readonly digest: Hash;
}

/** The identity and version of a file by `stat`. */
type FileStamp = readonly [device: number, inode: number, size: number, modifiedMs: number, changedMs: number];

/** No room in memory for a revocation: told from the faults of a line, which are texts. */
const FULL = Symbol("full");
type Fault = string | typeof FULL;

/** Bytes that are read at once: about 1 ms of lines; requests run in between. */
const CHUNK_BYTES = 32 * 1024;
const NEWLINE = 0x0a;
const TORN = "the last line is cut off and does not count: write it whole, with a newline";
/** Two changes within this time can have the same time stamp. */
const CLOCK_TICK_MS = 2000;
/** A file up to this size is compared with its SHA-256 at each change: 10 ms. */
const SMALL_BYTES = 8 * 1024 * 1024;
/** A larger file that seems to have grown only is compared when this multiple of the comparison's duration has passed. */
const REST_FACTOR = 50;
const TAIL_BYTES = 4096;

const start = (): Position => ({ bytes: 0, lines: 0, digest: createHash("sha256") });

/**
 * A file of JSON lines that grows or is replaced. Bytes with the same SHA-256 as before are not parsed again: a file that
 * grows by a line costs the line. A last line without a newline may still be in writing: it counts if it is valid, and is a
 * fault if it is still cut off at the next read.
 */
export class RevocationFile {
  readonly #options: RevocationFileOptions;
  #position: Position = start();
  #stamp: FileStamp | null = null;
  /** Milliseconds since the epoch of the last read: the clock of the file's time stamps. */
  #readAt = 0;
  #tail: Buffer = Buffer.alloc(0);
  #comparedAt = -Infinity;
  #comparingTook = 0;
  #torn = false;
  #fault: Fault | null = null;

  constructor(options: RevocationFileOptions) {
    this.#options = options;
  }

  /** Makes the next read begin at the first line. */
  forget(): void {
    this.#position = start();
    this.#stamp = null;
  }

  async read(): Promise<ReadResult> {
    const { path, maxBytes } = this.#options;
    try {
      const found = await stat(path);
      if (!found.isFile()) return this.#failed("is not a file");
      if (found.size > maxBytes) return this.#failed(`larger than ${maxBytes} bytes: remove lines whose time is over`);
      const stamp = stampOf(found);
      if (this.#isAsBefore(stamp)) return { changed: false, fault: this.#torn ? TORN : this.#faultText() };
      return await this.#readOn(stamp);
    } catch (error) {
      return this.#failed(
        `cannot be read (${errorCode(error)}): create it, empty where nothing is revoked, or remove the key`,
      );
    }
  }

  #failed(fault: string): ReadResult {
    this.forget();
    this.#torn = false;
    return { changed: false, fault };
  }

  #faultText(): string | null {
    return this.#fault === FULL ? this.#options.full : this.#fault;
  }

  #isAsBefore(stamp: FileStamp): boolean {
    if (this.#stamp === null || this.#fault === FULL) return false;
    const isSettled = this.#readAt - stamp[3] > CLOCK_TICK_MS && this.#readAt - stamp[4] > CLOCK_TICK_MS;
    return isSettled && this.#stamp.every((part, i) => part === stamp[i]);
  }

  async #readOn(stamp: FileStamp): Promise<ReadResult> {
    const before = { bytes: this.#stamp?.[2] ?? -1, hash: hex(this.#position), torn: this.#torn };
    this.#readAt = Date.now();
    const handle = await open(this.#options.path, "r");
    try {
      if (!(await this.#isPrefix(handle, stamp))) this.#position = start();
      this.#fault = await this.#readLines(handle);
      this.#tail = await readAt(handle, tailOf(this.#position.bytes));
    } finally {
      await handle.close();
    }
    this.#stamp = stamp;
    const changed = before.bytes !== stamp[2] || before.hash !== hex(this.#position);
    return { changed, fault: this.#faultText() ?? (this.#torn && before.torn && !changed ? TORN : null) };
  }

  /** True if the file still begins with the bytes that were read before. */
  async #isPrefix(handle: FileHandle, stamp: FileStamp): Promise<boolean> {
    const { bytes } = this.#position;
    if (bytes === 0) return true;
    if (stamp[2] < bytes) return false;
    if (await this.#mayHaveGrownOnly(handle, stamp)) return true;
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

  /** True if inode, size and last lines suggest so. For large files only, and until the next full comparison is due. */
  async #mayHaveGrownOnly(handle: FileHandle, stamp: FileStamp): Promise<boolean> {
    const { bytes } = this.#position;
    if (bytes <= SMALL_BYTES || this.#stamp?.[0] !== stamp[0] || this.#stamp[1] !== stamp[1]) return false;
    if (this.#options.monotonic() - this.#comparedAt >= this.#comparingTook * REST_FACTOR) return false;
    return this.#tail.equals(await readAt(handle, tailOf(bytes)));
  }

  /** Reads from the position to the end of the file. @returns the first fault, or null */
  async #readLines(handle: FileHandle): Promise<Fault | null> {
    let at = this.#position.bytes;
    let rest: Buffer = Buffer.alloc(0);
    for (;;) {
      const chunk = await readAt(handle, { at, length: CHUNK_BYTES });
      if (chunk.length === 0) return this.#readLast(rest);
      at += chunk.length;
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const fault = await this.#addLines(bytes);
      if (fault !== null) return fault;
      rest = bytes.subarray(bytes.lastIndexOf(NEWLINE) + 1);
      if (rest.length > MAX_LINE_BYTES) return `line ${this.#position.lines + 1}: longer than ${MAX_LINE_BYTES} bytes`;
    }
  }

  /** Adds the complete lines; those before a faulty one count. */
  async #addLines(bytes: Buffer): Promise<Fault | null> {
    const { digest } = this.#position;
    let { lines } = this.#position;
    let begin = 0;
    let fault: Fault | null = null;
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, begin)) {
      const result = this.#addLine(bytes.subarray(begin, end));
      fault = typeof result === "object" && result !== null ? await result : result;
      if (fault !== null) break;
      lines += 1;
      begin = end + 1;
    }
    digest.update(bytes.subarray(0, begin));
    this.#position = { bytes: this.#position.bytes + begin, lines, digest };
    return typeof fault === "string" ? `line ${lines + 1}: ${fault}` : fault;
  }

  /** Adds a line, or returns its fault. A promise only if room must be made: most lines need no microtask. */
  #addLine(line: Buffer): Fault | null | Promise<Fault | null> {
    if (isBlank(line)) return null;
    if (line.length > MAX_LINE_BYTES) return `longer than ${MAX_LINE_BYTES} bytes`;
    const revocation = readRevocation(line);
    if (typeof revocation === "string") return revocation;
    const result = this.#options.add(revocation);
    const faultOf = (hasRoom: boolean) => (hasRoom ? null : FULL);
    return typeof result === "boolean" ? faultOf(result) : result.then(faultOf);
  }

  async #readLast(line: Buffer): Promise<Fault | null> {
    const fault = await this.#addLine(line);
    this.#torn = typeof fault === "string";
    return fault === FULL ? FULL : null;
  }
}

function stampOf({ dev, ino, size, mtimeMs, ctimeMs }: Awaited<ReturnType<typeof stat>>): FileStamp {
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

/** Reads a range; the result is shorter at the end of the file. */
async function readAt(handle: FileHandle, { at, length }: Range): Promise<Buffer> {
  const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, at);
  return buffer.subarray(0, bytesRead);
}
