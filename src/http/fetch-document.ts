import { readLimited } from "./read-limited.ts";

export type Fetch = typeof fetch;

export interface FetchedDocument {
  readonly bytes: Uint8Array;
  /** The clock of whoever answered, in milliseconds since the epoch; null when the answer does not say. */
  readonly date: number | null;
}

export const MAX_BYTES = 256 * 1024;
const TIMEOUT_MS = 3000;

/**
 * Reads a small document from an issuer: 200 only, no redirect, bounded in size and time (threat rows A34, A35).
 * @throws {Error} with a short reason; never with content of the answer
 */
export async function fetchDocument(fetcher: Fetch, url: string, maxBytes = MAX_BYTES): Promise<FetchedDocument> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetcher(url, { redirect: "manual", signal, headers: { accept: "application/json" } });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`status ${response.status}`);
  }
  return { bytes: await readLimited(response, maxBytes), date: dateOf(response.headers) };
}

/** The last moment that an HTTP date can name (RFC 9110 §5.6.7: four digits of a year). */
const LAST_DATE = Date.UTC(9999, 11, 31, 23, 59, 59);

/**
 * RFC 9111 §4.2.3: an answer out of a cache keeps the origin's `Date`, and says in `Age` how long ago that was. Null for
 * what is no time: whoever answers must not choose a number that nobody can write as a date.
 */
function dateOf(headers: Headers): number | null {
  const age = /^\d{1,10}$/.exec(headers.get("age") ?? "0")?.[0];
  const date = Date.parse(headers.get("date") ?? "") + Number(age) * 1000;
  return date >= 0 && date <= LAST_DATE ? date : null;
}

/** A short reason without the library's text, which can hold addresses and answers. */
export function describeFault(error: unknown): string {
  if (!(error instanceof Error)) return "failed";
  if (error.name === "TimeoutError" || error.name === "AbortError") return "timed out";
  const cause = error.cause instanceof Error && "code" in error.cause ? String(error.cause.code) : "";
  return cause !== "" ? cause : error.message.slice(0, 120);
}
