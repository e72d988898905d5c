import { createHash } from "node:crypto";
import type { CatalogNames } from "./catalog-names.ts";
import type { Entry } from "./definitions.ts";
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
  readonly later?: (run: () => void, milliseconds: number) => { cancel(): void };
  /** 0 up to 1: brokers that started together must not ask together for ever. */
  readonly random?: () => number;
}

interface Slot {
  listed: ServerSnapshot | null;
  at: number;
  error: string | null;
  failures: number;
}

export const REFRESH_MS = 30_000;
const RETRY_MS = 1000;
const JITTER = 0.1;
/** How long a server that is down keeps what it listed last. */
const KEEP_MS = 10 * 60_000;

/** What all servers offer, kept up to date server by server: one that hangs or fails does not touch the others (B45). */
export function createCatalog(options: CatalogOptions): Catalog {
  const { servers, monotonic, onListed, later = timer, random = Math.random } = options;
  const slots = new Map<string, Slot>(
    [...servers.keys()].sort().map((name) => [name, { listed: null, at: 0, error: null, failures: 0 }]),
  );
  const alarms = new Map<string, { cancel(): void }>();
  let snapshot = snapshotOf(new Map());
  let closed = false;

  async function refresh(name: string, slot: Slot, list: () => Promise<Listing>): Promise<void> {
    try {
      const listing = await list();
      const revision = revisionOf(listing);
      // The same again stays the same object, and with it the snapshot.
      if (slot.listed?.revision !== revision) slot.listed = { ...listing, revision };
      Object.assign(slot, { at: monotonic(), error: null, failures: 0 });
    } catch (error) {
      slot.error = faultWord(error);
      slot.failures += 1;
    }
    if (closed) return;
    onListed(name, slot.error);
    const wait = slot.failures === 0 ? REFRESH_MS : Math.min(REFRESH_MS, RETRY_MS * 2 ** (slot.failures - 1));
    const jittered = wait * (1 - JITTER * random());
    alarms.set(
      name,
      later(() => void refresh(name, slot, list), jittered),
    );
  }

  const isKept = ({ error, at }: Slot) => error === null || monotonic() - at < KEEP_MS;

  return {
    current() {
      const shown = new Map<string, ServerSnapshot>();
      for (const [name, slot] of slots) if (slot.listed !== null && isKept(slot)) shown.set(name, slot.listed);
      if (!isSame(shown, snapshot.servers)) snapshot = snapshotOf(shown);
      return snapshot;
    },
    offers: (server) => slots.get(server)?.listed?.offers ?? null,
    states: () =>
      [...slots].map(([server, slot]) => ({
        server,
        state: stateOf(slot, isKept(slot)),
        error: slot.error,
        ageSeconds: slot.listed === null ? null : Math.round((monotonic() - slot.at) / 1000),
        listed: isKept(slot) ? slot.listed : null,
      })),
    async start() {
      const first = [...slots].map(async ([name, slot]) => {
        const list = servers.get(name);
        if (list !== undefined) await refresh(name, slot, list);
      });
      await Promise.all(first);
    },
    close() {
      closed = true;
      for (const alarm of alarms.values()) alarm.cancel();
    },
  };
}

function stateOf({ listed, error }: Slot, kept: boolean): UpstreamState["state"] {
  if (error === null) return listed === null ? "waiting" : "ready";
  return listed !== null && kept ? "stale" : "down";
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

function revisionOf({ tools, prompts, resources, templates, offers, tally }: Listing): string {
  return digestOf([tools, prompts, resources, templates, offers, tally]);
}

function digestOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}

function timer(run: () => void, milliseconds: number): { cancel(): void } {
  const handle = setTimeout(run, milliseconds);
  handle.unref();
  return { cancel: () => clearTimeout(handle) };
}
