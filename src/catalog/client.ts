// serve's client of the broker's catalogue. I/O: HTTP to the broker's operator listener.
import { createPoller } from "../async/poll.ts";
import { HttpFault, type HttpClient } from "../http/client.ts";
import { PART_OVERHEAD_BYTES, readCatalog, type CatalogNames, type CatalogResult } from "./schema.ts";

export interface CatalogClientOptions {
  /** Connections to the broker's operator listener. */
  readonly http: HttpClient;
  readonly path: string;
  /** Makes a new token for each request. */
  readonly token: () => string;
  /** The servers of the configuration; other servers are ignored. */
  readonly servers: ReadonlySet<string>;
  /** Bytes of the names of one server. */
  readonly maxNameBytes: number;
  /** Called with each new catalogue; null when the broker was away for too long. */
  readonly onChange: (read: Omit<CatalogResult, "leftOut"> | null) => void;
  /** Called when requests begin to fail, with a fault code, and when they work again, with null. */
  readonly onFault: (error: string | null) => void;
  /** Called with each accepted catalogue, for the next serving thread of this process; null confirms the last one. */
  readonly onFetched: (bytes: Uint8Array | null, tag: string) => void;
  /** The catalogue of an earlier serving thread of this process. */
  readonly kept: { readonly bytes: Uint8Array; readonly tag: string; readonly ageMs: number } | null;
  readonly monotonic: () => number;
}

export interface CatalogClient {
  /** Resolves when the catalogue of an earlier thread has been read. */
  readonly restored: Promise<void>;
  poll(): Promise<void>;
  watch(everyMs: number): void;
  /** Takes other servers of the configuration, and reads the catalogue anew. Resolves after the attempt. */
  setServers(servers: ReadonlySet<string>): Promise<void>;
  state(): CatalogState;
  close(): void;
}

export interface CatalogState {
  /** Seconds since the broker last confirmed this catalogue; null without one. */
  readonly ageSeconds: number | null;
  readonly names: { readonly tools: number; readonly prompts: number; readonly resources: number };
  readonly error: string | null;
  /** Servers whose part was not accepted, with the reason: none of their names is listed. */
  readonly leftOut: Readonly<Record<string, string>>;
}

const TIMEOUT_MS = 2000;
/** Least limit of a response. */
const LEAST_BYTES = 8 * 1024 * 1024;
const MAX_ETAG = 256;
/** The last catalogue is used for this time while the broker cannot be reached. */
const KEEP_MS = 10 * 60_000;

/** Makes the client: it polls often, and transfers the catalogue only when it has changed (`ETag`, RFC 9110 §8.8.3). */
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
  #servers: ReadonlySet<string>;
  readonly #poller = createPoller(() => this.#look());

  constructor(options: CatalogClientOptions) {
    this.#options = options;
    this.#servers = options.servers;
    this.restored = options.kept === null ? Promise.resolve() : this.#restore(options.kept).catch(() => {}); // it is asked anew
  }

  poll(): Promise<void> {
    return this.#poller.poll();
  }

  async #look(): Promise<void> {
    try {
      await this.restored;
      await this.#load();
      const servers = Object.keys(this.#leftOut);
      this.#report(servers.length === 0 ? null : `left_out: ${servers.join(" ")}`);
    } catch (fault) {
      this.#report(fault instanceof HttpFault ? fault.message : "failed");
      if (this.#catalog !== null && this.#ageMs() > KEEP_MS) this.#forget();
    }
  }

  watch(everyMs: number): void {
    void this.poll();
    this.#poller.watch(everyMs);
  }

  async setServers(servers: ReadonlySet<string>): Promise<void> {
    this.#servers = servers;
    this.#etag = ""; // the broker would confirm a catalogue of which only the old servers were read
    await this.poll();
    if (this.#etag === "") await this.poll(); // the first one may have begun with the old servers
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
    this.#poller.close();
    this.#options.http.close();
  }

  async #load(): Promise<void> {
    const { http, path, token, maxNameBytes, onChange, onFetched, monotonic } = this.#options;
    const servers = this.#servers;
    const condition = this.#etag !== "" && { "if-none-match": this.#etag };
    const headers = { authorization: `Bearer ${token()}`, ...condition };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await http.fetch({ method: "GET", path, headers, body: null, signal }, this.#maxBytes());
    if (response.status !== 304) {
      if (response.status !== 200) throw new HttpFault(`status_${response.status}`); // redirects too
      const read = await readCatalog(response.body, servers, maxNameBytes);
      if (read === null) throw new HttpFault("malformed");
      onChange(read);
      this.#catalog = read.catalog;
      this.#leftOut = read.leftOut;
      this.#etag = servers === this.#servers ? tagOf(response.headers.etag) : "";
      onFetched(response.body, this.#etag);
    } else onFetched(null, this.#etag);
    this.#fetchedAt = monotonic();
  }

  /** The limit of a response. The broker bounds each server, so all fit; twice that, for servers that only it has. */
  #maxBytes(): number {
    const { maxNameBytes } = this.#options;
    return Math.max(LEAST_BYTES, 2 * this.#servers.size * (maxNameBytes + PART_OVERHEAD_BYTES));
  }

  /** Takes over the catalogue of an earlier thread, with its age. */
  async #restore({ bytes, tag, ageMs }: NonNullable<CatalogClientOptions["kept"]>): Promise<void> {
    const { maxNameBytes, onChange, monotonic } = this.#options;
    const fetchedAt = monotonic() - ageMs;
    const read = await readCatalog(bytes, this.#servers, maxNameBytes);
    if (read === null || ageMs > KEEP_MS) return;
    onChange(read);
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
