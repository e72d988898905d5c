import { createHash, randomUUID, sign as signBytes } from "node:crypto";
import { pass, refuse, type Step } from "../authz/outcome.ts";
import type { Identity, Visible, Wristband } from "../authz/ports.ts";
import { WRISTBAND_TYPE, type WristbandClaims } from "./claims.ts";
import type { SigningKey } from "./keys.ts";

export interface SignerOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly ttlSeconds: number;
  /** The keys that are in force; the first signs. */
  readonly keys: () => readonly SigningKey[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly onCache?: (result: "hit" | "miss") => void;
}

/** Envoy and broker take 64 KiB of headers; a wristband is one of them. */
const MAX_JWS_BYTES = 32 * 1024;
const MAX_REUSED = 10_000;

interface Signed extends Wristband {
  readonly exp: number;
  readonly ttl: number;
  readonly kid: string;
}

/**
 * Signs wristbands: ES256 by synchronous node:crypto, which costs a quarter of a WebCrypto job. A signature is used
 * again while all its claims but `iat`, `exp` and `jti` are the same, it ends no later than this caller's token, and more
 * than half of its life is left.
 */
export function createSigner(options: SignerOptions): (identity: Identity, visible: Visible) => Step<Wristband> {
  const reusable = new Map<string, Signed>();
  return (identity, visible) => {
    const now = Math.floor(options.now() / 1000);
    const [key] = options.keys();
    if (key === undefined) return refuse("internal", "no wristband key");
    const ttl = Math.min(options.ttlSeconds, identity.expiresAt - now);
    if (ttl <= 0) return refuse("token_expired");
    const same = {
      iss: options.issuer,
      aud: options.audience,
      sub: identity.subject,
      idp: identity.issuer,
      caller_exp: identity.expiresAt,
      ...visible,
    };
    const digest = createHash("sha256")
      .update(JSON.stringify([key.kid, same]))
      .digest("base64url");
    const before = reusable.get(digest);
    if (before !== undefined && before.exp <= identity.expiresAt && (before.exp - now) * 2 > before.ttl) {
      options.onCache?.("hit");
      return pass(before);
    }
    options.onCache?.("miss");
    const claims: WristbandClaims = { ...mutable(same), iat: now, exp: now + ttl, jti: randomUUID() };
    const jws = signCompact({ alg: "ES256", typ: WRISTBAND_TYPE, kid: key.kid }, claims, key);
    if (jws.length > MAX_JWS_BYTES) return refuse("wristband_too_large", `${jws.length} bytes`);
    const signed: Signed = { jws, jti: claims.jti, exp: claims.exp, ttl, kid: key.kid };
    remember(reusable, digest, signed);
    return pass(signed);
  };
}

/** A compact JWS (RFC 7515 §7.1) with ES256's 64-byte signature (RFC 7518 §3.4). */
export function signCompact(header: object, claims: object, { privateKey }: SigningKey): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const input = `${part(header)}.${part(claims)}`;
  const signature = signBytes("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" });
  return `${input}.${signature.toString("base64url")}`;
}

function mutable<T extends Visible>(
  claims: T,
): Omit<T, keyof Visible> & Pick<WristbandClaims, "tools" | "prompts" | "resources"> {
  return claims as unknown as Omit<T, keyof Visible> & Pick<WristbandClaims, "tools" | "prompts" | "resources">;
}

function remember(reusable: Map<string, Signed>, digest: string, signed: Signed): void {
  reusable.delete(digest);
  reusable.set(digest, signed);
  if (reusable.size <= MAX_REUSED) return;
  const oldest = reusable.keys().next();
  if (!oldest.done) reusable.delete(oldest.value);
}
