/** Reads a small document from an issuer: 200 only, no redirect, bounded in size and time (threat rows A34, A35). */
export interface FetchLimits {
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

export type Fetch = typeof fetch;

export interface FetchedDocument {
  readonly bytes: Uint8Array;
  /** The clock of whoever answered, in milliseconds since the epoch; null when the answer does not say. */
  readonly date: number | null;
}

/** @throws {Error} with a short reason; never with content of the answer */
export async function fetchDocument(
  fetcher: Fetch,
  url: string,
  { maxBytes, timeoutMs }: FetchLimits,
): Promise<FetchedDocument> {
  const signal = AbortSignal.timeout(timeoutMs);
  const response = await fetcher(url, { redirect: "manual", signal, headers: { accept: "application/json" } });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`status ${response.status}`);
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > maxBytes) throw new Error(`larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return { bytes: Buffer.concat(chunks), date: dateOf(response.headers) };
}

/** RFC 9111 §4.2.3: an answer out of a cache keeps the origin's `Date`, and says in `Age` how long ago that was. */
function dateOf(headers: Headers): number | null {
  const date = Date.parse(headers.get("date") ?? "");
  const age = Number(headers.get("age") ?? 0);
  return Number.isNaN(date) || !Number.isFinite(age) ? null : date + age * 1000;
}
