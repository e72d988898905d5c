import { HttpFault, type HttpClient } from "../http/client.ts";
import { PART_OVERHEAD_BYTES, readCatalog, type CatalogNames } from "./schema.ts";

export interface CatalogClientOptions {
  /** Connections to the broker's operator listener. */
  readonly http: HttpClient;
  readonly path: string;
  /** A fresh token for each request. */
  readonly token: () => string;
  /** The servers of this configuration: of others nothing is taken. */
  readonly servers: ReadonlySet<string>;
  /** Bytes that the names of one server may take. */
  readonly maxNameBytes: number;
  /** Told of each change; null once the broker was away for too long. */
  readonly onChange: (catalog: CatalogNames | null) => void;
  /** Told when asking begins to fail, with a word of ours, and when it works again, with null. */
  readonly onFault: (error: string | null) => void;
  /** Told of each catalogue that was taken, for the next thread of this process; null: the last one is confirmed. */
  readonly onFetched: (bytes: Uint8Array | null, tag: string) => void;
  /** The catalogue that an earlier thread of this process had. */
  readonly kept: { readonly bytes: Uint8Array; readonly tag: string; readonly ageMs: number } | null;
  readonly monotonic: () => number;
}

export interface CatalogClient {
  /** Resolves once the catalogue of an earlier thread was read. */
  readonly restored: Promise<void>;
  poll(): Promise<void>;
  watch(everyMs: number): void;
  state(): CatalogState;
  close(): void;
}

export interface CatalogState {
  /** Since the broker last said that this is its catalogue; null without one. */
  readonly ageSeconds: number | null;
  readonly names: { readonly tools: number; readonly prompts: number; readonly resources: number };
  readonly error: string | null;
  /** Servers whose part cannot be taken, and why: nothing of them is listed. */
  readonly leftOut: Readonly<Record<string, string>>;
}

const TIMEOUT_MS = 2000;
/** However few servers there are. */
const LEAST_BYTES = 8 * 1024 * 1024;
const MAX_ETAG = 256;
/** How long the last catalogue serves while the broker cannot be asked. */
const KEEP_MS = 10 * 60_000;

/** serve's view of the broker's catalogue: asked often, transferred only when it changed. */
export function createCatalogClient(options: CatalogClientOptions): CatalogClient {
  return new PolledCatalog(options);
}

class PolledCatalog implements CatalogClient {
  readonly restored: Promise<void>;
  readonly #options: CatalogClientOptions;
  #catalog: CatalogNames | null = null;
  #etag = "";
  #fetchedAt = -Infinity;
  #error: string | null = "not_asked_yet";
  #leftOut: CatalogState["leftOut"] = {};
  #busy = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: CatalogClientOptions) {
    this.#options = options;
    this.restored = options.kept === null ? Promise.resolve() : this.#restore(options.kept).catch(() => {}); // it is asked anew
  }

  async poll(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      await this.restored;
      await this.#load();
      const servers = Object.keys(this.#leftOut);
      this.#report(servers.length === 0 ? null : `left_out: ${servers.join(" ")}`);
    } catch (fault) {
      this.#report(fault instanceof HttpFault ? fault.code : "failed");
      if (this.#catalog !== null && this.#ageMs() > KEEP_MS) this.#forget();
    } finally {
      this.#busy = false;
    }
  }

  watch(everyMs: number): void {
    void this.poll();
    this.#timer = setInterval(() => void this.poll(), everyMs);
    this.#timer.unref();
  }

  state(): CatalogState {
    return {
      ageSeconds: this.#catalog === null ? null : Math.round(this.#ageMs() / 1000),
      names: countsOf(this.#catalog),
      error: this.#error,
      leftOut: this.#leftOut,
    };
  }

  close(): void {
    clearInterval(this.#timer);
    this.#options.http.close();
  }

  async #load(): Promise<void> {
    const { http, path, token, servers, maxNameBytes, onChange, onFetched, monotonic } = this.#options;
    const condition = this.#etag !== "" && { "if-none-match": this.#etag };
    const headers = { authorization: `Bearer ${token()}`, ...condition };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const answer = await http.fetch({ method: "GET", path, headers, body: null, signal }, this.#maxBytes());
    if (answer.status !== 304) {
      // A redirect is an answer like any other: none.
      if (answer.status !== 200) throw new HttpFault(`status_${answer.status}`);
      const read = await readCatalog(answer.body, servers, maxNameBytes);
      if (read === null) throw new HttpFault("malformed");
      onChange(read.catalog);
      this.#catalog = read.catalog;
      this.#leftOut = read.leftOut;
      this.#etag = tagOf(answer.headers.etag);
      onFetched(answer.body, this.#etag);
    } else onFetched(null, this.#etag);
    this.#fetchedAt = monotonic();
  }

  /** The broker holds each server to its budget, so all of them always fit: twice over, for servers known there only. */
  #maxBytes(): number {
    const { servers, maxNameBytes } = this.#options;
    return Math.max(LEAST_BYTES, 2 * servers.size * (maxNameBytes + PART_OVERHEAD_BYTES));
  }

  /** The catalogue of an earlier thread, read as if it were fetched now, and no fresher than it is. */
  async #restore({ bytes, tag, ageMs }: NonNullable<CatalogClientOptions["kept"]>): Promise<void> {
    const { servers, maxNameBytes, onChange, monotonic } = this.#options;
    const fetchedAt = monotonic() - ageMs;
    const read = await readCatalog(bytes, servers, maxNameBytes);
    if (read === null || ageMs > KEEP_MS) return;
    onChange(read.catalog);
    this.#catalog = read.catalog;
    this.#leftOut = read.leftOut;
    this.#etag = tag;
    this.#fetchedAt = fetchedAt;
    this.#error = null;
  }

  #forget(): void {
    this.#catalog = null;
    this.#leftOut = {};
    this.#etag = "";
    this.#options.onChange(null);
  }

  #report(error: string | null): void {
    if (error !== this.#error) this.#options.onFault(error);
    this.#error = error;
  }

  #ageMs(): number {
    return this.#options.monotonic() - this.#fetchedAt;
  }
}

function tagOf(etag: string | undefined): string {
  return etag !== undefined && etag.length <= MAX_ETAG && /^"[\x21\x23-\x7e]*"$/.test(etag) ? etag : "";
}

function countsOf(catalog: CatalogNames | null): CatalogState["names"] {
  const counts = { tools: 0, prompts: 0, resources: 0 };
  for (const server of Object.values(catalog?.servers ?? {})) {
    counts.tools += server.tools.length;
    counts.prompts += server.prompts.length;
    counts.resources += server.resources.length;
  }
  return counts;
}
