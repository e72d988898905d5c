import type { CredentialSource } from "./source.ts";

/** A server that wants no credential: the caller's token is removed and nothing takes its place. */
export function noneSource(): CredentialSource {
  const answer = { found: { kind: "none" as const, header: "authorization", value: null } };
  return { kind: "none", get: () => answer };
}
