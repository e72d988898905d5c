// What is asked about a path that is no MCP endpoint, and what its policy says (docs/opa-envoy.md). Types only.
import type { JsonObject } from "../json/types.ts";
import type { AuthzRequest, PolicyCaller, PolicyRequest } from "./types.ts";

/** One request to a path of the host. */
export interface HostQuestion {
  readonly request: AuthzRequest;
  /** The verified caller; null where nothing was presented. */
  readonly caller: PolicyCaller | null;
  readonly described: PolicyRequest;
  /** Headers that carry a credential of the caller's for this gateway: policy does not see their values. */
  readonly hidden: ReadonlySet<string>;
}

/** Header lines by name, in lower case; several values of one name in their order. */
export type HeaderLines = ReadonlyMap<string, readonly string[]>;

/** The response that policy gives in place of ours. */
export interface PolicyAnswer {
  readonly status: number;
  readonly headers: HeaderLines;
  readonly body: string;
}

/** Changes of the query, in their order. */
export interface QueryChange {
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly remove: readonly string[];
}

interface Said {
  /** Revision of the policy. */
  readonly revision: string;
  /** Members of the dynamic metadata. */
  readonly metadata: JsonObject;
}

/** The decision on one request. Names of headers are tokens in lower case, and values can be headers; nothing else is checked. */
export type HostDecision =
  | (Said & {
      readonly allow: true;
      /** For the server. */
      readonly headers: HeaderLines;
      readonly remove: readonly string[];
      /** Added to the response. */
      readonly responseHeaders: HeaderLines;
      readonly query: QueryChange;
    })
  | (Said & {
      readonly allow: false;
      /** Null for our own refusal. */
      readonly answer: PolicyAnswer | null;
    });

export type HostAllow = Extract<HostDecision, { allow: true }>;
