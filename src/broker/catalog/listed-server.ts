// One server of the catalogue: its last list, its state, and when it is listed again. I/O by the lister that is passed in.
import { createHash } from "node:crypto";
import { backoffMs, type Backoff } from "../../async/backoff.ts";
import type { Alarm, Later } from "../../async/later.ts";
import { singleFlight } from "../../async/single-flight.ts";
import { createSlices } from "../../async/slices.ts";
import { CHANGE_KINDS, type ChangeKind } from "../change-notices.ts";
import type { ListEntry } from "./definitions.ts";
import { faultWord, type Listing, type Offers } from "./listing.ts";

export interface ServerSnapshot extends Listing {
  readonly revision: string;
}

/** `waiting`: the first attempt to list it has not ended; `healthy`: the last attempt did; `unhealthy`: it failed. */
export const UPSTREAM_STATES = ["healthy", "unhealthy", "waiting"] as const;

export interface UpstreamState {
  readonly server: string;
  readonly state: (typeof UPSTREAM_STATES)[number];
  /** Why the last attempt failed: a fault's code; null if it did not. */
  readonly error: string | null;
  /** The last fault, also after the server has come back. */
  readonly lastError: { readonly error: string; readonly ageSeconds: number } | null;
  /** Seconds since the last successful listing; null if there was none. */
  readonly ageSeconds: number | null;
  /** What is shown of it: its last list, also while it is unhealthy, for ten minutes. */
  readonly listed: ServerSnapshot | null;
}

interface ListedServerOptions {
  readonly onChanged: (kinds: readonly ChangeKind[]) => void;
  readonly list: () => Promise<Listing>;
  readonly monotonic: () => number;
  readonly onListed: (error: string | null, listed: ServerSnapshot | null) => void;
  readonly later: Later;
  readonly random: () => number;
}

export const REFRESH_MS = 30_000;
const JITTER = 0.05;
/** With all of its jitter a refresh is no later than {@link REFRESH_MS}. */
const MAX_MS = REFRESH_MS / (1 + JITTER);
const RETRY: Backoff = { firstMs: 1000, maxMs: MAX_MS, jitter: JITTER };
const REFRESH: Backoff = { firstMs: MAX_MS, maxMs: MAX_MS, jitter: JITTER };
/** A caller with an old wristband must not have all servers listed without end. */
export const LEAST_REFRESH_MS = 1000;
/** A server that is down keeps its last list for this time. */
const KEEP_MS = 10 * 60_000;

/** One server's last list, and its refresh. */
export class ListedServer {
  readonly #options: ListedServerOptions;
  #listed: ServerSnapshot | null = null;
  #listedAt = 0;
  #error: string | null = null;
  #lastError: { readonly error: string; readonly at: number } | null = null;
  #failures = 0;
  #timer: Alarm | null = null;
  #closed = false;
  #begunAt = -Infinity;
  /** What those who listen know. */
  #told: ServerSnapshot | null = null;
  /** Lists that the server itself says have changed, since the last listing began. */
  #heard = new Set<ChangeKind>();

  constructor(options: ListedServerOptions) {
    this.#options = options;
  }

  /** The list that is shown, also while the server is down, for {@link KEEP_MS}. */
  get kept(): ServerSnapshot | null {
    return this.#error === null || this.#ageMs() < KEEP_MS ? this.#listed : null;
  }

  get offers(): Offers | null {
    return this.#listed?.offers ?? null;
  }

