import type { JsonObject } from "../mcp/json.ts";
import type { Kind } from "../mcp/operation.ts";
import type { Identity } from "./ports.ts";

/** What policy may see, design 4.3. No tokens, no body bytes. Always a full object: a falsy input is no input to Rego. */
export interface PolicyInput {
  readonly identity: {
    readonly issuer: string;
    readonly subject: string;
    readonly username: string | null;
    readonly groups: readonly string[];
    readonly scopes: readonly string[];
    readonly claims: JsonObject;
  };
  readonly mcp: PolicyOperation;
  readonly request: PolicyRequest;
  /** Only with `policy.compat: authorino`. */
  readonly auth?: { readonly identity: JsonObject };
}

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

export function policyInput(
  identity: Identity,
  mcp: PolicyOperation,
  request: PolicyRequest,
  compat: "authorino" | null,
): PolicyInput {
  const { issuer, subject, username, groups, scopes, claims } = identity;
  const input = { identity: { issuer, subject, username, groups, scopes, claims }, mcp, request };
  return compat === "authorino" ? { ...input, auth: { identity: claims } } : input;
}
