import type { Credential, CredentialKind, Identity } from "../authz/types.ts";

/**
 * What one kind of credential says for one caller and one server (design 5.3; peers that fall through here send the
 * client's own token):
 * - *found* goes upstream;
 * - *has none* goes on to the next kind of the chain;
 * - *cannot tell* ends the Check with `credential_unavailable`;
 * - *refused* ends it with `credential_missing`: nobody else may be asked either, as for a name that cannot be part of
 *   a path (threat row M10), or an entry that belongs to somebody else.
 */
export type Answer =
  | { readonly found: Credential }
  | { readonly hasNone: string }
  | { readonly cannotTell: string }
  | { readonly refused: string };

/** A kind of credential. A new kind is one file with one of these. */
export interface CredentialSource {
  readonly kind: CredentialKind;
  get(identity: Identity, signal: AbortSignal): Answer | Promise<Answer>;
}
