// The catalogue: what all servers list, renewed server by server, as one immutable snapshot. I/O by the listers that are passed in.
import { createHash } from "node:crypto";
import { backoffMs, type Backoff } from "../../async/backoff.ts";
import { later as timer, type Alarm, type Later } from "../../async/later.ts";
import type { CatalogNames } from "../../catalog/schema.ts";
import type { ListEntry } from "./definitions.ts";
import { singleFlight } from "../../async/single-flight.ts";
import { createNameHistory, type NameHistory } from "../../wristband/compact-names.ts";
import { createSlices } from "../../async/slices.ts";
import { CHANGE_KINDS, type ChangeKind } from "../change-notices.ts";
import { faultWord, type Listing, type Offers } from "./listing.ts";

/** Lists of all servers as one value: everything answered from it is of one moment. */
export interface Snapshot {
  readonly servers: ReadonlyMap<string, ServerSnapshot>;
  /** SHA-256 over all entries. */
  readonly revision: string;
  /** The names alone, for `serve` and its policy. */
  readonly names: CatalogNames;
}

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

export interface Catalog {
  current(): Snapshot;
  /** The names of one of the last revisions of a server's list. */
  findNames: NameHistory["find"];
  /**
   * Lists all servers now, or joins the refresh in flight: a wristband refers to a list that is not known here. At most once a
   * second; resolves after the attempt, or at once.
   */
  refresh(): Promise<void>;
  /** A server says that these lists have changed: it is listed again, at most once a second, and those who listen are told. */
  heard(server: string, kinds: readonly ChangeKind[]): void;
  /** The capabilities that a server declared last, also while it is down; null if it was never listed. */
  offers(server: string): Offers | null;
  states(): readonly UpstreamState[];
  /** Lists every server, and again at intervals. Resolves after the first round. */
  start(): Promise<void>;
  /**
   * Takes other servers: those that are not among them are shown no longer, new and changed ones are listed anew, all others
   * stay as they are. Resolves after the first listing of the new ones.
   */
  apply(servers: CatalogOptions["servers"], changed: ReadonlySet<string>): Promise<void>;
  close(): void;
}

export interface CatalogOptions {
  /** Lists a server. */
  readonly servers: ReadonlyMap<string, () => Promise<Listing>>;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
  /** Receives each attempt: null, or the code of its fault; and what is shown of the server. */
  readonly onListed: (server: string, error: string | null, listed: ServerSnapshot | null) => void;
  /** Receives each change of what a server lists, also when it is shown no longer, or again. */
  readonly onChanged?: (server: string, kinds: readonly ChangeKind[]) => void;
  /** Starts a timer; tests pass their own. */
  readonly later?: Later;
  /** 0 up to 1, for jitter: brokers that started together must not list in step. */
  readonly random?: () => number;
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
const LEAST_REFRESH_MS = 1000;
/** A server that is down keeps its last list for this time. */
const KEEP_MS = 10 * 60_000;

/** Each server is listed by itself: one that hangs or fails does not touch the others (B45). */
export function createCatalog(options: CatalogOptions): Catalog {
  const { servers, monotonic, onListed, onChanged = () => {}, later = timer, random = Math.random } = options;
  const listedServer = (name: string, list: () => Promise<Listing>) =>
    new ListedServer({
      list,
      monotonic,
      onListed: (error) => onListed(name, error),
      onChanged: (kinds) => onChanged(name, kinds),
      later,
      random,
    });
  let upstreams = inOrder(new Map([...servers].map(([name, list]) => [name, listedServer(name, list)])));
  let snapshot = snapshotOf(new Map());
  const history = createNameHistory();
  let refreshedAt = -Infinity;
  const refreshAll = singleFlight(async () => {
    refreshedAt = monotonic();
    await Promise.all([...upstreams.values()].map((upstream) => upstream.refresh()));
  });
  const current = () => {
    const shown = new Map<string, ServerSnapshot>();
    for (const [name, { kept }] of upstreams) if (kept !== null) shown.set(name, kept);
    if (isSame(shown, snapshot.servers)) return snapshot;
    snapshot = snapshotOf(shown);
    for (const [name, names] of Object.entries(snapshot.names.servers)) history.add(name, names);
    return snapshot;
  };
  return {
    current,
    findNames(server, revision) {
      current();
      return history.find(server, revision);
    },
    refresh: () => (monotonic() - refreshedAt < LEAST_REFRESH_MS ? Promise.resolve() : refreshAll()),
    heard: (server, kinds) => upstreams.get(server)?.heard(kinds),
    offers: (server) => upstreams.get(server)?.offers ?? null,
    states: () => [...upstreams].map(([server, upstream]) => ({ server, ...upstream.state() })),
    start: refreshAll,
    async apply(next, changed) {
      const isKept = (name: string) => next.has(name) && !changed.has(name);
      const before = upstreams;
      upstreams = inOrder(
        new Map(
          [...next].map(([name, list]) => [name, (isKept(name) ? before.get(name) : null) ?? listedServer(name, list)]),
        ),
      );
      for (const [name, upstream] of before) {
        if (isKept(name)) continue;
        upstream.close();
        if (!next.has(name)) onChanged(name, CHANGE_KINDS);
      }
      await Promise.all(
        [...upstreams].map(([name, upstream]) => (before.get(name) === upstream ? null : upstream.refresh())),
      );
    },
    close() {
      for (const upstream of upstreams.values()) upstream.close();
    },
  };
}

/** In ascending order of their names. */
function inOrder<T>(servers: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  return new Map([...servers].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** One server's last list, and its refresh. */
class ListedServer {
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

function isSame(a: ReadonlyMap<string, ServerSnapshot>, b: ReadonlyMap<string, ServerSnapshot>): boolean {
  return a.size === b.size && [...a].every(([name, listed]) => b.get(name) === listed);
}

function snapshotOf(servers: ReadonlyMap<string, ServerSnapshot>): Snapshot {
  const revision = digestOf([...servers].map(([name, listed]) => [name, listed.revision]));
  return {
    servers,
    revision,
    names: { servers: Object.fromEntries([...servers].map(([name, l]) => [name, namesOf(l)])) },
  };
}

function namesOf({ tools, prompts, resources, templates }: Listing): CatalogNames["servers"][string] {
  const names = (entries: readonly ListEntry[]) => entries.map(({ name }) => name);
  return {
    tools: names(tools),
    prompts: names(prompts),
    // For policy a template is a name like any other.
    resources: [...new Set([...names(resources), ...names(templates)])],
  };
}

/** Hashes entry by entry, in slices: all definitions of a server are some megabytes. Concatenated JSON texts are unambiguous. */
async function revisionOf(listing: Listing): Promise<string> {
  const { tools, prompts, resources, templates, offers, stats, incomplete, broken } = listing;
  const hash = createHash("sha256").update(JSON.stringify([offers, stats, incomplete, broken]));
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

function digestOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}
