// Revocation of tokens, sessions and subjects: polls the revocation file and remembers all that it ever held. I/O.
import { createPoller, type Poller } from "../async/poll.ts";
import type { Identity } from "../authz/types.ts";
import { ConfigProblem } from "../files/config-problem.ts";
import { RevocationFile } from "./revocation-file.ts";
import type { Revocation } from "./revocation-lines.ts";
import { createRevocationMemory, nameOf, type RevocationMemory, type TokenMarks } from "./revocation-memory.ts";

export interface RevocationOptions {
  /** JSON lines; see docs/operations.md. */
  readonly file: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
  /** Revocations that may be in force at a time; {@link DEFAULT_REVOCATIONS} by default. */
  readonly maxEntries?: number;
  /** The memory of an earlier thread of this process; null in its first one. */
  readonly remembered: SharedArrayBuffer | null;
  /** Called for each change of the file that was accepted, and for each that was not. */
  readonly onReload: (result: "ok" | "failed", message: string) => void;
  /** Called with the shared memory each time it is replaced, so that it outlives this thread. */
  readonly onMemory?: (memory: SharedArrayBuffer) => void;
  /** Called after new revocations, with a predicate that tells whether one applies to a caller. */
  readonly onRevoked: (isRevoked: (marks: CallerMarks) => boolean) => void;
}

/** The marks of a caller, any of whose tokens may be revoked: {@link TokenMarks} without the time of issue. */
export type CallerMarks = Omit<TokenMarks, "iat">;

/** The kind of line that applies to a token; `unavailable`: no known line applies, but the file could not be read whole. */
export type RevocationMatch = Revocation["by"] | "unavailable";

export interface Revocations extends Poller {
  /** Finds the revocation of a verified token. Only null accepts the token. Constant time. */
  revoked(identity: Identity): RevocationMatch | null;
  /** The number of entries, and the reason for which the file could not be read whole: all tokens are refused meanwhile. */
  status(): { readonly entries: number; readonly stale: string | null };
}

export const DEFAULT_REVOCATIONS = 1_000_000;
/** New revocations of one read that are held by name: beyond, every caller counts as newly revoked. */
const MAX_NEW_NAMES = 10_000;
/** Bytes of the file for each entry in force. A line for a Keycloak token has 130 bytes; lines that are over count too. */
export const BYTES_PER_ENTRY = 512;

/**
 * Loads the revocations and polls the file (threat model: A31). While the file is missing, broken or larger than the memory,
 * any token may be revoked by an unread line, so all are refused.
 * @throws {ConfigProblem} at the start if the file cannot be read whole
 */
export async function createRevocations(options: RevocationOptions): Promise<Revocations> {
  const watch = new RevocationWatch(options);
  const poller = createPoller(() => watch.poll());
  await poller.poll();
  if (watch.stale !== null && options.remembered === null)
    throw new ConfigProblem("identity.revocationFile", `${options.file}: ${watch.stale}`);
  return {
    revoked: (identity) => watch.revoked(identity),
    ...poller,
    status: () => ({ entries: watch.entries, stale: watch.stale }),
  };
}

/** The file, and the memory of all lines that it ever held. */
class RevocationWatch {
  readonly #options: RevocationOptions;
  readonly #memory: RevocationMemory;
  readonly #file: RevocationFile;
  /** New revocations of the last read: their number, and their names up to {@link MAX_NEW_NAMES}. */
  #newCount = 0;
  #newNames = new Set<string>();
  #stale: string | null = "not read yet";

  constructor(options: RevocationOptions) {
    const { file: path, monotonic, maxEntries = DEFAULT_REVOCATIONS, onMemory = () => {} } = options;
    this.#options = options;
    this.#memory = createRevocationMemory({ ...options, maxEntries, onMemory });
    this.#file = new RevocationFile({
      ...{ path, monotonic, maxBytes: maxEntries * BYTES_PER_ENTRY },
      full: `more than ${maxEntries} revocations are in force: raise limits.revocations, or let the issuer revoke fewer`,
      add: (revocation) => this.#add(revocation),
    });
  }

  get entries(): number {
    return this.#memory.size();
  }

  /** The reason for which the file could not be read whole, or null. */
  get stale(): string | null {
    return this.#stale;
  }

  revoked(identity: Identity): RevocationMatch | null {
    const { issuer, subject, claims } = identity;
    const { jti, sid, iat } = claims;
    const by = this.#memory.find({ iss: issuer, sub: subject, jti, sid, iat }, identity);
    return by ?? (this.#stale === null ? null : "unavailable");
  }

  async poll(): Promise<void> {
    if (this.#memory.hasDroppedTooMuch()) this.#file.forget();
    this.#newCount = 0;
    this.#newNames = new Set();
    const { changed, fault } = await this.#file.read();
    const memory = this.#memory;
    const { onRevoked, onReload } = this.#options;
    if (this.#newCount > 0) onRevoked((marks) => this.#isNewly(marks));
    const wasStale = this.#stale;
    this.#stale = fault;
    if (fault !== null && fault !== wasStale) onReload("failed", fault);
    if (fault === null && (changed || wasStale !== null))
      onReload("ok", `${this.#newCount} new, ${memory.size()} in all`);
  }

  #add(revocation: Revocation): boolean | Promise<boolean> {
    const result = this.#memory.add(revocation);
    if (result === "full") return this.#memory.makeRoom().then((hasRoom) => hasRoom && this.#add(revocation));
    if (result === "new") {
      this.#newCount += 1;
      if (this.#newCount <= MAX_NEW_NAMES) this.#newNames.add(nameOf(revocation));
    }
    return true;
  }

  #isNewly({ iss, sub, jti, sid }: CallerMarks): boolean {
    const has = (by: Revocation["by"], id: unknown) =>
      typeof id === "string" && this.#newNames.has(nameOf({ by, iss, id }));
    return this.#newCount > MAX_NEW_NAMES || has("jti", jti) || has("sid", sid) || has("sub", sub);
  }
}
