// The port `signWristband`: signs wristbands as compact JWS with ES256 (RFC 7515 §7.1, RFC 7518 §3.4). Pure but for keys and
// clock, which are passed in.
import { hash, randomUUID, sign as signBytes } from "node:crypto";
import { LRUCache } from "lru-cache";
import { clientOf } from "../authz/client-id.ts";
import { pass, refuse, type Step } from "../authz/step.ts";
import type { Identity, RefusalWristbandUse, Visible, Wristband, WristbandUse } from "../authz/types.ts";
import { bodyDigest, MAX_LIFETIME_SECONDS, WRISTBAND_TYPE, type SignedClaims } from "./claims.ts";
import { packNames, type NameClaim, type PackedNames, type RevisedNames } from "./compact-names.ts";
import { fitNames } from "./fitting.ts";
import type { SigningKey } from "./keys.ts";

export interface SignerOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly ttlSeconds: number;
  /** The current keys; the first one signs. */
  readonly keys: () => readonly SigningKey[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Where the broker reaches this process to have a call's credential fetched anew, `host:port`. */
  readonly refetchAt?: string | null;
  readonly onCache?: (result: "hit" | "miss") => void;
  /** The names that a server lists now, as the broker knows them too; without it all names stay in plain form. */
  readonly listed?: (server: string) => RevisedNames | undefined;
  /** Called with the servers whose names did not all fit into the wristband for a list of all servers. */
  readonly onLeftOut?: (servers: readonly string[]) => void;
}

/** Envoy and broker take 64 KiB of headers; a wristband is one of them. */
export const MAX_JWS_BYTES = 32 * 1024;
const MAX_REUSED = 10_000;
const MAX_REUSED_BYTES = 32 * 1024 * 1024;

/** A signature that may be used again. */
interface CacheEntry extends Pick<Wristband, "jws" | "jti"> {
  readonly iat: number;
  readonly exp: number;
}

/**
 * Makes the signer. Synchronous node:crypto costs a quarter of a WebCrypto job. A wristband for lists is used again while all
 * claims but `iat`, `exp` and `jti` are the same, it ends no later than the caller's token, and more than half of its life is
 * left; so is one for sessions. A wristband that holds the digest of a body is not cached.
 */
export function createSigner(
  options: SignerOptions,
): (identity: Identity, visible: Visible, use: WristbandUse) => Step<Wristband> {
  const reusable = new LRUCache<string, CacheEntry>({ max: MAX_REUSED, maxSize: MAX_REUSED_BYTES });
  return (identity, visible, use) => {
    const signing = signingFor(options, identity);
    if (!signing.ok) return signing;
    const draft: Draft = { options, identity, visible, ...signing.value };
    if (use.use === "refusal") return refusalWristband(draft, use);
    return "body" in use ? boundWristband(draft, use) : reusableWristband(draft, use, reusable);
  };
}

/** The key and the times of a new wristband. */
interface Signing {
  readonly key: SigningKey;
  readonly times: Pick<SignedClaims, "iat" | "exp" | "jti">;
}

/** The content of a new wristband. */
interface Draft extends Signing {
  readonly options: SignerOptions;
  readonly identity: Identity;
  readonly visible: Visible;
}

function signingFor(options: SignerOptions, { expiresAt }: Identity): Step<Signing> {
  const now = Math.floor(options.now() / 1000);
  const [key] = options.keys();
  if (key === undefined) return refuse("internal", "no wristband key");
  const ttl = Math.min(options.ttlSeconds, MAX_LIFETIME_SECONDS, expiresAt - now);
  if (!(ttl > 0)) return refuse("token_expired");
  return pass({ key, times: { iat: now, exp: now + ttl, jti: randomUUID() } });
}

type BoundUse = Extract<WristbandUse, { body: Uint8Array }>;

function boundWristband({ options, identity, visible, key, times }: Draft, use: BoundUse): Step<Wristband> {
  const names = sortedNames(visible);
  const { refetchAt = null } = options;
  const isRefetchable = use.use === "call" && use.isRefetchable === true;
  const refetch = isRefetchable && refetchAt !== null ? { refetch: refetchAt } : {};
  const { destinations } = use;
  const trace = use.use === "call" && use.trace !== undefined ? { trace: use.trace } : {};
  const bound = {
    use: use.use,
    body: bodyDigest(use.body),
    destinations,
    ...policyClaim(use.policy),
    ...refetch,
    ...trace,
  };
  const entry = signClaims(key, { ...callerClaims(options, identity), ...names, ...bound, ...times });
  return entry.ok ? pass({ ...wristbandOf(entry.value), leftOut: [] }) : entry;
}

function refusalWristband({ options, identity, key, times }: Draft, use: RefusalWristbandUse): Step<Wristband> {
  const entry = signClaims(key, { ...callerClaims(options, identity), ...sortedNames(NO_NAMES), ...use, ...times });
  return entry.ok ? pass({ ...wristbandOf(entry.value), leftOut: [] }) : entry;
}

