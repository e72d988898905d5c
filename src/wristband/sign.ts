import { hash, randomUUID, sign as signBytes } from "node:crypto";
import { LRUCache } from "lru-cache";
import { pass, refuse, type Step } from "../authz/step.ts";
import type { Identity, Visible, Wristband, WristbandUse } from "../authz/types.ts";
import { bodyDigest, MAX_LIFETIME_SECONDS, WRISTBAND_TYPE, type WristbandClaims } from "./claims.ts";
import { fitting } from "./fitting.ts";
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
  /** Told of which servers not all names had room in a list of all servers. */
  readonly onLeftOut?: (servers: readonly string[]) => void;
}

/** Envoy and broker take 64 KiB of headers; a wristband is one of them. */
export const MAX_JWS_BYTES = 32 * 1024;
const MAX_REUSED = 10_000;
const MAX_REUSED_BYTES = 32 * 1024 * 1024;

interface Signed extends Pick<Wristband, "jws" | "jti"> {
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
  const reusable = new LRUCache<string, Signed>({ max: MAX_REUSED, maxSize: MAX_REUSED_BYTES });
  return (identity, visible, use) => {
    const begun = begin(options, identity);
    if (!begun.ok) return begun;
    const draft: Draft = { options, identity, visible, ...begun.value };
    return use.use === "call" ? callWristband(draft, use.body) : listWristband(draft, use.merged, reusable);
  };
}

interface Begun {
  readonly key: SigningKey;
  readonly times: Pick<WristbandClaims, "iat" | "exp" | "jti">;
}

/** What is to be signed, for whom, and when. */
interface Draft extends Begun {
  readonly options: SignerOptions;
  readonly identity: Identity;
  readonly visible: Visible;
}

function begin(options: SignerOptions, { expiresAt }: Identity): Step<Begun> {
  const now = Math.floor(options.now() / 1000);
  const [key] = options.keys();
  if (key === undefined) return refuse("internal", "no wristband key");
  const ttl = Math.min(options.ttlSeconds, MAX_LIFETIME_SECONDS, expiresAt - now);
  if (!(ttl > 0)) return refuse("token_expired");
  return pass({ key, times: { iat: now, exp: now + ttl, jti: randomUUID() } });
}

function callWristband({ options, identity, visible, key, times }: Draft, body: Uint8Array): Step<Wristband> {
  const made = make(key, {
    ...sameClaims(options, identity, visible),
    use: "call",
    body: bodyDigest(body),
    ...times,
  });
  return made.ok ? pass({ ...named(made.value), leftOut: [] }) : made;
}

function listWristband(draft: Draft, merged: boolean, reusable: LRUCache<string, Signed>): Step<Wristband> {
  const { options, identity, visible, key, times } = draft;
  const claimsFor = (names: Visible) => ({ ...sameClaims(options, identity, names), use: "list" as const });
  const room = merged ? roomBeside(headerOf(key), { ...claimsFor(NO_NAMES), ...times }) : Infinity;
  const { shown, leftOut } = fitting(visible, room);
  if (leftOut.length > 0) options.onLeftOut?.(leftOut);
  const same = claimsFor(shown);
  // The key of the cache is everything that is signed but the three: JSON of a list of fixed length is injective.
  const digest = hash("sha256", JSON.stringify([key.kid, same]), "base64url");
  const before = reusable.get(digest);
  const isReused = before !== undefined && isFresh(before, times.iat, identity.expiresAt);
  options.onCache?.(isReused ? "hit" : "miss");
  if (isReused) return pass({ ...named(before), leftOut });
  const made = make(key, { ...same, ...times });
  if (!made.ok) return made;
  reusable.set(digest, made.value, { size: made.value.jws.length });
  return pass({ ...named(made.value), leftOut });
}

function named({ jws, jti }: Signed): Pick<Wristband, "jws" | "jti"> {
  return { jws, jti };
}

function headerOf({ kid }: SigningKey): object {
  return { alg: "ES256", typ: WRISTBAND_TYPE, kid };
}

function make(key: SigningKey, claims: WristbandClaims): Step<Signed> {
  const input = signingInput(headerOf(key), claims);
  const size = input.length + SIGNATURE_CHARS;
  if (size > MAX_JWS_BYTES) return refuse("wristband_too_large", `${size} bytes`);
  const { jti, iat, exp } = claims;
  return pass({ jws: signed(input, key), jti, iat, exp });
}

type SameClaims = Omit<Extract<WristbandClaims, { use: "list" }>, "use" | "iat" | "exp" | "jti">;

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

const NO_NAMES: Visible = { tools: {}, prompts: {}, resources: {} };

/** Bytes for names, exactly: what the header, the signature and the other claims leave. base64url makes four bytes of three. */
function roomBeside(header: object, claims: object): number {
  const chars = MAX_JWS_BYTES - SIGNATURE_CHARS - 1 - base64(header).length;
  return Math.floor((chars * 3) / 4) - Buffer.byteLength(JSON.stringify(claims));
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
  return `${base64(header)}.${base64(claims)}`;
}

function base64(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function signed(input: string, { privateKey }: SigningKey): string {
  const signature = signBytes("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" });
  return `${input}.${signature.toString("base64url")}`;
}

/** A compact JWS (RFC 7515 §7.1) with ES256's 64-byte signature (RFC 7518 §3.4). */
export function signCompact(header: object, claims: object, key: SigningKey): string {
  return signed(signingInput(header, claims), key);
}
