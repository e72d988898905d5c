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

type PlacedValue = Placement & { readonly value: Secret };

/** Makes the source of the gateway's own account at a server: the same credential for every caller. */
export function staticSource({
  more = [],
  ...main
}: PlacedValue & { readonly more?: readonly PlacedValue[] }): CredentialSource {
  const partOf = ({ header, scheme, value }: PlacedValue) => ({ header, value: headerValue(scheme, value.reveal()) });
  const lookup = {
    found: { kind: "static" as const, ...partOf(main), ...(more.length > 0 && { more: more.map(partOf) }) },
  };
  return { kind: "static", get: () => lookup };
}
