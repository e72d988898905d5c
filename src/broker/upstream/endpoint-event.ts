// Reads the `endpoint` event of HTTP+SSE (2024-11-05): the path to which messages are posted, on the configured origin only. Pure.
// https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse

/** Visible ASCII, and not too long for a request line. */
const REFERENCE = /^[!-~]{1,2048}$/;

/**
 * Path and query of the endpoint. Null for what is no URI reference, or leaves the origin of the configured URL: another
 * scheme, host or port, or user info. Its fragment is not sent.
 */
export function endpointPath(data: Uint8Array, url: string): string | null {
  const text = Buffer.from(data).toString("latin1");
  if (!REFERENCE.test(text)) return null;
  const target = URL.parse(text, url);
  if (target === null || target.origin !== new URL(url).origin) return null;
  if (target.username !== "" || target.password !== "") return null;
  return target.pathname + target.search;
}
