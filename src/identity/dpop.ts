// Checks proofs of possession of a token's key (DPoP, RFC 9449 §4.3). Pure but for the memory of used proofs.
import { hash } from "node:crypto";
import { calculateJwkThumbprint, compactVerify, errors, importJWK, type JWK } from "jose";
import { PROOF_ALGORITHMS } from "../authz/challenge.ts";
import type { ProofOfRequest } from "../authz/types.ts";
import { readClaims, splitToken } from "../jose/compact.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";
import type { UsedProof, UsedProofs } from "./shared-proofs.ts";

/** What a proof must belong to. */
export interface BoundToken {
  readonly token: string;
  /** `cnf.jkt`: the SHA-256 thumbprint of the key (RFC 7638). */
  readonly jkt: string;
}

/** Seconds for which a proof may be used, and for which a client's clock may be ahead. */
const MAX_AGE = 60;
const MAX_AHEAD = 10;
const MAX_PROOF = 8192;
const MAX_URL = 2048;
/** Members of private keys (RFC 7518 §6): whoever sends one has lost it. */
const PRIVATE = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
const HEADER_MEMBERS = new Set(["typ", "alg", "jwk"]);

export interface ProofCheckOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Proofs that are remembered at a time, in all and of one key. */
  readonly maxProofs?: number;
  readonly maxPerKey?: number;
  /** Where threads share what was used; else it is remembered here. */
  readonly used?: UsedProofs | null;
}

/** Returns null for a proof that holds and was not used before, else its fault; `full` where nothing more can be remembered. */
export type ProofCheck = (request: ProofOfRequest, bound: BoundToken) => Promise<string | null>;

/**
 * Makes the check. A proof counts once: its `jti` is remembered for as long as it could be used. When the memory is full, proofs
 * are refused and none is forgotten. Proofs from before the start are refused: another thread may have seen them.
 */
export function createProofCheck(options: ProofCheckOptions): ProofCheck {
  const { now, maxProofs = 200_000, maxPerKey = 8192 } = options;
  const used = options.used ?? new OwnProofs({ startedAt: Math.floor(now() / 1000), maxProofs, maxPerKey });
  let latest = 0; // a clock that is set back must not make old proofs new
  return async (request, bound) => {
    const parts = request.proof.length > MAX_PROOF ? "too long" : splitToken(request.proof);
    if (typeof parts === "string") return parts;
    const key = keyOf(parts.header);
    if (typeof key === "string") return key;
    const claims = readClaims(parts.payload);
    if (typeof claims === "string") return claims;
    latest = Math.max(latest, now() / 1000);
    const fault =
      faultOfClaims(claims, request, bound) ?? faultOfTime(claims["iat"], { startedAt: used.startedAt, now: latest });
    if (fault !== null) return fault;
    if (!(await isSigned(request.proof, key))) return "signature";
    if ((await calculateJwkThumbprint(key.jwk, "sha256")) !== bound.jkt) return "the key is not the token's";
    return used.add({ jkt: bound.jkt, jti: JSON.stringify(claims["jti"]), iat: Number(claims["iat"]) }, latest);
  };
}

interface ProofKey {
  readonly jwk: JWK;
  readonly alg: string;
}

function keyOf(header: JsonObject): ProofKey | string {
  const { typ, alg, jwk } = header;
  if (typ !== "dpop+jwt") return "typ";
  if (typeof alg !== "string" || !PROOF_ALGORITHMS.includes(alg)) return "alg";
  if (!Object.keys(header).every((name) => HEADER_MEMBERS.has(name))) return "a header member that no proof has";
  if (typeof jwk !== "object" || jwk === null || Array.isArray(jwk)) return "jwk";
  if (PRIVATE.some((name) => name in jwk)) return "jwk holds a private key";
  return { jwk: Object.fromEntries(Object.entries(jwk)), alg };
}

async function isSigned(proof: string, { jwk, alg }: ProofKey): Promise<boolean> {
  try {
    const key = await importJWK(jwk, alg);
    if (key instanceof Uint8Array) return false;
    await compactVerify(proof, key, { algorithms: [alg] });
    return true;
  } catch (error) {
    // A key of another form is a TypeError of jose, or a DOMException of the Web Crypto API.
    if (error instanceof errors.JOSEError || error instanceof TypeError || error instanceof DOMException) return false;
    throw error;
  }
}

function faultOfClaims({ jti, htm, htu, ath }: JsonObject, request: ProofOfRequest, bound: BoundToken): string | null {
  if (typeof jti !== "string" || jti === "" || jti.length > 256) return "jti";
  if (htm !== request.method) return "htm";
  const url = withoutQuery(request.url);
  if (url === null || typeof htu !== "string" || withoutQuery(htu) !== url) return "htu";
  return ath === hash("sha256", bound.token, "base64url") ? null : "ath";
}

/** RFC 9449 §4.3: compared after normalization (RFC 3986 §6.2.2, §6.2.3), without query and fragment; null for no such URL. */
function withoutQuery(text: string): string | null {
  if (text.length > MAX_URL || !/^https?:\/\/[^/?#\\@]+(?:[/?#]|$)/i.test(text)) return null;
  const url = URL.parse(text);
  // The path byte for byte: the endpoint table knows no other spelling.
  return url === null ? null : `${url.origin} ${/^[^:]+:\/\/[^/?#]+([^?#]*)/.exec(text)?.[1] ?? ""}`;
}

function faultOfTime(
  iat: JsonValue | undefined,
  at: { readonly startedAt: number; readonly now: number },
): string | null {
  if (typeof iat !== "number" || !Number.isFinite(iat)) return "iat";
  if (iat < at.startedAt) return "made before this process started";
  return iat < at.now - MAX_AGE || iat > at.now + MAX_AHEAD ? "iat, if this machine's clock is right" : null;
}

/** Two generations, each at least as long as a proof can be used. */
class OwnProofs implements UsedProofs {
  readonly startedAt: number;
  readonly #maxProofs: number;
  readonly #maxPerKey: number;
  #current = new Set<string>();
  #before = new Set<string>();
  #perKey = new Map<string, number>();
  #since = 0;

  constructor({ startedAt, maxProofs, maxPerKey }: Readonly<Record<"startedAt" | "maxProofs" | "maxPerKey", number>>) {
    this.startedAt = startedAt;
    this.#maxProofs = maxProofs;
    this.#maxPerKey = maxPerKey;
  }

  /** @param now seconds since the epoch, never less than before */
  add({ jkt, jti }: UsedProof, now: number): string | null {
    if (now - this.#since > MAX_AGE + MAX_AHEAD) this.#turn(now);
    const name = hash("sha256", JSON.stringify([jkt, jti]), "base64url");
    if (this.#current.has(name) || this.#before.has(name)) return "was used before";
    const count = this.#perKey.get(jkt) ?? 0;
    if (this.#current.size >= this.#maxProofs || count >= this.#maxPerKey) return "full";
    this.#current.add(name);
    this.#perKey.set(jkt, count + 1);
    return null;
  }

  #turn(now: number): void {
    this.#before = this.#current;
    this.#current = new Set();
    this.#perKey = new Map();
    this.#since = now;
  }
}
