// The credential kind `none`. Pure.
import type { CredentialSource } from "./source.ts";

/** Makes the source for a server without credentials: the caller's token is removed and nothing replaces it. */
export function noneSource(): CredentialSource {
  const lookup = { found: { kind: "none" as const, header: "authorization", value: null } };
  return { kind: "none", get: () => lookup };
}
