export type Fetch = typeof fetch;

const MAX_BYTES = 256 * 1024;
const TIMEOUT_MS = 3000;

/**
 * Reads a small document from an issuer: 200 only, no redirect, bounded in size and time (threat rows A34, A35).
 * @throws {Error} with a short reason; never with content of the answer
 */
export async function fetchDocument(fetcher: Fetch, url: string): Promise<Uint8Array> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetcher(url, { redirect: "manual", signal, headers: { accept: "application/json" } });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`status ${response.status}`);
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new Error(`larger than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** A short reason without the library's text, which can hold addresses and answers. */
export function describeFault(error: unknown): string {
  if (!(error instanceof Error)) return "failed";
  if (error.name === "TimeoutError" || error.name === "AbortError") return "timed out";
  const cause = error.cause instanceof Error && "code" in error.cause ? String(error.cause.code) : "";
  return cause !== "" ? cause : error.message.slice(0, 120);
}
