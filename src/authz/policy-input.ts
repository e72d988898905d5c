// Makes the policy input of a Check. Pure.
import { hostName } from "./endpoint.ts";
import type { CheckFacts } from "./facts.ts";
import type { LocalTimes } from "./local-time.ts";
import type {
  AskedOfPolicy,
  AuthzRequest,
  Identity,
  PolicyCaller,
  PolicyFacts,
  PolicyInput,
  PolicyRequest,
} from "./types.ts";

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
      // Vouched for are the facts of a verified token: policy sees what it sees of the token itself.
      const authentication = {
        kind,
        method: method === "vouched" ? ("jwt" as const) : method,
        amr,
        acr,
        auth_time: authTime,
      };
      caller = { issuer, subject, username, groups, scopes, ...authentication, claims };
      callers.set(identity, caller);
    }
    return caller;
  };
}

/** The policy input; with `compat: authorino`, the claims stand at `auth.identity` too, where Authorino has them. */
function policyInput(facts: PolicyFacts, compat: "authorino" | null): PolicyInput {
  return compat === "authorino" ? { ...facts, auth: { identity: facts.identity.claims } } : facts;
}

export interface InputSettings {
  /** Headers that policy sees. */
  readonly policyHeaders: readonly string[];
  readonly compat: "authorino" | null;
}

/** What the input of one Check is made of. */
export interface InputSources {
  readonly settings: InputSettings;
  readonly shared: { readonly localTimes: (seconds: number) => LocalTimes | null };
  readonly request: Pick<AuthzRequest, "host" | "path" | "headers">;
  readonly facts: Pick<CheckFacts, "path" | "sourceIp" | "arrivedAt">;
}

/** The headers that policy sees. */
export function policyHeadersOf(
  { policyHeaders }: Pick<InputSettings, "policyHeaders">,
  received: AuthzRequest["headers"],
): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of policyHeaders) {
    const value = received.get(name);
    if (value !== undefined) headers[name] = value;
  }
  return headers;
}

/** The policy input for one operation of a Check. */
export function inputOf(sources: InputSources, identity: PolicyCaller, mcp: AskedOfPolicy): PolicyInput {
  return policyInput({ identity, mcp, request: describedRequest(sources) }, sources.settings.compat);
}

/** The part of the input that says what was requested, when and from where. */
export function describedRequest({ settings, shared, request, facts }: InputSources): PolicyRequest {
  const headers = policyHeadersOf(settings, request.headers);
  const host = hostName(request.host);
  const path = facts.path ?? request.path;
  const time = Math.floor(facts.arrivedAt / 1000);
  const local = shared.localTimes(time);
  return { host, path, sourceIp: facts.sourceIp ?? "", time, headers, ...(local !== null && { local }) };
}