function reusableWristband(
  draft: Draft,
  use: Exclude<WristbandUse, BoundUse | RefusalWristbandUse>,
  reusable: LRUCache<string, CacheEntry>,
): Step<Wristband> {
  const { options, identity, key, times } = draft;
  const { shown, leftOut } = use.use === "list" ? fittingNames(draft, use) : NOTHING;
  if (leftOut.length > 0) options.onLeftOut?.(leftOut);
  const given = use.use === "list" ? policyClaim(use.policy) : {};
  const same = { ...callerClaims(options, identity), ...shown, ...given, use: use.use };
  // The cache key is every signed claim but those three. JSON of a list of fixed length is injective.
  const digest = hash("sha256", JSON.stringify([key.kid, same]), "base64url");
  const before = reusable.get(digest);
  const isReused = before !== undefined && isFresh(before, times.iat, identity.expiresAt);
  options.onCache?.(isReused ? "hit" : "miss");
  if (isReused) return pass({ ...wristbandOf(before), leftOut });
  const entry = signClaims(key, { ...same, ...times });
  if (!entry.ok) return entry;
  reusable.set(digest, entry.value, { size: entry.value.jws.length });
  return pass({ ...wristbandOf(entry.value), leftOut });
}

/** The names of a list: packed where they are many, and those of a list of all servers cut where they do not fit even so. */
function fittingNames(
  { options, identity, visible, key, times }: Draft,
  { merged, policy }: Extract<WristbandUse, { use: "list" }>,
) {
  const none = { ...callerClaims(options, identity), ...NO_NAMES, ...policyClaim(policy), use: "list", ...times };
  const room = merged ? roomBeside(headerOf(key), none) : Infinity;
  const { cat, ...packed } = packNames(sortedNames(visible), options.listed ?? (() => undefined));
  const shown = { ...packed, cat };
  if (Object.keys(cat).length > 0 && Buffer.byteLength(JSON.stringify(shown)) <= room) return { shown, leftOut: [] };
  const fitting = fitNames(visible, room);
  return { shown: sortedNames(fitting.shown), leftOut: fitting.leftOut };
}

function wristbandOf({ jws, jti }: CacheEntry): Pick<Wristband, "jws" | "jti"> {
  return { jws, jti };
}

function headerOf({ kid }: SigningKey): object {
  return { alg: "ES256", typ: WRISTBAND_TYPE, kid };
}

function signClaims(key: SigningKey, claims: UnsignedClaims): Step<CacheEntry> {
  const input = signingInput(headerOf(key), claims);
  const size = input.length + SIGNATURE_CHARS;
  if (size > MAX_JWS_BYTES) return refuse("wristband_too_large", `${size} bytes`);
  const { jti, iat, exp } = claims;
  return pass({ jws: appendSignature(input, key), jti, iat, exp });
}

/** Claims before their signature: names packed or plain. */
type UnsignedClaims = Record<NameClaim, PackedNames["tools"]> &
  Pick<SignedClaims, "iat" | "exp" | "jti"> & { readonly cat?: PackedNames["cat"] };

function callerClaims({ issuer, audience }: SignerOptions, identity: Identity) {
  return {
    iss: issuer,
    aud: audience,
    sub: identity.subject,
    idp: identity.issuer,
    client: clientOf(identity),
    caller_exp: identity.expiresAt,
  };
}

function policyClaim(policy: string | undefined): { policy?: string } {
  return policy === undefined ? {} : { policy };
}

function sortedNames({ tools, prompts, resources }: Visible): Record<keyof Visible, Record<string, string[]>> {
  return { tools: ascending(tools), prompts: ascending(prompts), resources: ascending(resources) };
}

const NO_NAMES: Visible = { tools: {}, prompts: {}, resources: {} };
const NOTHING = { shown: NO_NAMES, leftOut: [] };

/** The bytes that header, signature and other claims leave for names, exactly. base64url makes four bytes of three. */
function roomBeside(header: object, claims: object): number {
  const chars = MAX_JWS_BYTES - SIGNATURE_CHARS - 1 - base64(header).length;
  return Math.floor((chars * 3) / 4) - Buffer.byteLength(JSON.stringify(claims));
}

/** Sorts servers and names and removes duplicates; a server without names is left out. */
function ascending(names: Visible["tools"]): Record<string, string[]> {
  const servers = Object.entries(names).filter(([, list]) => list.length > 0);
  servers.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(servers.map(([server, list]) => [server, [...new Set(list)].sort()]));
}

/** True if a signature may be used again. One whose `iat` is ahead is not: a clock that was set back would prolong its life. */
function isFresh({ iat, exp }: CacheEntry, now: number, expiresAt: number): boolean {
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

function appendSignature(input: string, { privateKey }: SigningKey): string {
  const signature = signBytes("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" });
  return `${input}.${signature.toString("base64url")}`;
}

/** Makes a compact JWS with ES256's 64-byte signature. */
export function signCompact(header: object, claims: object, key: SigningKey): string {
  return appendSignature(signingInput(header, claims), key);
}
