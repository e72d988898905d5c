/** How the token endpoint's answers are read. The request is the same for all. */
export type Profile = "rfc8693" | "keycloak";

interface ErrorRow {
  /**
   * What it means with status 400. *refused*: about this caller. With any other status every code is *cannot tell*: a
   * 401 or 403 is about the gateway as a client.
   */
  readonly at400: "refused" | "cannot tell";
  /** For the operator. */
  readonly hint: string;
}

const REFUSED = "the IdP does not exchange for this caller";

/**
 * The error codes of RFC 6749 §5.2, RFC 8693 §2.2.2 and RFC 8707 §2, decided by code and status, never by text. Where an
 * IdP says one code for a fault of the caller and one of the configuration, both refuse; the safe side is *refused*:
 * nothing further of the chain is tried for somebody whose session or account may have ended.
 */
export const ERRORS: Readonly<Record<string, ErrorRow>> = {
  invalid_request: { at400: "refused", hint: REFUSED },
  invalid_grant: { at400: "refused", hint: REFUSED },
  invalid_target: { at400: "refused", hint: REFUSED },
  access_denied: { at400: "refused", hint: REFUSED },
  invalid_scope: { at400: "cannot tell", hint: "the client may not ask for this scope: see scope" },
  invalid_client: { at400: "cannot tell", hint: "see client and audience" },
  unauthorized_client: { at400: "cannot tell", hint: "see client: its secret, and whether it may exchange tokens" },
  unsupported_grant_type: { at400: "cannot tell", hint: "the IdP does not offer token exchange (RFC 8693)" },
  unsupported_token_type: { at400: "cannot tell", hint: "the IdP does not exchange access tokens" },
};

/** Keycloak 26 has one code for what other IdPs tell apart, and a 403 of its own. */
const KEYCLOAK_HINTS: Readonly<Record<string, string>> = {
  "400 invalid_request": `${REFUSED}: an ended session, a disabled account, no role at the audience; or the client may not exchange tokens`,
  "400 invalid_client": "no enabled client has the audience as its id: see audience",
  "401 unauthorized_client": "see client: its secret",
  "403 access_denied": "the callers' tokens do not name client.id in aud: add an audience mapper for it",
};

/** What an answer that is no token means. Holds nothing of the answer but its status and a code of the table. */
export function readError(
  status: number,
  code: unknown,
  profile: Profile,
): { readonly refused: string } | { readonly cannotTell: string } {
  if (typeof code !== "string" || !Object.hasOwn(ERRORS, code)) {
    return { cannotTell: `the token endpoint answered ${status}${hintOfStatus(status)}` };
  }
  const row = ERRORS[code];
  const said = `${status} ${code}`;
  const hint = (profile === "keycloak" ? KEYCLOAK_HINTS[said] : undefined) ?? row?.hint ?? "";
  const detail = `${said}: ${hint}`;
  return status === 400 && row?.at400 === "refused" ? { refused: detail } : { cannotTell: detail };
}

function hintOfStatus(status: number): string {
  if (status >= 300 && status < 400) return ", a redirect, which is not followed: see tokenEndpoint";
  if (status === 404 || status === 405) return ": see tokenEndpoint";
  return status === 401 ? ": see client" : "";
}
