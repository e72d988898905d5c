/** Reads a small document from an issuer: 200 only, no redirect, bounded in size and time (threat rows A34, A35). */
export interface FetchLimits {
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

export type Fetch = typeof fetch;

/** @throws {Error} with a short reason; never with content of the answer */
export async function fetchDocument(
  fetcher: Fetch,
  url: string,
  { maxBytes, timeoutMs }: FetchLimits,
): Promise<Uint8Array> {
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
  return Buffer.concat(chunks);
}
