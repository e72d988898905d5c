// Prints docs/refusals.md from the one table. A test compares the file with it.
import { REFUSALS, type Reason } from "../src/authz/refusal.ts";

const MEANING: Readonly<Record<Reason, string>> = {
  token_missing: "no bearer token came; log in at one of the document's `authorization_servers`",
  token_invalid:
    "the token is forged, malformed, of another kind or of another issuer; the audit line's `detail` says which",
  token_expired: "the token's life is over; get a new one",
  token_audience: "the token was issued for somebody else; ask for the endpoint's URL as `resource`",
  token_revoked: "the token was revoked",
  scope_insufficient: "policy would allow this with the scopes in the challenge",
  policy_denied: "policy does not allow this, or the name does not exist (both look the same)",
  origin_not_allowed: "a browser on another site; list it in `cors.origins`",
  wristband_invalid: "the broker was reached without the gateway",
  route_unknown: "host, path or server is not configured",
  method_unknown: "this MCP method is not served",
  method_not_allowed: "only POST is served at an MCP endpoint",
  body_malformed:
    "not one strict JSON-RPC message: duplicate names, bad UTF-8, a name in another case, an integer beyond ±(2^53 − 1), trailing text",
  body_batch: "a JSON-RPC batch; send one message",
  params_invalid: "`params` does not fit the method, or `_meta` lacks what its revision requires",
  header_mismatch: "`Mcp-Method`, `Mcp-Name` or `MCP-Protocol-Version` disagrees with the body",
  version_unsupported: "a protocol revision that we do not speak; `data.supported` lists ours",
  header_malformed: "a header comes twice, is malformed, or looks like one of ours",
  query_not_allowed: "a query at an MCP endpoint; `allowQuery` permits it per server, a token in it never",
  body_too_large: "above 1 MiB, or the data plane did not send the whole body",
  media_type: "send `application/json`, not compressed",
  header_too_large: "a token above 16 KiB, or too many headers",
  rate_limited: "this caller has 256 relayed calls under way, of all servers; wait for some to end",
  credential_missing: "nobody has a credential of this caller for this server, or the IdP does not exchange her token",
  credential_unavailable: "the credential cannot be fetched, or cannot be a header",
  catalog_unavailable: "serve has no catalogue from the broker yet; calls go on",
  keys_unavailable: "the issuer's keys cannot be fetched",
  policy_unavailable: "policy failed, ran out of its bounds or is quarantined",
  audit_unavailable: "the audit log could not be written, so nothing is allowed",
  wristband_too_large: "the caller may see more names than a header can carry",
  deadline: "the decision took longer than `checkTimeoutMs`",
  capability_missing: "the server asks back, which a client of an older revision cannot answer",
  upstream_unavailable:
    "the server behind the broker failed, refused the credential or answered with no MCP answer; the broker's log says which",
  upstream_timeout: "the server was silent for its `timeoutMs`",
  internal: "a bug; the audit line's `detail` names its kind",
};

/** The page as it should be. */
export function refusalsPage(): string {
  const rows = (Object.keys(REFUSALS) as Reason[]).map((reason) => {
    const { http, rpc } = REFUSALS[reason];
    const status = reason === "policy_denied" ? "200 or 403" : String(http);
    return `| \`${reason}\` | ${status} | ${rpc ?? http} | ${MEANING[reason]} |`;
  });
  return [
    "# Refusals",
    "",
    "Every way in which a request is refused. The word stands in the client's body (`error.data.reason`, or `error`), in the audit",
    "log and in `mcp_authz_checks_total{reason}`. Printed by `node scripts/refusals.ts` from `src/authz/refusal.ts`.",
    "",
    "| reason | HTTP | JSON-RPC code | meaning, and what to do |",
    "|---|---|---|---|",
    ...rows,
    "",
    "A 401 always has the same body, whatever is wrong with the token; a 429 and a 503 have `Retry-After`. `policy_denied` of a request is 200 with a JSON-RPC",
    "error unless `denial: http`. `method_unknown` is 404 for clients of 2026-07-28 and 200 for older ones, whose session a 404 would end.",
    "",
  ].join("\n");
}

if (process.argv[1]?.endsWith("refusals.ts") === true) process.stdout.write(refusalsPage());
