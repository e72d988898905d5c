// Whether a verified token may be used as it was sent: alone, or with a proof of its key (RFC 9449 §7). Pure but for the proofs' memory.
import { createFairTurns } from "../authz/fair-turns.ts";
import { sourceOf } from "../authz/source.ts";
import { pass, refuse, type Refused, type Step } from "../authz/step.ts";
import type { TokenIdentity, TokenUse } from "../authz/types.ts";
import { createProofCheck, type ProofCheckOptions } from "./dpop.ts";

/** Whether an issuer's tokens may be, or must be, bound to a key. */
export type DpopMode = "off" | "accepted" | "required";

/** A verified token, and how it was sent. */
export interface Possessed {
  readonly token: string;
  readonly identity: TokenIdentity;
  /** Thumbprint of the key to which the token is bound; null for none. */
  readonly jkt: string | null;
  readonly mode: DpopMode;
  readonly use: TokenUse | string;
  readonly signal: AbortSignal;
}

/** Proofs whose signature is being verified: as many as uncached tokens. */
const PROOFS = { perTurn: 2, maxActive: 16, maxPerKey: 1024, maxWaiting: 2048 };
const CROWDED = refuse("rate_limited", "too many proofs wait for their verification");

/** Judges whether a token came with what it is bound to. It remembers used proofs, so that it must outlive a change of issuers. */
export type Possession = ReturnType<typeof createPossession>;

/** Makes the judgement. A bound token without its proof is refused whatever the issuer's mode is. */
export function createPossession(options: ProofCheckOptions) {
  const check = createProofCheck(options);
  const turns = createFairTurns(PROOFS);
  return (possessed: Possessed): Step<TokenIdentity> | Promise<Step<TokenIdentity>> => {
    const { token, identity, jkt, mode, use, signal } = possessed;
    const not = (detail: string): Refused => ({ ...refuse("proof_invalid", detail), caller: identity });
    const proof = typeof use === "string" ? undefined : use.proof;
    if (jkt === null) {
      if (proof !== undefined) return not("the token is bound to no key");
      return mode === "required" ? not("the issuer's tokens must be bound to a key") : pass(identity);
    }
    if (typeof use === "string" || proof === undefined)
      return not("the token is bound to a key, and came without its proof");
    const verify = async () => ({ fault: await check(proof, { token, jkt }) });
    return turns.run(sourceOf(use.source), verify, signal).then((done): Step<TokenIdentity> => {
      if (typeof done !== "object")
        return done === "full" ? CROWDED : refuse("deadline", "before the proof's turn came");
      if (done.fault === "full") return { ...refuse("rate_limited", "too many proofs at a time"), caller: identity };
      return done.fault === null ? pass(identity) : not(`proof: ${done.fault}`);
    });
  };
}
