import type { Credential, CredentialKind, Identity } from "../authz/ports.ts";

/**
 * What one kind of credential says for one caller and one server. *Has none* goes on to the next kind of the chain;
 * *cannot tell* refuses: peers that fall through here send the client's own token (design 5.3).
 */
export type Answer = { readonly found: Credential } | { readonly hasNone: string } | { readonly cannotTell: string };

/** A kind of credential. A new kind is one file with one of these. */
export interface CredentialSource {
  readonly kind: CredentialKind;
  get(identity: Identity, signal: AbortSignal): Answer | Promise<Answer>;
}
