// The values that the pipeline and its ports exchange. Types only.
import type { Reason } from "./refusal.ts";
import type { JsonObject } from "../json/types.ts";
import type { Kind } from "../mcp/operation.ts";
import type { LocalTimes } from "./local-time.ts";
import type { Secret } from "../secret/secret.ts";

/** Request headers, names in lower case. Several lines of one name are joined by ",", as in Envoy. */
export interface RequestHeaders {
  get(name: string): string | undefined;
  /** True if the data plane sent the name more than once. */
  repeated(name: string): boolean;
  names(): Iterable<string>;
}

export type RequestBody =
  | { readonly kind: "none" }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  /** Sent as a string: the data plane may have replaced bytes that were not UTF-8. */
  | { readonly kind: "text"; readonly bytes: Uint8Array }
  | { readonly kind: "partial" };

/** One HTTP request as the data plane describes it, parsed once, never written to. Nothing in it is verified. */
export interface AuthzRequest {
  readonly method: string;
  /** Without the query, byte for byte as the data plane routes it. */
  readonly path: string;
  /** The part behind the first "?", or null without one. */
  readonly query: string | null;
  readonly host: string;
  readonly headers: RequestHeaders;
  readonly body: RequestBody;
  /** The TCP peer of the data plane, without port. */
  readonly peer: string;
  /** Name in the peer's verified client certificate; absent or "" without one. */
  readonly principal?: string;
  /** The rest of the data plane's description, read when it is asked for: null if it is malformed; absent where there is none. */
  readonly attributes?: () => JsonObject | null;
}

/** A verified caller. Only one that came with a token of its own has one that can be shown to others. */
export type Identity = TokenIdentity | TokenlessIdentity;

/** The caller, from a token whose signature, issuer, audience, lifetime and type were verified. */
export interface TokenIdentity extends Caller {
  readonly method: "jwt";
  /** The caller's own token: subject of an exchange, never sent upstream. */
  readonly token: Secret;
}

/**
 * A caller with a key of the configuration, one whom a trusted proxy names, one without any credential, or one whose token a
 * trusted party has verified (`vouched`, AuthZEN). There is no token of its own, so nothing can be exchanged or passed on.
 */
export interface TokenlessIdentity extends Caller {
  readonly method: "api_key" | "proxy" | "development" | "anonymous" | "vouched";
  /** Names of the servers that may be reached; null for all. */
  readonly opens: ReadonlySet<string> | null;
}

/** What is known of a caller, however it proved who it is. */
interface Caller {
  readonly issuer: string;
  readonly subject: string;
  readonly username: string | null;
  readonly groups: readonly string[];
  readonly scopes: readonly string[];
  /** A person, or a program that acts for itself. */
  readonly kind: "user" | "machine";
  /** Methods of the person's authentication (RFC 8176); empty if unknown. */
  readonly amr: readonly string[];
  /** Class of that authentication (OpenID Connect Core §2); null if unknown. */
  readonly acr: string | null;
  /** Its time in seconds since the epoch; null if unknown. */
  readonly authTime: number | null;
  /** Actors that have a `sub`, the current one first (RFC 8693 §4.1). */
  readonly actors: readonly string[];
  /** All claims of the token; objects without a prototype. */
  readonly claims: JsonObject;
  /** Seconds since the epoch. */
  readonly expiresAt: number;
}

/** What the author of the policy says of a decision: for audit and `why` only. */
interface AuthorsWords {
  /** The SHA-256 of policy, data and settings, in hex. */
  readonly revision: string;
  /** The author's `reason`; one that a rule computed is masked, for it may hold values of the request. */
  readonly note: string | null;
  /** The reason that is masked in `note`: never for a log. */
  readonly computed?: string;
  /** The author's names of what decided, sorted. */
  readonly labels?: readonly string[];
}

/** The decision of policy on one operation. */
export type Decision =
  | (AuthorsWords & { readonly allow: true })
  | (AuthorsWords & {
      readonly allow: false;
      /** Present if the same request with these scopes would be allowed. */
      readonly requiredScopes: readonly string[] | null;
      /** Present if the same request after such a log-in would be allowed. */
      readonly stepUp?: StepUp | null;
    });

/** The log-in that an operation needs (RFC 9470 §3). */
export interface StepUp {
  /** Any of these classes; empty for none. */
  readonly acrValues: readonly string[];
  /** Seconds since the log-in; null for any. */
  readonly maxAge: number | null;
  /** Scopes that the token must hold as well. */
  readonly scopes: readonly string[];
}

export type AllowDecision = Extract<Decision, { allow: true }>;
export type DenyDecision = Extract<Decision, { allow: false }>;

export type CredentialKind = "vault" | "exchange" | "client_credentials" | "assertion" | "static" | "none";

/** The origin of a credential in the audit line: never a value, never a token. */
export interface CredentialOrigin {
  /** Mount and path of a Vault entry. */
  readonly path?: string;
  /** Version of the Vault entry. */
  readonly version?: number;
  /** Audience of a token exchange. */
  readonly audience?: string;
  /** Actors of the exchanged token, the current one first (RFC 8693 §4.1). */
  readonly actors?: readonly string[];
}

/** A header and its whole value. */
export interface HeaderPart {
  readonly header: string;
  readonly value: Secret;
}

