// The form and the client authentication of a token exchange (RFC 8693 §2.1, RFC 6749 §2.3.1). Pure.
import type { Secret } from "../../secret/secret.ts";

/** The gateway as a client of the IdP. */
export interface ExchangeClient {
  readonly id: string;
  readonly secret: Secret;
}

export const ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token";
export const JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt";

/** The body of a client credentials request (RFC 6749 §4.4.2). */
export const CLIENT_CREDENTIALS_FORM = "grant_type=client_credentials";

export interface ExchangeRequest {
  readonly audience: string;
  /** Sent as configured; null leaves the parameter out. */
  readonly scope: string | null;
  readonly subjectToken: string;
  /** The gateway's own token; null for an impersonation. */
  readonly actorToken: string | null;
}

/**
 * Makes the body of a token exchange, with these parameters in this order and no others. IdPs ignore unknown parameters: so
 * `resource` is never sent (an IdP that ignores it would widen the token), and the response must prove that `actor_token`
 * took effect.
 */
export function exchangeForm({ audience, scope, subjectToken, actorToken }: ExchangeRequest): string {
  const form = new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token: subjectToken,
    subject_token_type: ACCESS_TOKEN_TYPE,
    requested_token_type: ACCESS_TOKEN_TYPE,
    audience,
  });
  if (scope !== null) form.set("scope", scope);
  if (actorToken !== null) {
    form.set("actor_token", actorToken);
    form.set("actor_token_type", ACCESS_TOKEN_TYPE);
  }
  return form.toString();
}

/** Makes the value of `authorization`. RFC 6749 §2.3.1: id and secret are form-encoded first, so an id may be a URL. */
export function basicCredentials({ id, secret }: ExchangeClient): string {
  return `Basic ${Buffer.from(`${formEncoded(id)}:${formEncoded(secret.reveal())}`).toString("base64")}`;
}

/** Encodes a text by RFC 6749 appendix B. */
function formEncoded(text: string): string {
  return new URLSearchParams({ "": text }).toString().slice(1);
}
