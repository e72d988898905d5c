// Small documents of issuers and of our own processes: one GET, on a connection of its own. I/O.
import { createHttpClient, HttpFault, type HttpAnswer, type HttpHeaders } from "./client.ts";
import type { ChosenBy, Outgoing } from "./outgoing.ts";
import { partsOf } from "./url.ts";

/** One GET; resolves whatever the status. @param chosenBy `configured` unless told @throws {HttpFault} */
export type Fetch = (url: string, chosenBy?: ChosenBy) => Promise<HttpAnswer>;

export interface FetchedDocument {
  readonly bytes: Buffer;
  /** The clock of whoever answered, in milliseconds since the epoch; null when the response does not say. */
  readonly date: number | null;
}

export const MAX_BYTES = 256 * 1024;
/** Bytes and milliseconds of one document. */
export const DOCUMENT_LIMITS = { maxBytes: MAX_BYTES, timeoutMs: 3000 };

/** @param ca PEM of the CAs that may sign the certificate; null for the system's */
export function createFetch(ca: Buffer | null, { maxBytes, timeoutMs } = DOCUMENT_LIMITS, outgoing?: Outgoing): Fetch {
  return async (url, chosenBy = "configured") => {
    const [sent = ""] = url.split("#", 1); // a fragment is not sent (RFC 9110 §7.1)
    const { origin, path } = partsOf(sent);
    const http = createHttpClient({ origin, ca, maxConnections: 1, chosenBy, outgoing, name: "document" });
    const headers = { accept: "application/json" };
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      return await http.fetch({ method: "GET", path, headers, body: null, signal }, maxBytes);
    } finally {
      http.close();
    }
  };
}

/**
 * A document that came with 200; a redirect is a response like any other (threat model: A34, A35).
 * @throws {Error} with a short reason; never with content of the response
 */
export async function fetchDocument(fetcher: Fetch, url: string, chosenBy?: ChosenBy): Promise<FetchedDocument> {
  const { status, headers, body } = await fetcher(url, chosenBy);
  if (status !== 200) throw new Error(`status ${status}`);
  return { bytes: body, date: dateOf(headers) };
}

/** The last moment that an HTTP date can name (RFC 9110 §5.6.7: four digits of a year). */
const LAST_DATE = Date.UTC(9999, 11, 31, 23, 59, 59);

/**
 * RFC 9111 §4.2.3: an answer out of a cache keeps the origin's `Date`, and says in `Age` how long ago that was. Null for
 * a value that is no time: a server must not choose a number that cannot be written as a date.
 */
function dateOf(headers: HttpHeaders): number | null {
  const age = /^\d{1,10}$/.exec(headers["age"] ?? "0")?.[0];
  const date = Date.parse(headers["date"] ?? "") + Number(age) * 1000;
  return date >= 0 && date <= LAST_DATE ? date : null;
}

/** A short reason without the library's text, which can hold addresses and answers. */
export function describeFault(error: unknown): string {
  if (error instanceof HttpFault) return error.code === "timeout" ? "timed out" : error.message;
  return error instanceof Error ? error.message.slice(0, 120) : "failed";
}
