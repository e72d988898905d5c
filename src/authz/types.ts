// The values that the pipeline and its ports hand to each other. Types only.
import type { JsonObject } from "../json/types.ts";
import type { Kind } from "../mcp/operation.ts";
import type { Secret } from "../secret/secret.ts";

/** Request headers, names in lower case. Several lines of one name are joined by "," as Envoy does. */
export interface RequestHeaders {
  get(name: string): string | undefined;
  /** True if the data plane told us that the name came more than once. */
  repeated(name: string): boolean;
  names(): Iterable<string>;
}

export type RequestBody =
  | { readonly kind: "none" }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  /** Sent as text: the data plane may have replaced bytes that were not UTF-8. */
  | { readonly kind: "text"; readonly bytes: Uint8Array }
  | { readonly kind: "partial" };

/** One HTTP request as the data plane describes it, parsed once, never written to. Nothing in it is verified. */
export interface AuthzRequest {
  readonly method: string;
  /** Without the query, byte for byte as the data plane routes it. */
  readonly path: string;
  /** What follows the first "?", or null without one. */
  readonly query: string | null;
  readonly host: string;
  readonly headers: RequestHeaders;
  readonly body: RequestBody;
  /** The TCP peer of the data plane, without port. */
  readonly peer: string;
}

/** Who the caller is, out of a token whose signature, issuer, audience, lifetime and type were verified. */
export interface Identity {
  readonly issuer: string;
  readonly subject: string;
  readonly username: string | null;
  readonly groups: readonly string[];
  readonly scopes: readonly string[];
  /** All claims of the token; objects that inherit no names. */
  readonly claims: JsonObject;
  /** Seconds since the epoch. */
  readonly expiresAt: number;
  /** The caller's own token: subject of an exchange, never sent upstream. */
  readonly token: Secret;
}

/** What policy said of one operation. `revision` is the SHA-256 of policy and data, in hex. */
export type Decision =
  | { readonly allow: true; readonly revision: string; readonly note: string | null }
  | {
      readonly allow: false;
      readonly revision: string;
      /** The author's `reason`: audit and `why` only. */
      readonly note: string | null;
      /** Present if the same request with these scopes would be allowed. */
      readonly requiredScopes: readonly string[] | null;
    };

export type Allowed = Extract<Decision, { allow: true }>;

export type CredentialKind = "vault" | "exchange" | "static" | "none";

/** Where a credential comes from, as the audit line names it: never a value, never a token. */
export interface CredentialOrigin {
  /** Mount and path of an entry in a Vault, and the version that was read. */
  readonly path?: string;
  readonly version?: number;
  /** That an exchange asked for. */
  readonly audience?: string;
  /** Who acts by the exchanged token, the current one first. */
  readonly actors?: readonly string[];
}

/** What goes upstream in place of the caller's token. `value` is the whole header value; null for kind `none`. */
export interface Credential {
  readonly kind: CredentialKind;
  readonly header: string;
  readonly value: Secret | null;
  readonly origin?: CredentialOrigin;
}

/** Names that a caller may see or use, per server; each list sorted. */
export interface Visible {
  readonly tools: Readonly<Record<string, readonly string[]>>;
  readonly prompts: Readonly<Record<string, readonly string[]>>;
  readonly resources: Readonly<Record<string, readonly string[]>>;
}

/** What a wristband is for (design 4.6). That of a call names the body that policy saw: the broker takes no other. */
export type WristbandUse =
  /** `merged`: of all servers. If not all names have room in a wristband, each server has its share. */
  { readonly use: "list"; readonly merged: boolean } | { readonly use: "call"; readonly body: Uint8Array };

export interface Wristband {
  readonly jws: string;
  readonly jti: string;
  /** Servers of which not all names had room, in ascending order. */
  readonly leftOut: readonly string[];
}

/** Where a token was presented, and by whom. */
export interface TokenUse {
  /** The endpoint's own resource URL, one of the audiences that are accepted. */
  readonly resource: string;
  /** The client's address, which tokens that fail are counted for. */
  readonly source: string;
}

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