/** The credential that a server gets in place of the caller's token. `value` is the header value; null for kind `none`. */
export interface Credential {
  readonly kind: CredentialKind;
  /** Name of a header, or a place in the query (`credential-parts.ts`). */
  readonly header: string;
  readonly value: Secret | null;
  /** Further headers of the same credential. */
  readonly more?: readonly HeaderPart[];
  /** For a value that is signed for one call: what it says of the caller, without times and id. */
  readonly stable?: string;
  /** Who calls, signed for this call, beside the credential. */
  readonly assertion?: HeaderPart & { readonly stable: string };
  readonly origin?: CredentialOrigin;
  /** True if it was fetched for another Check: its server may know a newer one. */
  readonly isCached?: boolean;
}

/** A credential, and the only place that it goes to (destination.ts). */
export interface BoundCredential extends Credential {
  readonly destination: string;
}

/** Names that a caller may see or use, per server; each list sorted. */
export interface Visible {
  readonly tools: Readonly<Record<string, readonly string[]>>;
  readonly prompts: Readonly<Record<string, readonly string[]>>;
  readonly resources: Readonly<Record<string, readonly string[]>>;
}

/** Names that policy allows in a list, and the revision that allowed them. */
export interface ListDecision {
  readonly revision: string;
  readonly names: Visible;
}

/** Where the credentials of a request go, by server. */
export type Destinations = Readonly<Record<string, string>>;

/** The use of a wristband of one call. It holds the digest of the body that policy saw: the broker accepts no other. */
export interface CallWristbandUse {
  readonly use: "call";
  readonly body: Uint8Array;
  readonly destinations: Destinations;
  readonly policy?: string | undefined;
  /** Its credential came out of a cache, and can be fetched anew if the server refuses it. */
  readonly isRefetchable?: boolean;
  /** `traceparent` of the Check's span, so that the broker records the call too; absent for a call that is not sampled. */
  readonly trace?: string | undefined;
}

/** The use of a wristband. `policy`: the revision that allowed the names. */
export type WristbandUse =
  /** `merged`: names of all servers. If not all names fit into the wristband, each server has a share. */
  | { readonly use: "list"; readonly merged: boolean; readonly policy?: string | undefined }
  | CallWristbandUse
  /** For the one stream of `subscriptions/listen` that this body asks for: it names the resources that it tells of. */
  | {
      readonly use: "listen";
      readonly body: Uint8Array;
      readonly destinations: Destinations;
      readonly policy?: string | undefined;
    }
  /** For the caller's own MCP session: it names nothing. */
  | { readonly use: "session" }
  | RefusalWristbandUse;

/**
 * The use of a wristband of a refused request, which the broker tells her on her stream of HTTP+SSE. It names nothing and
 * allows nothing.
 */
export interface RefusalWristbandUse {
  readonly use: "refusal";
  readonly refusal: ToldRefusal;
}

/** What a client is told of a refusal (step.ts). */
export interface ToldRefusal {
  readonly reason: Reason;
  /** Of the Check that refused. */
  readonly requestId: string;
  readonly rpcCode?: number | undefined;
  readonly help?: string | undefined;
  readonly about?: string | undefined;
  readonly extension?: string | undefined;
  readonly limitBytes?: number | undefined;
  readonly retryAfterSeconds?: number | undefined;
}

export interface Wristband {
  readonly jws: string;
  readonly jti: string;
  /** Servers whose names did not all fit, in ascending order. */
  readonly leftOut: readonly string[];
}

/** The endpoint and the client address with which a token was presented. */
export interface TokenUse {
  /** The resource URL of the endpoint, one of the accepted audiences. */
  readonly resource: string;
  /** Another name of the endpoint, an accepted audience too. */
  readonly namedResource?: string | null;
  /** Client address; failed verifications are counted by it. */
  readonly source: string;
  /** Present if the token came with a proof of its key. */
  readonly proof?: ProofOfRequest;
}

/** A proof of possession (RFC 9449 §4), and the request that it must be for. */
export interface ProofOfRequest {
  readonly proof: string;
  readonly method: string;
  /** The public URL of the request; its query does not count. */
  readonly url: string;
}

/** The policy input. No tokens, no body bytes. Always a full object: to Rego a falsy input is no input. */
export interface PolicyInput extends PolicyFacts {
  /** Only with `policy.compat: authorino`. */
  readonly auth?: { readonly identity: JsonObject };
}

/** The part of the policy input that does not depend on `policy.compat`. */
export interface PolicyFacts {
  readonly identity: PolicyCaller;
  readonly mcp: AskedOfPolicy;
  readonly request: PolicyRequest;
}

export interface PolicyCaller extends Pick<
  Identity,
  "issuer" | "subject" | "username" | "groups" | "scopes" | "kind" | "method" | "amr" | "acr" | "claims"
> {
  readonly auth_time: number | null;
}

export interface PolicyOperation {
  readonly method: string;
  readonly server: string | null;
  readonly kind: Kind | null;
  readonly name: string | null;
  readonly arguments: JsonObject;
  readonly version: string;
}

/** The same; with `listing`, the name is asked for to be listed, not called. */
export type AskedOfPolicy = PolicyOperation & { readonly listing?: true };

export interface PolicyRequest {
  readonly host: string;
  readonly path: string;
  readonly sourceIp: string;
  /** Seconds since the epoch: Rego in WASM has no clock. */
  readonly time: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The same time in each of `policy.zones`; absent without any. */
  readonly local?: LocalTimes;
}
