// Makes the policy input of a Check. Pure.
import type { Identity, PolicyCaller, PolicyFacts, PolicyInput } from "./types.ts";

/**
 * Makes the part of an identity that policy sees, without the token. The same identity gives the same object, so that its
 * JSON can be cached.
 */
export function createPolicyCallers(): (identity: Identity) => PolicyCaller {
  const callers = new WeakMap<Identity, PolicyCaller>();
  return (identity) => {
    let caller = callers.get(identity);
    if (caller === undefined) {
      const { issuer, subject, username, groups, scopes, kind, method, amr, acr, authTime, claims } = identity;
      const authentication = { kind, method, amr, acr, auth_time: authTime };
      caller = { issuer, subject, username, groups, scopes, ...authentication, claims };
      callers.set(identity, caller);
    }
    return caller;
  };
}

/** The policy input; with `compat: authorino`, the claims stand at `auth.identity` too, where Authorino has them. */
export function policyInput(facts: PolicyFacts, compat: "authorino" | null): PolicyInput {
  return compat === "authorino" ? { ...facts, auth: { identity: facts.identity.claims } } : facts;
}
