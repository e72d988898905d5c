// How many Checks may wait for a credential: a Vault that answers late must not hold all Checks of the data plane. Pure.
import { createFairTurns } from "./fair-turns.ts";
import { refuse, type Step } from "./step.ts";
import type { Credential, Identity } from "./types.ts";

/** Waits for a credential on behalf of this caller. */
export type CredentialWaits = (
  caller: Identity,
  asked: Promise<Step<Credential>>,
  signal: AbortSignal,
) => Promise<Step<Credential>>;

/** Of the 4,096 Checks that Envoy has under way at a time, an eighth in all, and of one caller as many as calls by default. */
const LIMITS = { perTurn: Infinity, maxActive: 512, maxPerKey: 64, maxWaiting: 0 };
const TOO_MANY = refuse("rate_limited", "too many calls wait for a credential");

export function createCredentialWaits(): CredentialWaits {
  const waits = createFairTurns(LIMITS);
  return async ({ issuer, subject }, asked, signal) => {
    asked.catch(() => {}); // also where nobody waits for it
    const step = await waits.run(JSON.stringify([issuer, subject]), () => asked, signal);
    return typeof step === "object" ? step : TOO_MANY;
  };
}
