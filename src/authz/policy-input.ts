import type { JsonObject } from "../json/types.ts";
import type { Kind } from "../mcp/operation.ts";
import type { Identity } from "./ports.ts";

/** What policy may see, design 4.3. No tokens, no body bytes. Always a full object: a falsy input is no input to Rego. */
export interface PolicyInput extends PolicyFacts {
  /** Only with `policy.compat: authorino`. */
  readonly auth?: { readonly identity: JsonObject };
}

/** What every policy sees. */
export interface PolicyFacts {
  readonly identity: PolicyCaller;
  readonly mcp: PolicyOperation;
  readonly request: PolicyRequest;
}

export type PolicyCaller = Pick<Identity, "issuer" | "subject" | "username" | "groups" | "scopes" | "claims">;

export interface PolicyOperation {
  readonly method: string;
  readonly server: string | null;
  readonly kind: Kind | null;
  readonly name: string | null;
  readonly arguments: JsonObject;
  readonly version: string;
}

export interface PolicyRequest {
  readonly host: string;
  readonly path: string;
  readonly sourceIp: string;
  /** Seconds since the epoch: Rego in WASM has no clock. */
  readonly time: number;
  readonly headers: Readonly<Record<string, string>>;
}

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
