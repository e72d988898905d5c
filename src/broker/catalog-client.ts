import { HttpFault, type HttpClient } from "../http/client.ts";
import { readCatalog, type CatalogNames } from "./catalog-names.ts";

export interface CatalogClientOptions {
  /** Connections to the broker's operator listener. */
  readonly http: HttpClient;
  readonly path: string;
  /** A fresh token for each request. */
  readonly token: () => string;
  /** The servers of this configuration: of others nothing is taken. */
  readonly servers: ReadonlySet<string>;
  /** Told of each change; null once the broker was away for too long. */
  readonly onChange: (catalog: CatalogNames | null) => void;
  /** Told when asking begins to fail, with a word of ours, and when it works again, with null. */
  readonly onFault: (error: string | null) => void;
  readonly monotonic: () => number;
}

export interface CatalogClient {
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
}

const TIMEOUT_MS = 2000;
const MAX_BYTES = 8 * 1024 * 1024;
const MAX_ETAG = 256;
/** How long the last catalogue serves while the broker cannot be asked. */
const KEEP_MS = 10 * 60_000;

/** serve's view of the broker's catalogue: asked often, transferred only when it changed. */
export function createCatalogClient(options: CatalogClientOptions): CatalogClient {
  const { monotonic } = options;
  let catalog: CatalogNames | null = null;
  let etag = "";
  let fetchedAt = -Infinity;
  let error: string | null = "not_asked_yet";
  let busy = false;
  let timer: NodeJS.Timeout | undefined;

  async function load(): Promise<void> {
    const headers = { authorization: `Bearer ${options.token()}`, ...(etag !== "" && { "if-none-match": etag }) };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const request = { method: "GET", path: options.path, headers, body: null, signal };
    const answer = await options.http.fetch(request, MAX_BYTES);
    if (answer.status !== 304) {
      // A redirect is an answer like any other: none.
      if (answer.status !== 200) throw new HttpFault(`status_${answer.status}`);
      const read = readCatalog(answer.body, options.servers);
      if (read === null) throw new HttpFault("malformed");
      options.onChange(read);
      catalog = read;
      etag = tagOf(answer.headers.etag);
    }
    fetchedAt = monotonic();
  }

  function report(now: string | null): void {
    if (now !== error) options.onFault(now);
    error = now;
  }

  async function poll(): Promise<void> {
    if (busy) return;
    busy = true;
    try {
      await load();
      report(null);
    } catch (fault) {
      report(fault instanceof HttpFault ? fault.code : "failed");
      if (catalog !== null && monotonic() - fetchedAt > KEEP_MS) {
        catalog = null;
        etag = "";
        options.onChange(null);
      }
    } finally {
      busy = false;
    }
  }

  return {
    poll,
    watch(everyMs) {
      void poll();
      timer = setInterval(() => void poll(), everyMs);
      timer.unref();
    },
    state: () => ({
      ageSeconds: catalog === null ? null : Math.round((monotonic() - fetchedAt) / 1000),
      names: countsOf(catalog),
      error,
    }),
    close() {
      clearInterval(timer);
      options.http.close();
    },
  };
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
