// Reads `Retry-After` (RFC 9110 §10.2.3). Pure.

/**
 * How long to wait by the value of the header, in milliseconds; null where it says nothing that can be read. Not bounded.
 * @param now milliseconds since the epoch, for a value that is a date
 */
export function retryAfterMs(value: string | undefined, now: number): number | null {
  if (value === undefined) return null;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const date = /^[A-Z][a-z]{2,8}, .* GMT$/.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}
