// Who is revoked: the revocations of the file, and all that were ever seen in it.
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
  /** How many may be in force at a time; {@link DEFAULT_REVOCATIONS} unless told. */
  readonly maxEntries?: number;
  /** What an earlier thread of this process has seen; null in its first one. */
  readonly remembered: SharedArrayBuffer | null;
  /** Told of each change of the file that counts, and of each that cannot. */
  readonly onReload: (result: "ok" | "failed", message: string) => void;
  /** Told of the memory that holds all that was seen, each time it is another, so that it outlives this thread. */
  readonly onMemory?: (memory: SharedArrayBuffer) => void;
  /** Told when somebody is newly revoked, with whether a caller is, by token, session or as a subject. */
  readonly onRevoked: (isRevoked: (marks: CallerMarks) => boolean) => void;
}

/** As {@link TokenMarks}, of a caller whose token may be any of the subject's. */
export type CallerMarks = Omit<TokenMarks, "iat">;

/** Which sort of line holds for a token; `unavailable`: none that was read, but the file could not be read whole. */
export type Revoked = Revocation["by"] | "unavailable";

export interface Revocations extends Poller {
  /** Whether a verified token counts: null, and only then. At each use of a token, in constant time. */
  revoked(identity: Identity): Revoked | null;
  /** How many revocations are remembered, and why the file could not be read whole: all tokens are refused meanwhile. */
  status(): { readonly entries: number; readonly stale: string | null };
}

export const DEFAULT_REVOCATIONS = 1_000_000;
/** So many that are new at a time are told apart: beyond, every caller counts as newly revoked. */
const MAX_NEWS = 10_000;
/** A line of Keycloak's has 130 bytes; those that are over stand in the file too. */
const BYTES_PER_ENTRY = 512;

/**
 * The revocations of the file, and all that were ever seen in it (design 6.10, threat row A31). While the file is missing,
 * broken or larger than the memory, any token may be revoked by what could not be read, so all are refused.
 * @throws {ConfigProblem} at the start, when the file cannot be read whole: without it nobody knows who was revoked
 */
export async function createRevocations(options: RevocationOptions): Promise<Revocations> {
  const watch = new RevocationWatch(options);
  const poller = createPoller(() => watch.look());
  await poller.poll();
  if (watch.stale !== null && options.remembered === null)
    throw new ConfigProblem("identity.revocationFile", `${options.file}: ${watch.stale}`);
  return {
    revoked: (identity) => watch.revoked(identity),
    ...poller,
    status: () => ({ entries: watch.entries, stale: watch.stale }),
  };
}

/** The file and the memory of all that stood in it. */
class RevocationWatch {
  readonly #options: RevocationOptions;
  readonly #memory: RevocationMemory;
  readonly #file: RevocationFile;
  #news = 0;
  /** Their names. */
  #newNames = new Set<string>();
  #stale: string | null = "not read yet";

  constructor(options: RevocationOptions) {
    const { file: path, monotonic, maxEntries = DEFAULT_REVOCATIONS, onMemory = () => {} } = options;
    this.#options = options;
    this.#memory = createRevocationMemory({ ...options, maxEntries, onMemory });
    this.#file = new RevocationFile({
      ...{ path, monotonic, maxBytes: maxEntries * BYTES_PER_ENTRY },
      full: `more than ${maxEntries} revocations are in force: raise limits.revocations, or let the issuer revoke fewer`,
      take: (revocation) => this.#take(revocation),
    });
  }

  get entries(): number {
    return this.#memory.size();
  }

  /** Why the file could not be read whole, or null. */
  get stale(): string | null {
    return this.#stale;
  }

  revoked(identity: Identity): Revoked | null {
    const { issuer, subject, claims } = identity;
    const { jti, sid, iat } = claims;
    const by = this.#memory.find({ iss: issuer, sub: subject, jti, sid, iat }, identity);
    return by ?? (this.#stale === null ? null : "unavailable");
  }

  async look(): Promise<void> {
    if (this.#memory.hasDroppedTooMuch()) this.#file.forget();
    this.#news = 0;
    this.#newNames = new Set();
    const { changed, fault } = await this.#file.look();
    const memory = this.#memory;
    const { onRevoked, onReload } = this.#options;
    if (this.#news > 0) onRevoked((marks) => this.#isNewly(marks));
    const wasStale = this.#stale;
    this.#stale = fault;
    if (fault !== null && fault !== wasStale) onReload("failed", fault);
    if (fault === null && (changed || wasStale !== null)) onReload("ok", `${this.#news} new, ${memory.size()} in all`);
  }

  #take(revocation: Revocation): boolean | Promise<boolean> {
    const added = this.#memory.add(revocation);
    if (added === "full") return this.#memory.makeRoom().then((hasRoom) => hasRoom && this.#take(revocation));
    if (added === "new") {
      this.#news += 1;
      if (this.#news <= MAX_NEWS) this.#newNames.add(nameOf(revocation));
    }
    return true;
  }

  #isNewly({ iss, sub, jti, sid }: CallerMarks): boolean {
    const has = (by: Revocation["by"], id: unknown) =>
      typeof id === "string" && this.#newNames.has(nameOf({ by, iss, id }));
    return this.#news > MAX_NEWS || has("jti", jti) || has("sid", sid) || has("sub", sub);
  }
}
