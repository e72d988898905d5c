import { createHash } from "node:crypto";
import { catalogNames, type CatalogNames, type ServerEntries } from "./definitions.ts";
import { listUpstream, type UpstreamOptions } from "./upstream-client.ts";

export interface UpstreamState {
  readonly server: string;
  readonly state: "waiting" | "ready" | "stale" | "down";
  readonly error: string | null;
}

export interface Catalog {
  /** What is known of each server now. */
  entries(): ReadonlyMap<string, ServerEntries>;
  names(): CatalogNames;
  /** Changes whenever {@link names} does. */
  etag(): string;
  states(): readonly UpstreamState[];
  /** Lists every server once, then keeps doing so. */
  start(): Promise<void>;
  close(): void;
}

export interface CatalogOptions {
  readonly servers: ReadonlyMap<string, UpstreamOptions>;
  readonly monotonic: () => number;
  readonly onError: (server: string, message: string) => void;
}

interface Listed {
  entries: ServerEntries | null;
  at: number;
  error: string | null;
}

const REFRESH_MS = 30_000;
const RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;
/** How long a server that is down keeps what it listed last. */
const KEEP_MS = 10 * 60_000;

/** What all servers offer, kept up to date server by server: one that hangs or fails does not touch the others (B45). */
export function createCatalog({ servers, monotonic, onError }: CatalogOptions): Catalog {
  const listed = new Map<string, Listed>(
    [...servers.keys()].map((name) => [name, { entries: null, at: -Infinity, error: null }]),
  );
  const timers = new Map<string, NodeJS.Timeout>();
  let closed = false;

  async function refresh(name: string, options: UpstreamOptions, failures: number): Promise<void> {
    const slot = listed.get(name);
    if (slot === undefined || closed) return;
    let failed = failures;
    try {
      slot.entries = await listUpstream(options);
      slot.at = monotonic();
      slot.error = null;
      failed = 0;
    } catch (error) {
      slot.error = describe(error);
      failed += 1;
      if (failed === 1) onError(name, slot.error);
    }
    if (closed) return;
    const wait = failed === 0 ? REFRESH_MS : Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** (failed - 1));
    const timer = setTimeout(() => void refresh(name, options, failed), wait);
    timer.unref();
    timers.set(name, timer);
  }

  const isKept = ({ entries, at, error }: Listed) => entries !== null && (error === null || monotonic() - at < KEEP_MS);
  const entries = () => {
    const known = new Map<string, ServerEntries>();
    for (const [name, slot] of listed) if (slot.entries !== null && isKept(slot)) known.set(name, slot.entries);
    return known;
  };
  const names = () => catalogNames(entries());
  return {
    entries,
    names,
    etag: () => `"${createHash("sha256").update(JSON.stringify(names())).digest("base64url")}"`,
    states: () =>
      [...listed].map(([server, slot]) => ({ server, state: stateOf(slot, isKept(slot)), error: slot.error })),
    start: async () => {
      await Promise.all([...servers].map(([name, options]) => refresh(name, options, 0)));
    },
    close() {
      closed = true;
      for (const timer of timers.values()) clearTimeout(timer);
    },
  };
}

function stateOf({ entries, error }: Listed, kept: boolean): UpstreamState["state"] {
  if (entries === null && error === null) return "waiting";
  if (error === null) return "ready";
  return kept ? "stale" : "down";
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return "failed";
  if (error.name === "TimeoutError") return "timed out";
  return error.cause instanceof Error && "code" in error.cause ? String(error.cause.code) : error.message.slice(0, 120);
}
