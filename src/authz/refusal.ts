// The one table of refusals. Pure.

/**
 * One reason for which a request is refused. Its key in {@link REFUSALS} is the metric label, the audit reason and the
 * word in the client's body, so that one search finds them all.
 *
 * - `kind`: `deny` is a decision about this request; `fail` means that no decision was possible (refused all the same).
 * - `http`: the HTTP status the client gets.
 * - `rpc`: the JSON-RPC error code where the protocol has one; `null` means that the HTTP status is the code.
 * - `message`: the client's text. It never holds detail, claims or rule names.
 */
export interface Refusal {
  readonly kind: "deny" | "fail";
  readonly http: number;
  readonly rpc: number | null;
  readonly message: string;
}

const UNAUTHORIZED = "Missing or invalid access token"; // one text for all: no oracle
const UNDECIDED = "Authorization is not available at the moment, try again later";

export const REFUSALS = {
  token_missing: { kind: "deny", http: 401, rpc: null, message: UNAUTHORIZED },
  token_invalid: { kind: "deny", http: 401, rpc: null, message: UNAUTHORIZED },
  token_expired: { kind: "deny", http: 401, rpc: null, message: UNAUTHORIZED },
  token_audience: { kind: "deny", http: 401, rpc: null, message: UNAUTHORIZED },
  token_revoked: { kind: "deny", http: 401, rpc: null, message: UNAUTHORIZED },
  scope_insufficient: { kind: "deny", http: 403, rpc: null, message: "The access token lacks a scope for this" },
  proof_invalid: { kind: "deny", http: 401, rpc: null, message: UNAUTHORIZED },
  authentication_insufficient: { kind: "deny", http: 401, rpc: null, message: UNAUTHORIZED },
  policy_denied: { kind: "deny", http: 403, rpc: null, message: "Not allowed" },
  origin_not_allowed: { kind: "deny", http: 403, rpc: null, message: "This Origin is not allowed" },
  wristband_invalid: {
    kind: "deny",
    http: 403,
    rpc: null,
    message: "This endpoint is reached through the gateway only",
  },
  route_unknown: { kind: "deny", http: 404, rpc: null, message: "Not found" },
  method_unknown: { kind: "deny", http: 404, rpc: -32601, message: "Method not found" },
  session_unknown: { kind: "deny", http: 404, rpc: -32001, message: "Session not found" },
  method_not_allowed: { kind: "deny", http: 405, rpc: null, message: "HTTP method not allowed" },
  body_malformed: { kind: "deny", http: 400, rpc: -32700, message: "The body is not one well-formed MCP message" },
  body_batch: { kind: "deny", http: 400, rpc: -32600, message: "JSON-RPC batches are not supported" },
  params_invalid: { kind: "deny", http: 400, rpc: -32602, message: "Invalid params" },
  header_mismatch: { kind: "deny", http: 400, rpc: -32020, message: "A header does not agree with the body" },
  version_unsupported: { kind: "deny", http: 400, rpc: -32022, message: "Unsupported protocol version" },
  header_malformed: { kind: "deny", http: 400, rpc: null, message: "A request header is malformed" },
  query_not_allowed: { kind: "deny", http: 400, rpc: null, message: "No query is allowed here" },
  body_too_large: { kind: "deny", http: 413, rpc: null, message: "The body is too large or incomplete" },
  media_type: { kind: "deny", http: 415, rpc: null, message: "Send application/json without a content encoding" },
  header_too_large: { kind: "deny", http: 431, rpc: null, message: "A request header is too large" },
  rate_limited: { kind: "deny", http: 429, rpc: null, message: "Too many calls at a time, try again later" },
  caller_suspended: {
    kind: "deny",
    http: 429,
    rpc: null,
    message: "An earlier request of yours took too long to decide, so your requests are refused for a while",
  },
  credential_missing: { kind: "deny", http: 403, rpc: null, message: "No credential for this server is on file" },
  credential_unavailable: { kind: "fail", http: 503, rpc: null, message: UNDECIDED },
  catalog_unavailable: { kind: "fail", http: 503, rpc: null, message: UNDECIDED },
  revocations_unavailable: { kind: "fail", http: 503, rpc: null, message: UNDECIDED },
  keys_unavailable: { kind: "fail", http: 503, rpc: null, message: UNDECIDED },
  policy_unavailable: { kind: "fail", http: 503, rpc: null, message: UNDECIDED },
  audit_unavailable: { kind: "fail", http: 503, rpc: null, message: UNDECIDED },
  wristband_too_large: { kind: "fail", http: 503, rpc: null, message: UNDECIDED },
  deadline: { kind: "fail", http: 503, rpc: null, message: UNDECIDED },
  capability_missing: {
    kind: "deny",
    http: 400,
    rpc: -32021,
    message: "This needs a capability that the client does not declare",
  },
  upstream_unavailable: {
    kind: "fail",
    http: 502,
    rpc: null,
    message: "The server behind the gateway failed or cannot be reached, try again later",
  },
  answer_too_large: {
    kind: "deny",
    http: 502,
    rpc: -32603,
    message: "The server's answer is too large to be passed on. Do not repeat this call: ask for less",
  },
  upstream_timeout: {
    kind: "fail",
    http: 504,
    rpc: null,
    message: "The server did not answer in time. It may have done what it was asked: look before you repeat the call",
  },
  internal: { kind: "fail", http: 500, rpc: null, message: "Internal error" },
} as const satisfies Readonly<Record<string, Refusal>>;

export type Reason = keyof typeof REFUSALS;
