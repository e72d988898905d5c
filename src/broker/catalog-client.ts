import { catalogSchema, type CatalogNames } from "./definitions.ts";

export interface CatalogClientOptions {
  readonly url: string;
  /** A fresh token for each request. */
  readonly token: () => string;
  readonly fetch: typeof fetch;
  /** Told of each change; null once the broker was away for too long. */
  readonly onChange: (catalog: CatalogNames | null) => void;
  readonly monotonic: () => number;
}

export interface CatalogClient {
  poll(): Promise<void>;
  watch(everyMs: number): void;
  close(): void;
}

const TIMEOUT_MS = 2000;
const MAX_BYTES = 8 * 1024 * 1024;
/** How long the last catalogue serves while the broker cannot be asked. */
const KEEP_MS = 10 * 60_000;

/** serve's view of the broker's catalogue: asked often, transferred only when it changed. */
export function createCatalogClient(options: CatalogClientOptions): CatalogClient {
  let etag = "";
  let fetchedAt = -Infinity;
  let has = false;
  let busy = false;
  let timer: NodeJS.Timeout | undefined;

  async function load(): Promise<void> {
    const response = await options.fetch(options.url, {
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: { authorization: `Bearer ${options.token()}`, ...(etag !== "" && { "if-none-match": etag }) },
    });
    if (response.status === 304) {
      fetchedAt = options.monotonic();
      return;
    }
    const text = await response.text();
    if (response.status !== 200 || text.length > MAX_BYTES) throw new Error("no catalogue");
    const catalog = catalogSchema.parse(JSON.parse(text));
    options.onChange(catalog);
    etag = response.headers.get("etag") ?? "";
    fetchedAt = options.monotonic();
    has = true;
  }

  async function poll(): Promise<void> {
    if (busy) return;
    busy = true;
    try {
      await load();
    } catch {
      if (has && options.monotonic() - fetchedAt > KEEP_MS) {
        has = false;
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
      timer = setInterval(() => void poll(), everyMs);
      timer.unref();
    },
    close: () => clearInterval(timer),
  };
}
