import { Secret } from "../secret/secret.ts";
import type { CredentialSource } from "./source.ts";

export interface Placement {
  readonly header: string;
  /** Before the value, with one space; "" for the bare value. */
  readonly scheme: string;
}

/** The whole header value. */
export function headerValue(scheme: string, value: string): Secret {
  return new Secret(scheme === "" ? value : `${scheme} ${value}`);
}

/** The same credential for every caller: the gateway's own account at a server. */
export function staticSource({ header, scheme, value }: Placement & { readonly value: Secret }): CredentialSource {
  const answer = { found: { kind: "static" as const, header, value: headerValue(scheme, value.reveal()) } };
  return { kind: "static", get: () => answer };
}
