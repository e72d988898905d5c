// The meaning and remedy of each refusal, in words for operators. Pure.
import type { Reason } from "../authz/refusal.ts";

/**
 * The meaning of a refusal and its remedy. docs/refusals.md and `mcp-authz why` print these texts; clients never get them.
 * Keys and names in backquotes are those of the configuration and of the audit line.
 */
export interface Remedy {
  readonly meaning: string;
  readonly remedy: string;
}

/** One row for each reason: a new reason without a row does not compile. */
export const REMEDIES: Readonly<Record<Reason, Remedy>> = {
  token_missing: {
    meaning: "No bearer token came with the request.",
    remedy:
      "Log in at one of the `authorization_servers` of the document that the 401 names, and send `Authorization: Bearer TOKEN`.",
  },
  token_invalid: {
    meaning:
      "The token is forged, malformed, of another kind (an ID token, for example) or of an issuer that is not configured.",
    remedy:
      "Read `detail` in the audit line: it says which check failed. Then compare the token with `identity.issuers[]`: `issuer`, `algorithms`, `tokenType`, `claims`. *Not in the token … (overage)*: the caller has more groups than the issuer puts into a token; let it send fewer, or roles ([identity](identity.md#entra-id)).",
  },
  token_expired: {
    meaning: "The token's life is over.",
    remedy:
      "Get a new token. If new tokens are refused too, a clock is wrong: the event `clock_differs` in serve's log has both times.",
  },
  token_audience: {
    meaning: "The token was issued for somebody else.",
    remedy:
      "Ask the issuer for a token with the endpoint's URL as `resource` (RFC 8707), or name the token's `aud` in `identity.issuers[].audiences`.",
  },
  token_revoked: {
    meaning: "The token, its session or its user stands in `identity.revocationFile`.",
    remedy: "Log in again. A revocation counts until its `until`, also when its line is removed before.",
  },
  scope_insufficient: {
    meaning: "Policy would allow this if the token had the scopes that the challenge names.",
    remedy: "Get a token with these scopes. The rule is `required_scopes` in the policy.",
  },
  proof_invalid: {
    meaning:
      "The token is bound to a key (DPoP, RFC 9449) and the request has no proof of it that holds, or the token should be bound and is not.",
    remedy:
      "Read `detail` in the audit line. Send `Authorization: DPoP TOKEN` with one new proof for this method, this public URL and this token; mind the client's clock. `identity.issuers[].dpop` says whose tokens may be bound.",
  },
  authentication_insufficient: {
    meaning:
      "Policy would allow this after another log-in: the challenge says of which class (`acr_values`), or how fresh (`max_age`, seconds).",
    remedy:
      "Log in again as the challenge says (RFC 9470). The rule is `step_up` in the policy; if a new token does not help, does the issuer put `acr` and `auth_time` into it?",
  },
  policy_denied: {
    meaning: "Policy does not allow this, or the name does not exist: both look the same to the client.",
    remedy: "Compare the name with the server's list, and the caller's groups with the policy.",
  },
  origin_not_allowed: {
    meaning: "A browser on another site sent the request.",
    remedy: "If that site may use the gateway, list its origin in `cors.origins`.",
  },
  wristband_invalid: {
    meaning: "The broker got a request that did not come through the gateway.",
    remedy:
      "Let nobody but Envoy reach `listen.broker`. If Envoy sent it: are `wristband.issuer`, `audience` and `header` the same for serve and broker, and does the broker reach serve's keys?",
  },
  route_unknown: {
    meaning: "Host, path or server is not one of ours.",
    remedy:
      "Use `/mcp` or `/servers/NAME/mcp` with a NAME of `servers`, on the host of `publicOrigin` or one of `hosts`. A path with a slash behind it is another path: the message then says which one is served.",
  },
  method_unknown: {
    meaning: "This MCP method is not served.",
    remedy: "Nothing to configure: only the methods of the gateway's own table are carried.",
  },
  session_unknown: {
    meaning:
      "The `Mcp-Session-Id` is no session of this caller at this endpoint: it is over, somebody else's, or made up.",
    remedy:
      "The client begins a new session with `initialize`, as after every 404. If it happens to all: are `sessions.keys` the same for serve and every broker, and does Envoy send a session to one replica?",
  },
  method_not_allowed: {
    meaning:
      "This HTTP method is not served here: an MCP endpoint takes POST, and GET and DELETE only with the `Mcp-Session-Id` of an older revision, where `sessions.keys` are configured.",
    remedy: "Nothing to do: a client goes on without a GET stream after this answer.",
  },
  body_malformed: {
    meaning:
      "The body is not one strict JSON-RPC message: a name twice or in another case, bad UTF-8, an integer beyond ±(2^53 − 1), text after the end, too deep or too many members; or no body came.",
    remedy:
      "Read `detail` in the audit line. If no body came, let the data plane send it: `with_request_body` with `pack_as_bytes: true`.",
  },
  body_batch: {
    meaning: "The body is a JSON-RPC batch.",
    remedy: "Let the client send one message per request.",
  },
  params_invalid: {
    meaning: "`params` does not fit the method, or `_meta` lacks what its protocol revision requires.",
    remedy: "Read `detail` in the audit line, and mend the client.",
  },
  header_mismatch: {
    meaning:
      "`Mcp-Method`, `Mcp-Name`, `MCP-Protocol-Version` or a `Mcp-Param-*` of the tool disagrees with the body, or is missing where required.",
    remedy: "Let the client send headers that repeat the body exactly. A proxy that rewrites bodies breaks them.",
  },
  version_unsupported: {
    meaning: "The request is of a protocol revision that we do not speak.",
    remedy: "Use one of those that `data.supported` lists.",
  },
  header_malformed: {
    meaning: "A header comes twice, has bytes it must not have, asks for an upgrade, or looks like one of ours.",
    remedy: "Read `detail` in the audit line, and mend the client or the proxy before Envoy.",
  },
  query_not_allowed: {
    meaning: "The URL of an MCP endpoint has a query, or a token stands in it.",
    remedy: "Remove the query. A server that needs one says `allowQuery: true`; a token in it is never accepted.",
  },
  body_too_large: {
    meaning:
      "The body is above `limits.bodyBytes` (256 KiB unless configured), or the data plane did not send all of it.",
    remedy:
      "Send less, raise the limit, or compare Envoy's `max_request_bytes` with what `mcp-authz envoy-config` prints.",
  },
  media_type: {
    meaning: "The body is not `application/json`, or is compressed.",
    remedy: "Send `Content-Type: application/json` without `Content-Encoding`.",
  },
  header_too_large: {
    meaning: "The token is above 16 KiB, or there are too many headers.",
    remedy: "Let the issuer put less into the token: groups are what grows.",
  },
  rate_limited: {
    meaning:
      "This caller has `limits.callsPerCaller` relayed calls under way, of all servers; or it sends more large bodies at a time than `limits.largeBodiesPerCaller`, or more lists or calls that wait for a credential than docs/limits.md says; or this source address has brought too many tokens that failed verification, so that no token is verified for it until some time has passed. Read `detail` in the audit line.",
    remedy:
      "Wait for some to end. A client that opens so many at once has an error, or is several people on one account. If all clients share one `source_ip`, set `clientAddress`, or raise `limits.invalidTokensPerSecond`.",
  },
  caller_suspended: {
    meaning:
      "Policy ran away, or was slow again and again, while it was evaluated for this caller. All requests of the caller are refused for `limits.runawaySeconds`, and for longer each time.",
    remedy:
      "Find the caller's earlier line in the audit log whose `detail` says that its evaluation ran away: which call was it? Mend the client, or the rule that takes so long for such a call. It ends by itself; `Retry-After` says when.",
  },
  credential_missing: {
    meaning:
      "Nobody has a credential of this caller for this server, or the issuer does not exchange the caller's token.",
    remedy: "Store one for the caller where the server's `credential` looks, or let the issuer allow the exchange.",
  },
  credential_unavailable: {
    meaning:
      "The credential could not be fetched, what was fetched cannot be a header, or it is for another URL of this server than the broker or Envoy has. Nothing else is tried then.",
    remedy:
      "Read `detail` in the audit line: it names the kind and what failed. Look at Vault or the token endpoint. If the audit line says *allow*, look whether serve, broker and Envoy have read the same `servers.*.url` (`config.stale` of `/readyz`).",
  },
  catalog_unavailable: {
    meaning: "There is no catalogue from the broker yet, so nobody's list can be made. Calls go on.",
    remedy: "Is the broker up, and does serve reach it at `catalog.url`? Its `/readyz` says what it lists.",
  },
  revocations_unavailable: {
    meaning:
      "`identity.revocationFile` cannot be read whole, so any token may be one that was revoked: all are refused.",
    remedy:
      "`revocations.stale` in `/readyz` of serve and the event `revocations_not_read` say why: the file is gone, has a line that cannot be read, or more lines in force than `limits.revocations`. It heals within two seconds after the file is mended.",
  },
  keys_unavailable: {
    meaning:
      "The issuer's keys cannot be fetched, so no token of it can be verified; or the token names a key that nobody has seen, and the issuer is asked for it within 5 seconds.",
    remedy: "`/readyz` of serve says why. Look at the issuer, at the way there, and at `jwksUri` and `allowedHosts`.",
  },
  policy_unavailable: {
    meaning:
      "The policy failed or ran out of its bounds for this request; or another caller's evaluation ran away meanwhile; or the policy is quarantined, because it ran away for several callers.",
    remedy:
      "Read `detail` in the audit line, and `policy.quarantined` and `hostQuarantined` in `/readyz` of serve, then mend the policy: a change is tried at once.",
  },
  audit_unavailable: {
    meaning: "The audit log could not be written, so nothing is allowed.",
    remedy:
      "The event `audit_failed` in serve's log says why: a full disk, a folder that is gone, a standard output that nobody reads. `mcp_authz_audit_failures` counts. It heals by itself.",
  },
  wristband_too_large: {
    meaning: "The caller may see more names than a header can carry.",
    remedy: "Use the endpoint of one server, `/servers/NAME/mcp`, or let the policy show less.",
  },
  deadline: {
    meaning: "The decision took longer than `checkTimeoutMs`.",
    remedy: "`mcp_authz_step_seconds` shows which step was slow: the issuer's keys, the credential or the audit log.",
  },
  capability_missing: {
    meaning:
      "The server asks the client for something, or answers with a task, which this client does not declare to know; or a client that does not declare tasks asks for one.",
    remedy:
      "Use a client that declares the capability, of the newest revision or with a session (`sessions.keys`), or a tool of the server that asks nothing and makes no task.",
  },
  upstream_unavailable: {
    meaning:
      "The server behind the broker failed, refused the credential, or answered with what is no MCP answer. With 503 and `Retry-After` it was not asked: calls before failed in a row (`servers.NAME.breaker`).",
    remedy:
      "Read the broker's log: it says which. Call the server by hand with the same credential; look at its `url` and `caFile`.",
  },
  answer_too_large: {
    meaning:
      "The answer is longer than `servers.NAME.maxResponseBytes`. The server has done what it was asked, so repeating the call repeats that and ends the same way.",
    remedy:
      "Ask the server for less: a page, a range, a smaller picture. Or raise `maxResponseBytes` of this server: a large answer is passed on as it comes, not held.",
  },
  upstream_timeout: {
    meaning: "The server behind the broker was silent for its `timeoutMs`.",
    remedy: "Look at the server. A tool that takes longer needs a larger `servers.NAME.timeoutMs`.",
  },
  internal: {
    meaning: "A bug in mcp-authz.",
    remedy: "Report it with the audit line: its `detail` names the kind of error, and no secret.",
  },
};

/** `policy_denied` where policy was not asked: `policy` is null in the audit line, and its `detail` says which of these it is. */
export const NAME_OF_NOBODY: Remedy = {
  meaning: "No server has this name here. Policy was not asked.",
  remedy:
    "Take the name from the list of the same endpoint: on `/mcp` a tool or prompt has its server's prefix, and a resource its server's name (`S+URI`, `ui://S/…`).",
};

/** The meaning of a refusal, and its remedy. @param policyAsked whether a revision stands in the facts or in the audit line */
export function remedyOf(reason: Reason, policyAsked: boolean): Remedy {
  return reason === "policy_denied" && !policyAsked ? NAME_OF_NOBODY : REMEDIES[reason];
}
