import { createHash } from "node:crypto";
import type { CatalogNames } from "../../catalog/schema.ts";
import type { Entry } from "./definitions.ts";
import { createSlices } from "../../async/slices.ts";
import { faultWord, type Listing, type Offers } from "./listing.ts";

/** What all servers offer now, as one value: whoever answers from it sees one moment. */
export interface Snapshot {
  readonly servers: ReadonlyMap<string, ServerSnapshot>;
  /** SHA-256 of all that may be shown. */
  readonly revision: string;
  /** What serve may tell policy. */
  readonly names: CatalogNames;
}

export interface ServerSnapshot extends Listing {
  readonly revision: string;
}

/** `waiting`: never listed yet; `stale`: down, its last list still holds; `down`: down, nothing of it is shown. */
export const UPSTREAM_STATES = ["waiting", "ready", "stale", "down"] as const;

export interface UpstreamState {
  readonly server: string;
  readonly state: (typeof UPSTREAM_STATES)[number];
  /** A word of ours, or Node's code of an error. */
  readonly error: string | null;
  /** Since it was listed last; null if never. */
  readonly ageSeconds: number | null;
  readonly listed: ServerSnapshot | null;
}

export interface Catalog {
  current(): Snapshot;
  /** What a server said last that it has, also while it is down; null if it never said anything. */
  offers(server: string): Offers | null;
  states(): readonly UpstreamState[];
  /** Lists every server once, then keeps doing so. Resolves after the first round. */
  start(): Promise<void>;
  close(): void;
}

export interface CatalogOptions {
  /** How each server is listed. */
  readonly servers: ReadonlyMap<string, () => Promise<Listing>>;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
  /** Told of each attempt: null, or what failed. */
  readonly onListed: (server: string, error: string | null) => void;
  /** Runs something later, and can be told not to. Injected, so that tests need not wait. */
  readonly later?: (run: () => void, milliseconds: number) => Alarm;
  /** 0 up to 1: brokers that started together must not ask together for ever. */
  readonly random?: () => number;
}

interface Alarm {
  cancel(): void;
}

/** How one server is listed, again and again. */
interface Listings {
  readonly list: () => Promise<Listing>;
  readonly monotonic: () => number;
  readonly onListed: (error: string | null) => void;
  readonly later: (run: () => void, milliseconds: number) => Alarm;
  readonly random: () => number;
}

export const REFRESH_MS = 30_000;
const RETRY_MS = 1000;
const JITTER = 0.1;
/** How long a server that is down keeps what it listed last. */
const KEEP_MS = 10 * 60_000;

/** What all servers offer, kept up to date server by server: one that hangs or fails does not touch the others (B45). */
export function createCatalog(options: CatalogOptions): Catalog {
  const { servers, monotonic, onListed, later = timer, random = Math.random } = options;
  const upstreams = new Map(
    [...servers]
      .map(([name, list]): [string, ListedServer] => {
        const told = (error: string | null) => onListed(name, error);
        return [name, new ListedServer({ list, monotonic, onListed: told, later, random })];
      })
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  let snapshot = snapshotOf(new Map());
  return {
    current() {
      const shown = new Map<string, ServerSnapshot>();
      for (const [name, { kept }] of upstreams) if (kept !== null) shown.set(name, kept);
      if (!isSame(shown, snapshot.servers)) snapshot = snapshotOf(shown);
      return snapshot;
    },
    offers: (server) => upstreams.get(server)?.offers ?? null,
    states: () => [...upstreams].map(([server, upstream]) => ({ server, ...upstream.state() })),
    async start() {
      await Promise.all([...upstreams.values()].map((upstream) => upstream.refresh()));
    },
    close() {
      for (const upstream of upstreams.values()) upstream.close();
    },
  };
}

/** One server's last list, and how it is kept up to date. */
class ListedServer {
  readonly #listings: Listings;
  #listed: ServerSnapshot | null = null;
  #listedAt = 0;
  #error: string | null = null;
  #failures = 0;
  #alarm: Alarm | null = null;
  #closed = false;

  constructor(listings: Listings) {
    this.#listings = listings;
  }

  /** What may be shown: also of a server that is down, for a while. */
  get kept(): ServerSnapshot | null {
    return this.#error === null || this.#ageMs() < KEEP_MS ? this.#listed : null;
  }

  get offers(): Offers | null {
    return this.#listed?.offers ?? null;
  }

  state(): Omit<UpstreamState, "server"> {
    const ageSeconds = this.#listed === null ? null : Math.round(this.#ageMs() / 1000);
    return { state: this.#state(), error: this.#error, ageSeconds, listed: this.kept };
  }

  async refresh(): Promise<void> {
    const { list, monotonic, onListed, later } = this.#listings;
    try {
      const listing = await list();
      const revision = await revisionOf(listing);
      // The same again stays the same object, and with it the snapshot.
      if (this.#listed?.revision !== revision) this.#listed = { ...listing, revision };
      this.#listedAt = monotonic();
      this.#error = null;
      this.#failures = 0;
    } catch (error) {
      this.#error = faultWord(error);
      this.#failures += 1;
    }
    if (this.#closed) return;
    onListed(this.#error);
    this.#alarm = later(() => void this.refresh(), this.#waitMs());
  }

  close(): void {
    this.#closed = true;
    this.#alarm?.cancel();
  }

  #state(): UpstreamState["state"] {
    if (this.#error === null) return this.#listed === null ? "waiting" : "ready";
    return this.kept === null ? "down" : "stale";
  }

  #ageMs(): number {
    return this.#listings.monotonic() - this.#listedAt;
  }

  #waitMs(): number {
    const wait = this.#failures === 0 ? REFRESH_MS : Math.min(REFRESH_MS, RETRY_MS * 2 ** (this.#failures - 1));
    return wait * (1 - JITTER * this.#listings.random());
  }
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
  const names = (entries: readonly Entry[]) => entries.map(({ name }) => name);
  return {
    tools: names(tools),
    prompts: names(prompts),
    // A template is shown to whom policy allows the template itself, as a name.
    resources: [...new Set([...names(resources), ...names(templates)])],
  };
}

/** Entry by entry, in slices: all definitions of a server are some megabytes. JSON texts end where they end. */
async function revisionOf({ tools, prompts, resources, templates, offers, tally }: Listing): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify([offers, tally]));
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

function timer(run: () => void, milliseconds: number): Alarm {
  const handle = setTimeout(run, milliseconds);
  handle.unref();
  return { cancel: () => clearTimeout(handle) };
}
