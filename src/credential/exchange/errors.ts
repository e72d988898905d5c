/** How the token endpoint's answers are read. The request is the same for all. */
export type Profile = "rfc8693" | "keycloak";

/**
 * What an error code means with status 400: *refused* is about this caller; otherwise it is about the gateway as a
 * client, and the text says where the operator is to look. With any other status every code is *cannot tell*.
 */
type Meaning = "refused" | { readonly see: string };

const REFUSED = "the IdP does not exchange for this caller";

/**
 * The error codes of RFC 6749 §5.2, RFC 8693 §2.2.2 and RFC 8707 §2, decided by code and status, never by text. Where an
 * IdP says one code for a fault of the caller and one of the configuration, both refuse; the safe side is *refused*:
 * nothing further of the chain is tried for somebody whose session or account may have ended.
 */
export const ERRORS: Readonly<Record<string, Meaning>> = {
  invalid_request: "refused",
  invalid_grant: "refused",
  invalid_target: "refused",
  access_denied: "refused",
  invalid_scope: { see: "the client may not ask for this scope: see scope" },
  invalid_client: { see: "see client and audience" },
  unauthorized_client: { see: "see client: its secret, and whether it may exchange tokens" },
  unsupported_grant_type: { see: "the IdP does not offer token exchange (RFC 8693)" },
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
  const meaning = isKnown(code) ? ERRORS[code] : undefined;
  const said = statusAndCode(status, code);
  const hint = profile === "keycloak" ? KEYCLOAK_HINTS[said] : undefined;
  if (status === 400 && meaning === "refused") return { refused: `${said}: ${hint ?? REFUSED}` };
  const about = typeof meaning === "object" && status < 404 ? meaning.see : seeAt(status);
  return { cannotTell: `the token endpoint answered ${said}: ${hint ?? about}` };
}

/** The status, with the error code if it is one of the table. */
export function statusAndCode(status: number, code: unknown): string {
  return isKnown(code) ? `${status} ${code}` : String(status);
}

function isKnown(code: unknown): code is string {
  return typeof code === "string" && Object.hasOwn(ERRORS, code);
}

function seeAt(status: number): string {
  if (status >= 300 && status < 400) return "a redirect is not followed: see tokenEndpoint";
  if (status === 401 || status === 403) return "see client";
  if (status === 429) return "it asks us to wait";
  return status >= 500 ? "it fails" : "see tokenEndpoint";
}
