// Bounds the Checks that wait for a credential: a slow Vault must not hold all Checks of the data plane. Pure.
import { createFairTurns } from "./fair-turns.ts";
import { refuse, type Step } from "./step.ts";
import type { BoundCredential, Identity } from "./types.ts";

/** Waits for the credential of one caller, within the bounds. */
export type CredentialWaits = (
  caller: Identity,
  asked: Promise<Step<BoundCredential>>,
  signal: AbortSignal,
) => Promise<Step<BoundCredential>>;

/** All callers: an eighth of the 4,096 Checks that Envoy has in flight. One caller: the default limit of concurrent calls. */
export const LIMITS = { perTurn: Infinity, maxActive: 512, maxPerKey: 64, maxWaiting: 0 };
const TOO_MANY = refuse("rate_limited", "too many calls wait for a credential");

export function createCredentialWaits(): CredentialWaits {
  const waits = createFairTurns(LIMITS);
  return async ({ issuer, subject }, asked, signal) => {
    asked.catch(() => {}); // no unhandled rejection where the wait is refused
    const step = await waits.run(JSON.stringify([issuer, subject]), () => asked, signal);
    return typeof step === "object" ? step : TOO_MANY;
  };
}
