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
  return new ListedCatalog(options);
}

class ListedCatalog implements Catalog {
  readonly #options: CatalogOptions;
  readonly #history = createNameHistory();
  #upstreams: ReadonlyMap<string, ListedServer>;
  #snapshot = snapshotOf(new Map());
  #refreshedAt = -Infinity;

  constructor(options: CatalogOptions) {
    this.#options = options;
    this.#upstreams = inOrder(
      new Map([...options.servers].map(([name, list]) => [name, this.#listedServer(name, list)])),
    );
  }

  current(): Snapshot {
    const shown = new Map<string, ServerSnapshot>();
    for (const [name, { kept }] of this.#upstreams) if (kept !== null) shown.set(name, kept);
    if (isSame(shown, this.#snapshot.servers)) return this.#snapshot;
    this.#snapshot = snapshotOf(shown);
    for (const [name, names] of Object.entries(this.#snapshot.names.servers)) this.#history.add(name, names);
    return this.#snapshot;
  }

  readonly findNames: Catalog["findNames"] = (server, revision) => {
    this.current();
    return this.#history.find(server, revision);
  };

  readonly #refreshAll = singleFlight(async () => {
    this.#refreshedAt = this.#options.monotonic();
    await Promise.all([...this.#upstreams.values()].map((upstream) => upstream.refresh()));
  });

  refresh(): Promise<void> {
    const isEarly = this.#options.monotonic() - this.#refreshedAt < LEAST_REFRESH_MS;
    return isEarly ? Promise.resolve() : this.#refreshAll();
  }

  heard(server: string, kinds: readonly ChangeKind[]): void {
    this.#upstreams.get(server)?.heard(kinds);
  }

  offers(server: string): Offers | null {
    return this.#upstreams.get(server)?.offers ?? null;
  }

  states(): readonly UpstreamState[] {
    return [...this.#upstreams].map(([server, upstream]) => ({ server, ...upstream.state() }));
  }

  start(): Promise<void> {
    return this.#refreshAll();
  }

  async apply(servers: CatalogOptions["servers"], changed: ReadonlySet<string>): Promise<void> {
    const before = this.#upstreams;
    const isKept = (name: string) => servers.has(name) && !changed.has(name);
    const next = [...servers].map(([name, list]): [string, ListedServer] => {
      const known = isKept(name) ? before.get(name) : undefined;
      return [name, known ?? this.#listedServer(name, list)];
    });
    this.#upstreams = inOrder(new Map(next));
    for (const [name, upstream] of before) {
      if (isKept(name)) continue;
      upstream.close();
      if (!servers.has(name)) this.#options.onChanged?.(name, CHANGE_KINDS);
    }
    const added = next.filter(([name, upstream]) => before.get(name) !== upstream);
    await Promise.all(added.map(([, upstream]) => upstream.refresh()));
  }

  close(): void {
    for (const upstream of this.#upstreams.values()) upstream.close();
  }

  #listedServer(name: string, list: () => Promise<Listing>): ListedServer {
    const { monotonic, onListed, onChanged, later = timer, random = Math.random } = this.#options;
    return new ListedServer({
      ...{ list, monotonic, later, random },
      onListed: (error, listed) => onListed(name, error, listed),
      onChanged: (kinds) => onChanged?.(name, kinds),
    });
  }
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

function digestOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}
