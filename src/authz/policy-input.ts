// Makes the input of a policy out of what is known of a Check. Pure.
import type { Identity, PolicyCaller, PolicyFacts, PolicyInput } from "./types.ts";

/**
 * What policy may see of a caller: never the token. The same object for the same verified token, so that whoever writes
 * it as JSON can do so once.
 */
export function createPolicyCallers(): (identity: Identity) => PolicyCaller {
  const callers = new WeakMap<Identity, PolicyCaller>();
  return (identity) => {
    let caller = callers.get(identity);
    if (caller === undefined) {
      const { issuer, subject, username, groups, scopes, claims } = identity;
      callers.set(identity, (caller = { issuer, subject, username, groups, scopes, claims }));
    }
    return caller;
  };
}

/** The input of a policy; for one that was written for Authorino, with the claims where that has them. */
export function policyInput(facts: PolicyFacts, compat: "authorino" | null): PolicyInput {
  return compat === "authorino" ? { ...facts, auth: { identity: facts.identity.claims } } : facts;
}
