import type { Secret } from "../../authz/secret.ts";

/** The gateway as a client of the IdP. */
export interface ExchangeClient {
  readonly id: string;
  readonly secret: Secret;
}

export const ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token";
export const JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt";

/**
 * The body of a token exchange (RFC 8693 §2.1), with these names in this order and no others: `resource` and
 * `actor_token` are ignored by IdPs that do not know them, which would widen the token in silence.
 * @param scope sent as written; null: the parameter is left out
 */
export function exchangeForm(audience: string, scope: string | null, subjectToken: string): string {
  const form = new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token: subjectToken,
    subject_token_type: ACCESS_TOKEN_TYPE,
    requested_token_type: ACCESS_TOKEN_TYPE,
    audience,
  });
  if (scope !== null) form.set("scope", scope);
  return form.toString();
}

/** The value of `authorization`. RFC 6749 §2.3.1: id and secret are form-encoded first, so an id may be a URL. */
export function basicCredentials({ id, secret }: ExchangeClient): string {
  return `Basic ${Buffer.from(`${formEncoded(id)}:${formEncoded(secret.reveal())}`).toString("base64")}`;
}

/** RFC 6749 appendix B. */
function formEncoded(text: string): string {
  return new URLSearchParams({ "": text }).toString().slice(1);
}
