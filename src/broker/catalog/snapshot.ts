// The catalogue: what all servers list, renewed server by server, as one immutable snapshot. I/O by the listers that are passed in.
import { createHash } from "node:crypto";
import { later as timer, type Later } from "../../async/later.ts";
import type { PublishedCatalog } from "../../catalog/schema.ts";
import type { ListEntry } from "./definitions.ts";
import { singleFlight } from "../../async/single-flight.ts";
import { createNameHistory, type NameHistory } from "../../wristband/compact-names.ts";
import { CHANGE_KINDS, type ChangeKind } from "../change-notices.ts";
import { LEAST_REFRESH_MS, ListedServer, type ServerSnapshot, type UpstreamState } from "./listed-server.ts";
import type { Listing, Offers } from "./listing.ts";

/** Lists of all servers as one value: everything answered from it is of one moment. */
export interface Snapshot {
  readonly servers: ReadonlyMap<string, ServerSnapshot>;
  /** SHA-256 over all entries. */
  readonly revision: string;
  /** The names alone, for `serve` and its policy, and which tools of direct servers say arguments in headers, too. */
  readonly names: PublishedCatalog;
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

function namesOf({ tools, prompts, resources, templates, direct }: Listing): PublishedCatalog["servers"][string] {
  // Calls of all other servers are relayed anyhow.
  const mirrors = direct === null ? [] : tools.flatMap((tool, place) => (tool.mirrors === true ? [place] : []));
  const names = (entries: readonly ListEntry[]) => entries.map(({ name }) => name);
  return {
    tools: names(tools),
    prompts: names(prompts),
    // For policy a template is a name like any other.
    resources: [...new Set([...names(resources), ...names(templates)])],
    ...(mirrors.length > 0 && { mirrors }),
  };
}

function digestOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}
