// The interface of a credential kind, and its closed set of results. Types only.
import type { Credential, CredentialKind, Identity } from "../authz/types.ts";

/**
 * The result of one credential kind for one caller and one server:
 * - *found* is sent upstream;
 * - *has none* goes on to the next kind of the chain;
 * - *cannot tell* ends the Check with `credential_unavailable`: going on could send a weaker credential;
 * - *refused* ends it with `credential_missing`, and no further kind is asked: a name that cannot be part of a path (threat
 *   model: M10), or an entry that belongs to another caller.
 */
export type Lookup =
  | { readonly found: Credential }
  | { readonly hasNone: string }
  | { readonly cannotTell: string }
  | { readonly refused: string };

/** A credential that its server has refused with 401, so that it is to be fetched anew. */
export interface RefusedCredential {
  readonly credential: Credential;
  /** True if the store or the IdP may be asked now: asked each time before a request that would not be made otherwise. */
  readonly mayAsk: () => boolean;
}

/** A credential kind. A new kind is one file with one source. */
export interface CredentialSource {
  readonly kind: CredentialKind;
  /** @param refused a kind with a cache hands it on to the cache: the entry with this value is fetched anew */
  get(identity: Identity, signal: AbortSignal, refused?: RefusedCredential): Lookup | Promise<Lookup>;
}

/** True if both put the same value into the same header. */
export function isSameCredential(one: Credential, other: Credential): boolean {
  const textOf = ({ header, value, more = [] }: Credential) =>
    JSON.stringify([[header, value?.reveal()], ...more.map((part) => [part.header, part.value.reveal()])]);
  return textOf(one) === textOf(other);
}
