// The credential kind `static`: one configured value for every caller. Pure.
import { Secret } from "../secret/secret.ts";
import type { CredentialSource } from "./source.ts";

export interface Placement {
  readonly header: string;
  /** Authentication scheme before the value (RFC 9110 §11.1), joined by one space; "" for the value alone. */
  readonly scheme: string;
}

/** Makes the whole header value. */
export function headerValue(scheme: string, value: string): Secret {
  return new Secret(scheme === "" ? value : `${scheme} ${value}`);
}

/** Makes the source of the gateway's own account at a server: the same credential for every caller. */
export function staticSource({ header, scheme, value }: Placement & { readonly value: Secret }): CredentialSource {
  const lookup = { found: { kind: "static" as const, header, value: headerValue(scheme, value.reveal()) } };
  return { kind: "static", get: () => lookup };
}
