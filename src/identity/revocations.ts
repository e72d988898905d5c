import { readFile, stat } from "node:fs/promises";
import type { Identity } from "../authz/ports.ts";
import {
  MAX_FILE_BYTES,
  NOTHING_READ,
  readRevocation,
  readRevocations,
  writeRevocation,
  type RevocationFile,
  type Revocation,
} from "./revocation-lines.ts";
import { createRevocationMemory, type Added, type RevocationMemory, type TokenMarks } from "./revocation-memory.ts";

export interface RevocationOptions {
  /** JSON lines; see docs/operations.md. */
  readonly file: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
  /** Lines that an earlier thread of this process has seen; null in its first one. */
  readonly remembered: readonly string[] | null;
  /** Told of each change of the file that counts, and of each that cannot. */
  readonly onReload: (result: "ok" | "failed", message: string) => void;
  /** Told of every line that was new, so that it outlives this thread; with `replace`, of all there are. */
  readonly onSeen: (lines: readonly string[], replace: boolean) => void;
  /** Told when somebody is newly revoked, with whether a caller is, by token, session or as a subject. */
  readonly onRevoked: (isRevoked: (marks: CallerMarks) => boolean) => void;
}

/** As {@link TokenMarks}, of a caller whose token may be any of the subject's. */
export type CallerMarks = Omit<TokenMarks, "iat">;

export interface Revocations {
  /** Which sort of line holds for a verified token, or null. At each use of a token, in constant time. */
  revoked(identity: Identity): Revocation["by"] | null;
  /** Looks for a change of the file. */
  poll(): Promise<void>;
  watch(everyMs: number): void;
  /** How many revocations are remembered, and what is wrong with the file. */
  status(): { readonly entries: number; readonly stale: string | null };
  close(): void;
}

const MAX_REMEMBERED = 200_000;
const TORN = "the last line is cut off and does not count: write it whole, with a newline";

/**
 * The revocations of the file, and all that were ever seen in it (design 6.10, threat row A31). A file that is missing or
 * broken leaves the last good set in force, and says so.
 * @throws {Error} at the start, when the file cannot be read: without it nobody knows who was revoked
 */
export async function createRevocations(options: RevocationOptions): Promise<Revocations> {
  const memory = createRevocationMemory({ ...options, maxEntries: MAX_REMEMBERED });
  const file = new WatchedFile(memory, options);
  let timer: NodeJS.Timeout | undefined;
  let flight: Promise<void> | null = null;
  const poll = () => (flight ??= file.load().finally(() => (flight = null)));

  remember(memory, options.remembered ?? []);
  await poll();
  if (file.stale !== null && options.remembered === null)
    throw new Error(`identity.revocationFile: ${options.file}: ${file.stale}`);
  return {
    revoked: ({ issuer, subject, claims }) =>
      memory.find({ iss: issuer, sub: subject, jti: claims["jti"], sid: claims["sid"], iat: claims["iat"] }),
    poll,
    watch(everyMs) {
      timer = setInterval(() => void poll(), everyMs);
      timer.unref();
    },
    status: () => ({ entries: memory.size(), stale: file.stale }),
    close: () => clearInterval(timer),
  };
}

/** The file as it was last read: what counted of it, and what is wrong with it. */
class WatchedFile {
  readonly #memory: RevocationMemory;
  readonly #options: RevocationOptions;
  #content: Buffer | null = null;
  /** How far `#content` was read. */
  #read = NOTHING_READ;
  #torn = false;
  #stale: string | null = null;

  constructor(memory: RevocationMemory, options: RevocationOptions) {
    this.#memory = memory;
    this.#options = options;
  }

  /** What is wrong with the file, or null. */
  get stale(): string | null {
    return this.#stale;
  }

  async load(): Promise<void> {
    const bytes = await readWhole(this.#options.file);
    if (typeof bytes === "string") {
      this.#content = null; // whatever stands there next is read anew
      this.#read = NOTHING_READ;
      this.#fail(bytes);
    } else if (this.#content?.equals(bytes) === true) {
      if (this.#torn) this.#fail(TORN); // still, after a second
    } else await this.#take(bytes);
  }

  async #take(bytes: Buffer): Promise<void> {
    const file = await readRevocations(bytes, this.#hasGrownTo(bytes) ? this.#read : NOTHING_READ);
    this.#content = bytes;
    this.#read = NOTHING_READ;
    this.#torn = false;
    if (typeof file === "string") this.#fail(file);
    else this.#add(file);
  }

  #hasGrownTo(bytes: Buffer): boolean {
    const read = this.#content?.subarray(0, this.#read.bytes);
    return read?.equals(bytes.subarray(0, read.length)) === true;
  }

  #add({ revocations, torn, read }: RevocationFile): void {
    this.#torn = torn;
    const added = this.#memory.add(revocations);
    if (typeof added === "string") {
      this.#fail(added);
      return;
    }
    this.#read = read;
    this.#tell(added);
  }

  #tell({ news, pruned }: Added): void {
    const memory = this.#memory;
    const { onSeen, onRevoked, onReload } = this.#options;
    if (news.length > 0 || pruned) onSeen((pruned ? memory.all() : news).map(writeRevocation), pruned);
    if (news.length > 0) onRevoked((marks) => memory.find({ ...marks, iat: undefined }) !== null);
    if (!this.#torn) this.#stale = null;
    onReload("ok", `${news.length} new, ${memory.size()} in all`);
  }

  #fail(message: string): void {
    if (this.#stale !== message) this.#options.onReload("failed", message);
    this.#stale = message;
  }
}

function remember(memory: RevocationMemory, lines: readonly string[]): void {
  const revocations = lines.map((line) => readRevocation(Buffer.from(line)));
  memory.add(revocations.filter((revocation) => typeof revocation !== "string"));
}

/** The file's bytes, or why they cannot be had. */
async function readWhole(path: string): Promise<Buffer | string> {
  const tooLarge = `larger than ${MAX_FILE_BYTES} bytes: remove lines whose time is over`;
  try {
    const found = await stat(path);
    if (!found.isFile()) return "is not a file";
    if (found.size > MAX_FILE_BYTES) return tooLarge;
    const bytes = await readFile(path);
    return bytes.length > MAX_FILE_BYTES ? tooLarge : bytes;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unreadable";
    return `cannot be read (${code}): create it, empty where nothing is revoked, or remove the key`;
  }
}
