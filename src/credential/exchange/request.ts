// The forms of requests for tokens: exchange (RFC 8693 §2.1) and client credentials (RFC 6749 §4.4.2). Pure.
import type { ClientProof } from "./client-auth.ts";

export const ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token";
export const JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt";

/** What a token of the gateway's own is for; null leaves the parameter out. */
export interface OwnTokenTarget {
  readonly scope: string | null;
  readonly audience: string | null;
  /** RFC 8707 §2. */
  readonly resource: string | null;
}

/** Makes the body of a client credentials request, with these parameters and no others. */
export function clientCredentialsForm(target: OwnTokenTarget): string {
  const form = new URLSearchParams({ grant_type: "client_credentials" });
  for (const name of ["scope", "audience", "resource"] as const) {
    const value = target[name];
    if (value !== null) form.set(name, value);
  }
  return form.toString();
}

/** The body with the client's proof at its end. */
export function provenForm(form: string, proof: ClientProof): string {
  const more = new URLSearchParams(proof.form).toString();
  return more === "" ? form : `${form}&${more}`;
}

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
