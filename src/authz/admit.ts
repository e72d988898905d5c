// The checks of a request that need no caller, and later those of its body's form. Pure.
// RFC 6750 §2.3 (no token in the query), RFC 9110 §7.6.1 (Connection).
import type { McpEndpoint } from "./endpoint.ts";
import { pass, refuse, type Step } from "./step.ts";
import type { AuthzRequest } from "./types.ts";
import { trimSpace } from "../mcp/header-value.ts";

export interface AdmitSettings {
  readonly publicOrigin: string;
  readonly corsOrigins: ReadonlySet<string>;
  /** Managed header names with "-" as "_": an upstream might read such a name as the managed one (threat model: C02). */
  readonly lookalikes: ReadonlySet<string>;
  readonly acceptTextBody: boolean;
  /** Bytes. Envoy has the same limit; another data plane may have none. */
  readonly maxBodyBytes: number;
}

const METHODS = new Set(["POST", "GET", "DELETE", "OPTIONS"]);
/** `Connection` may name these options alone: any other name would have a header of ours removed (threat model: C03). */
const CONNECTION = new Set(["keep-alive", "close", "te"]);
const JSON_TYPE = /^application\/json[\t ]*(?:;[\t ]*charset[\t ]*=[\t ]*"?utf-8"?[\t ]*)?$/i;

export interface Admission {
  /** The request's `Origin` if it is a listed one of another site, else null. */
  readonly corsOrigin: string | null;
}

/** Checks upgrade, method, query, completeness of the body, origin and header names, in this order, before the token. */
export function admit(settings: AdmitSettings, request: AuthzRequest, endpoint: McpEndpoint): Step<Admission> {
  const { headers } = request;
  if (headers.get("upgrade") !== undefined) return refuse("header_malformed", "upgrade");
  if (!METHODS.has(request.method)) return refuse("method_not_allowed", "method");
  if (request.query !== null && !endpoint.allowQuery) return refuse("query_not_allowed");
  if (request.query !== null && hasTokenInQuery(request.query)) return refuse("query_not_allowed", "access_token");
  if (request.body.kind === "partial") return refuse("body_too_large", "partial");
  const origin = checkOrigin(settings, request);
  if (!origin.ok) return origin;
  const names = checkNames(settings, request);
  return names.ok ? pass({ corsOrigin: origin.value }) : names;
}

/** Checks the media type and content encoding of a body before it is read (415). */
export function admitMedia(request: AuthzRequest): Step<true> {
  const { headers } = request;
  if (!JSON_TYPE.test(headers.get("content-type") ?? "")) return refuse("media_type", "content-type");
  const encoding = headers.get("content-encoding");
  if (encoding !== undefined && !/^identity$/i.test(encoding)) return refuse("media_type", "content-encoding");
  return pass(true);
}

/** Returns the bytes of the body, if it has one of an accepted form and size. */
export function admitBody(settings: AdmitSettings, request: AuthzRequest): Step<Uint8Array> {
  const { body } = request;
  if ("bytes" in body && body.bytes.length > settings.maxBodyBytes)
    return { ...refuse("body_too_large", "limits.bodyBytes"), limitBytes: settings.maxBodyBytes };
  if (body.kind === "bytes") return pass(body.bytes);
  if (body.kind === "text" && settings.acceptTextBody) return pass(body.bytes);
  if (body.kind === "text")
    return refuse("body_malformed", "the body came as text: set packAsBytes, or acceptTextBody");
  return refuse("body_malformed", "no body: does the data plane send it (with_request_body)?");
}

function hasTokenInQuery(query: string): boolean {
  return new URLSearchParams(query).has("access_token"); // RFC 6750 §2.3: not supported
}

function checkOrigin(settings: AdmitSettings, request: AuthzRequest): Step<string | null> {
  const origin = request.headers.get("origin");
  if (origin === undefined || origin === settings.publicOrigin) return pass(null);
  if (request.headers.repeated("origin") || !settings.corsOrigins.has(origin)) return refuse("origin_not_allowed");
  return pass(origin);
}

function isHopByHopSafe(connection: string | undefined): boolean {
  if (connection === undefined) return true;
  const names = connection.split(",").map((name) => trimSpace(name).toLowerCase());
  return names.every((name, i) => CONNECTION.has(name) || (i === 0 && name === ""));
}

/** Checks the names of headers, and those that `Connection` names. */
export function checkNames(settings: Pick<AdmitSettings, "lookalikes">, request: AuthzRequest): Step<true> {
  if (!isHopByHopSafe(request.headers.get("connection"))) return refuse("header_malformed", "connection");
  for (const name of request.headers.names()) {
    if (name.includes("_") && settings.lookalikes.has(name.replaceAll("-", "_"))) {
      return refuse("header_malformed", "a name that equals a managed header but for '_'");
    }
  }
  return pass(true);
}