  state(): Omit<UpstreamState, "server"> {
    const ageSeconds = this.#listed === null ? null : Math.round(this.#ageMs() / 1000);
    const last = this.#lastError;
    const lastError = last && {
      error: last.error,
      ageSeconds: Math.round((this.#options.monotonic() - last.at) / 1000),
    };
    return { state: this.#state(), error: this.#error, lastError, ageSeconds, listed: this.kept };
  }

  /** Lists the server, or joins the listing in flight; the next one follows in its time. */
  readonly refresh = singleFlight(() => this.#refresh());

  async #refresh(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    const { list, monotonic, onListed } = this.#options;
    this.#begunAt = monotonic();
    const heard = this.#heard;
    this.#heard = new Set();
    try {
      const listing = await list();
      await this.#take(listing);
      if (listing.broken === null) {
        this.#error = null;
        this.#failures = 0;
      } else this.#fail(listing.broken);
    } catch (error) {
      this.#fail(faultWord(error));
    }
    if (this.#closed) return;
    onListed(this.#error, this.kept);
    this.#tell(heard);
    this.#refreshLater(this.#heard.size > 0 ? LEAST_REFRESH_MS : this.#waitMs());
  }

  /** A list that broke off does not replace one that was read whole and is not too old, and is better than none. */
  async #take(listing: Listing): Promise<void> {
    if (listing.broken !== null && this.kept !== null && this.kept.broken === null) return;
    const revision = await revisionOf(listing);
    // An equal list stays the same object, and so does the snapshot.
    if (this.#listed?.revision !== revision) this.#listed = { ...listing, revision };
    this.#listedAt = this.#options.monotonic();
  }

  #fail(word: string): void {
    this.#error = word;
    this.#lastError = { error: word, at: this.#options.monotonic() };
    this.#failures += 1;
  }

  /** A server that floods is listed once a second. */
  heard(kinds: readonly ChangeKind[]): void {
    for (const kind of kinds) this.#heard.add(kind);
    if (this.#timer !== null) this.#refreshLater(this.#begunAt + LEAST_REFRESH_MS - this.#options.monotonic());
  }

  #refreshLater(milliseconds: number): void {
    this.#timer?.cancel();
    const run = () => {
      this.#timer = null;
      void this.refresh();
    };
    this.#timer = this.#closed ? null : this.#options.later(run, Math.max(0, milliseconds));
  }

  #tell(heard: ReadonlySet<ChangeKind>): void {
    const changed = changedKinds(this.#told, this.kept);
    this.#told = this.kept;
    const kinds = CHANGE_KINDS.filter((kind) => heard.has(kind) || changed.has(kind));
    if (kinds.length > 0) this.#options.onChanged(kinds);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #state(): UpstreamState["state"] {
    if (this.#error !== null) return "unhealthy";
    return this.#listed === null ? "waiting" : "healthy";
  }

  #ageMs(): number {
    return this.#options.monotonic() - this.#listedAt;
  }

  #waitMs(): number {
    const { random } = this.#options;
    return this.#failures === 0 ? backoffMs(REFRESH, 1, random()) : backoffMs(RETRY, this.#failures, random());
  }
}

/** The kinds of lists in which two states of a server differ. */
function changedKinds(before: Listing | null, after: Listing | null): ReadonlySet<ChangeKind> {
  const kinds = new Set<ChangeKind>();
  for (const list of ["tools", "prompts", "resources", "templates"] as const) {
    const [old, now] = [before?.[list] ?? [], after?.[list] ?? []];
    const isEqual = old.length === now.length && old.every((entry, i) => isSameEntry(entry, now[i]));
    if (!isEqual) kinds.add(list === "templates" ? "resources" : list);
  }
  return kinds;
}

function isSameEntry(a: ListEntry, b: ListEntry | undefined): boolean {
  return a.name === b?.name && a.json === b.json && a.merged === b.merged;
}

/** Hashes entry by entry, in slices: all definitions of a server are some megabytes. Concatenated JSON texts are unambiguous. */
async function revisionOf(listing: Listing): Promise<string> {
  const { tools, prompts, resources, templates, offers, direct, stats, incomplete, broken } = listing;
  const hash = createHash("sha256").update(JSON.stringify([offers, direct, stats, incomplete, broken]));
  const slices = createSlices();
  for (const entries of [tools, prompts, resources, templates]) {
    hash.update(JSON.stringify(entries.length));
    for (const entry of entries) {
      hash.update(JSON.stringify(entry));
      await slices.spend(entry.json.length);
    }
  }
  return hash.digest("hex");
}
