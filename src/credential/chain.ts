// The port `fetchCredential`: asks the credential kinds of a server in order. Pure; each kind brings its own I/O.
import { pass, refuse, type Step } from "../authz/step.ts";
import type { BoundCredential, Credential, CredentialKind, Identity } from "../authz/types.ts";
import type { CredentialSource, Lookup, RefusedCredential } from "./source.ts";

type Chain = readonly CredentialSource[];
type CredentialStep = Step<BoundCredential> | Promise<Step<BoundCredential>>;

/** One look-up along the chain of a server. */
export interface Asker {
  readonly identity: Identity;
  /** The server has refused this one: the chain is asked for another. */
  readonly refused?: RefusedCredential;
}

export type AskChain = (server: string, asker: Asker, signal: AbortSignal) => CredentialStep;

/**
 * Makes the look-ups for all servers of the configuration.
 * @param destinations per server: the only place to which what is found may go. Without one it goes nowhere.
 * @param help per server: how a caller gets a credential. Said where the caller has none, never where that cannot be told.
 */
export function createChains(
  chains: ReadonlyMap<string, Chain>,
  destinations: ReadonlyMap<string, string> = new Map(),
  help: ReadonlyMap<string, string> = new Map(),
): AskChain {
  return (server, { identity, refused }, signal) => {
    const lookup = tryFrom(chains.get(server) ?? [], 0, (source) => source.get(identity, signal, refused));
    const destination = destinations.get(server) ?? "";
    const text = help.get(server);
    const bound = (step: Step<Credential>): Step<BoundCredential> => {
      if (step.ok) return pass({ ...step.value, destination });
      return text !== undefined && step.reason === "credential_missing" ? { ...step, help: text } : step;
    };
    return lookup instanceof Promise ? lookup.then(bound) : bound(lookup);
  };
}

/** Makes the port of a Check. */
export function createCredentials(...of: Parameters<typeof createChains>) {
  const ask = createChains(...of);
  return (server: string, identity: Identity, signal: AbortSignal) => ask(server, { identity }, signal);
}

/** Asks the kinds from index `at` on. Synchronous as far as the lookups are: a cached credential costs no promise. */
function tryFrom(
  chain: Chain,
  at: number,
  get: (source: CredentialSource) => Lookup | Promise<Lookup>,
): Step<Credential> | Promise<Step<Credential>> {
  const source = chain[at];
  if (source === undefined) return refuse("credential_missing", "the chain has ended");
  const next = (lookup: Lookup) => stepOf(source.kind, lookup) ?? tryFrom(chain, at + 1, get);
  const lookup = get(source);
  return lookup instanceof Promise ? lookup.then(next) : next(lookup);
}

/** Maps a lookup to the end of the chain, or to null when the next kind is to be asked. */
function stepOf(kind: CredentialKind, lookup: Lookup): Step<Credential> | null {
  if ("found" in lookup) return pass(lookup.found);
  if ("cannotTell" in lookup) return refuse("credential_unavailable", `${kind}: ${lookup.cannotTell}`);
  if ("refused" in lookup) return refuse("credential_missing", `${kind}: ${lookup.refused}`);
  // Only *has none* is left: another member of the union must not compile before it has its own line here.
  lookup satisfies { readonly hasNone: string };
  return null;
}
