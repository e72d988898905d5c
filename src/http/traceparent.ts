// Trace ids out of `traceparent` (https://www.w3.org/TR/trace-context/#traceparent-header). Pure.
/** version-traceid-parentid-flags, lower case; later versions may say more after that. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/;

/** The trace of a `traceparent` header (W3C Trace Context §3.2), or null for any that is not well-formed. */
export function traceId(header: string | undefined): string | null {
  const match = TRACEPARENT.exec(header ?? "");
  if (match === null) return null;
  const [, version, trace = "", parent = "", more] = match;
  if (version === "ff" || (version === "00" && more !== undefined)) return null;
  return /^0+$/.test(trace) || /^0+$/.test(parent) ? null : trace;
}
