// Maps error responses of a token endpoint to a result, by status and error code. Pure. RFC 6749 §5.2, RFC 8693 §2.2.2,
// RFC 8707 §2.

/** The dialect of the token endpoint's responses. The request is the same for all. */
export type Profile = "rfc8693" | "keycloak";

/**
 * The meaning of an error code with status 400: *refused* is about this caller; `see` is about the gateway as a client, and
 * names the key for the operator. With any other status every code is *cannot tell*.
 */
type Meaning = "refused" | { readonly see: string };

const REFUSED = "the IdP does not exchange for this caller";

/**
 * The known error codes. Only code and status decide, never a text. Some IdPs use one code for faults of the caller and of
 * the configuration. It counts as *refused*, the safe side: no further kind of the chain is asked for a caller whose session
 * or account may have ended.
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

/** Texts for Keycloak 26, which uses one code for several faults, and a 403 of its own. */
const KEYCLOAK_HINTS: Readonly<Record<string, string>> = {
  "400 invalid_request": `${REFUSED}: an ended session, a disabled account, no role at the audience; or the client may not exchange tokens`,
  "400 invalid_client": "no enabled client has the audience as its id: see audience",
  "401 unauthorized_client": "see client: its secret",
  "403 access_denied": "the callers' tokens do not name client.id in aud: add an audience mapper for it",
};

/** Reads a response without a token. The result holds no part of it but the status and a code of the table. */
export function readError(
  status: number,
  code: unknown,
  profile: Profile,
): { readonly refused: string } | { readonly cannotTell: string } {
  const meaning = isKnown(code) ? ERRORS[code] : undefined;
  const key = statusAndCode(status, code);
  const hint = profile === "keycloak" ? KEYCLOAK_HINTS[key] : undefined;
  if (status === 400 && meaning === "refused") return { refused: `${key}: ${hint ?? REFUSED}` };
  const about = typeof meaning === "object" && status < 404 ? meaning.see : seeAt(status);
  return { cannotTell: `the token endpoint answered ${key}: ${hint ?? about}` };
}

/** Returns the status, with the error code if the table has it. */
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
