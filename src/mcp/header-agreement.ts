// Compares the headers that mirror the body with it (MCP 2026-07-28, Server Validation; SEP-2243), and finds the protocol
// revision. Pure.
import { type Envelope } from "./envelope.ts";
import { decodeHeaderValue, trimSpace } from "./header-value.ts";
import { isObject } from "../json/object.ts";
import type { JsonObject } from "../json/types.ts";
import { META_CAPABILITIES, META_VERSION } from "./meta.ts";
import type { McpHeaders, OperationFault } from "./operation.ts";
import { ASSUMED, MODERN, SUPPORTED_VERSIONS } from "./versions.ts";

export type Agreement =
  | { readonly ok: true; readonly version: string }
  | { readonly ok: false; readonly fault: OperationFault; readonly version: string };

const SINGLE = ["mcp-protocol-version", "mcp-method"];
const MIRRORS = [...SINGLE, "mcp-name"];
/** RFC 9110 §5.5 without obs-text. */
const FIELD_VALUE = /^[\t\x20-\x7e]*$/;

/**
 * Finds the revision and compares the headers. The body decides; a header that disagrees is refused in any revision,
 * because Envoy or a server may have routed by it.
 * @param name the name or URI in the body, or null if the method has none
 */
export function checkHeaders(envelope: Envelope, name: string | null, headers: McpHeaders): Agreement {
  const meta = metaOf(envelope);
  const inHeader = revisionIn(headers);
  const version = versionOf(meta?.[META_VERSION], inHeader);
  const malformed = malformedHeader(headers);
  if (malformed !== null) return { ok: false, fault: { reason: "header_malformed", detail: malformed }, version };
  const fault =
    faultOfVersion(meta, inHeader, version) ??
    faultOfMethod(envelope.method, headers, version) ??
    faultOfName(name, headers, version);
  return fault === null ? { ok: true, version } : { ok: false, fault, version };
}

/** Finds the revision where no other header mirrors the body. */
export function revisionAlone(headers: McpHeaders): Agreement {
  const version = versionOf(undefined, revisionIn(headers));
  const name = "mcp-protocol-version";
  if (malformedHeader(headers, [name]) !== null)
    return { ok: false, fault: { reason: "header_malformed", detail: name }, version };
  if (SUPPORTED_VERSIONS.includes(version)) return { ok: true, version };
  return { ok: false, fault: { reason: "version_unsupported", detail: "revision" }, version };
}

function metaOf(envelope: Envelope): JsonObject | undefined {
  const meta = envelope.params["_meta"];
  return isObject(meta) ? meta : undefined;
}

function faultOfVersion(
  meta: JsonObject | undefined,
  inHeader: string | undefined,
  version: string,
): OperationFault | null {
  const inBody = meta?.[META_VERSION];
  if (inBody !== undefined && typeof inBody !== "string")
    return { reason: "params_invalid", detail: "the revision in _meta is no string" };
  // Before the question whether it is supported (MCP 2026-07-28, Server Validation).
  if (inBody !== undefined && inBody !== inHeader) return mismatch("mcp-protocol-version");
  if (inHeader !== undefined && !SUPPORTED_VERSIONS.includes(inHeader))
    return { reason: "version_unsupported", detail: "revision" };
  return version === MODERN ? faultOfModernMeta(meta) : null;
}

function faultOfModernMeta(meta: JsonObject | undefined): OperationFault | null {
  if (meta?.[META_VERSION] === undefined) return { reason: "params_invalid", detail: "_meta lacks the revision" };
  if (!isObject(meta[META_CAPABILITIES])) return { reason: "params_invalid", detail: "_meta lacks clientCapabilities" };
  return null;
}

function faultOfMethod(method: string | null, headers: McpHeaders, version: string): OperationFault | null {
  return agrees(trimmed(headers.get("mcp-method")), method, version === MODERN) ? null : mismatch("mcp-method");
}

function faultOfName(name: string | null, headers: McpHeaders, version: string): OperationFault | null {
  const modern = version === MODERN;
  if (name === null) return modern && headers.get("mcp-name") !== undefined ? mismatch("mcp-name names nothing") : null;
  return agrees(decoded(trimmed(headers.get("mcp-name"))), name, modern) ? null : mismatch("mcp-name");
}

function mismatch(detail: string): OperationFault {
  return { reason: "header_mismatch", detail };
}

/** The revision of the header, without optional whitespace. */
export function revisionIn(headers: McpHeaders): string | undefined {
  return trimmed(headers.get("mcp-protocol-version"));
}

/** The client's revision, before any check: the form of a refusal depends on it too. */
export function versionOf(inBody: unknown, inHeader: string | undefined): string {
  if (typeof inBody === "string" && inBody === MODERN) return MODERN;
  return inHeader ?? (typeof inBody === "string" ? inBody : ASSUMED);
}

function malformedHeader(headers: McpHeaders, names: readonly string[] = MIRRORS): string | null {
  for (const name of names) {
    const value = headers.get(name);
    if (value === undefined) continue;
    if (headers.repeated(name) || !FIELD_VALUE.test(value)) return name;
    if (SINGLE.includes(name) && value.includes(",")) return name;
  }
  return null;
}

/** @param stated null for a sentinel that does not decode */
function agrees(stated: string | null | undefined, actual: string | null, required: boolean): boolean {
  return stated === undefined ? !required : stated === actual;
}

function decoded(value: string | undefined): string | null | undefined {
  return value === undefined ? undefined : decodeHeaderValue(value);
}

function trimmed(value: string | undefined): string | undefined {
  return value === undefined ? undefined : trimSpace(value);
}
