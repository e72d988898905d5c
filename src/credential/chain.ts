import { pass, refuse, type Step } from "../authz/outcome.ts";
import type { Credential, Identity } from "../authz/ports.ts";
import type { CredentialSource } from "./source.ts";

/** Asks the kinds of a server in order, for every server of the configuration. */
export function createCredentials(chains: ReadonlyMap<string, readonly CredentialSource[]>) {
  return async (server: string, identity: Identity, signal: AbortSignal): Promise<Step<Credential>> => {
    for (const source of chains.get(server) ?? []) {
      const answer = await source.get(identity, signal);
      if ("found" in answer) return pass(answer.found);
      if ("cannotTell" in answer) return refuse("credential_unavailable", `${source.kind}: ${answer.cannotTell}`);
    }
    return refuse("credential_missing", "the chain has ended");
  };
}
