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

/** A credential kind. A new kind is one file with one source. */
export interface CredentialSource {
  readonly kind: CredentialKind;
  get(identity: Identity, signal: AbortSignal): Lookup | Promise<Lookup>;
}
