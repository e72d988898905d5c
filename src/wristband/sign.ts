import { hash, randomUUID, sign as signBytes } from "node:crypto";
import { pass, refuse, type Step } from "../authz/outcome.ts";
import type { Identity, Visible, Wristband, WristbandUse } from "../authz/ports.ts";
import { createBoundedMap } from "./bounded-map.ts";
import { bodyDigest, MAX_LIFETIME_SECONDS, WRISTBAND_TYPE, type WristbandClaims } from "./claims.ts";
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
const MAX_REUSED_BYTES = 32 * 1024 * 1024;

interface Signed extends Wristband {
  readonly iat: number;
  readonly exp: number;
}

/**
 * Signs wristbands: ES256 by synchronous node:crypto, which costs a quarter of a WebCrypto job. A signature is used
 * again while all its claims but `iat`, `exp` and `jti` are the same, it ends no later than this caller's token, and
 * more than half of its life is left. That of a call names its body, so it is never used again and not kept.
 */
export function createSigner(
  options: SignerOptions,
): (identity: Identity, visible: Visible, use: WristbandUse) => Step<Wristband> {
  const reusable = createBoundedMap<Signed>(MAX_REUSED, MAX_REUSED_BYTES);
  return (identity, visible, use) => {
    const now = Math.floor(options.now() / 1000);
    const [key] = options.keys();
    if (key === undefined) return refuse("internal", "no wristband key");
    const ttl = Math.min(options.ttlSeconds, MAX_LIFETIME_SECONDS, identity.expiresAt - now);
    if (!(ttl > 0)) return refuse("token_expired");
    const same = { ...sameClaims(options, identity, visible), ...useClaims(use) };
    const isReused = use.use === "list";
    // The key of the cache is everything that is signed but the three: JSON of a list of fixed length is injective.
    const digest = isReused ? hash("sha256", JSON.stringify([key.kid, same]), "base64url") : "";
    const before = isReused ? reusable.get(digest) : undefined;
    if (before !== undefined && isFresh(before, now, identity.expiresAt)) {
      options.onCache?.("hit");
      return pass({ jws: before.jws, jti: before.jti });
    }
    if (isReused) options.onCache?.("miss");
    const claims: WristbandClaims = { ...same, iat: now, exp: now + ttl, jti: randomUUID() };
    const input = signingInput({ alg: "ES256", typ: WRISTBAND_TYPE, kid: key.kid }, claims);
    const size = input.length + SIGNATURE_CHARS;
    if (size > MAX_JWS_BYTES) return refuse("wristband_too_large", `${size} bytes`);
    const jws = signed(input, key);
    if (isReused) reusable.set(digest, { jws, jti: claims.jti, iat: claims.iat, exp: claims.exp }, jws.length);
    return pass({ jws, jti: claims.jti });
  };
}

type UseClaims = { readonly use: "list" } | { readonly use: "call"; readonly body: string };
type SameClaims = Omit<Extract<WristbandClaims, { use: "list" }>, "use" | "iat" | "exp" | "jti">;

function useClaims(use: WristbandUse): UseClaims {
  return use.use === "call" ? { use: use.use, body: bodyDigest(use.body) } : use;
}

function sameClaims({ issuer, audience }: SignerOptions, identity: Identity, visible: Visible): SameClaims {
  return {
    iss: issuer,
    aud: audience,
    sub: identity.subject,
    idp: identity.issuer,
    caller_exp: identity.expiresAt,
    tools: ascending(visible.tools),
    prompts: ascending(visible.prompts),
    resources: ascending(visible.resources),
  };
}

/** Servers and names in ascending order and each once; a server without a name is left out. */
function ascending(names: Visible["tools"]): Record<string, string[]> {
  const servers = Object.entries(names).filter(([, list]) => list.length > 0);
  servers.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(servers.map(([server, list]) => [server, [...new Set(list)].sort()]));
}

/** A clock that was put back makes `iat` lie ahead: such a signature is not used, or it would live on and on. */
function isFresh({ iat, exp }: Signed, now: number, expiresAt: number): boolean {
  return iat <= now && exp <= expiresAt && (exp - now) * 2 > exp - iat;
}

/** 64 bytes in base64url, and the dot before them. */
const SIGNATURE_CHARS = 87;

function signingInput(header: object, claims: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part(header)}.${part(claims)}`;
}

function signed(input: string, { privateKey }: SigningKey): string {
  const signature = signBytes("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" });
  return `${input}.${signature.toString("base64url")}`;
}

/** A compact JWS (RFC 7515 §7.1) with ES256's 64-byte signature (RFC 7518 §3.4). */
export function signCompact(header: object, claims: object, key: SigningKey): string {
  return signed(signingInput(header, claims), key);
}
