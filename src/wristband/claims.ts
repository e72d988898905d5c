// The claims of a wristband: the signed token by which the broker knows a caller (RFC 7519). Pure.
import { hash } from "node:crypto";
import { z } from "zod";
import { MAX_CLIENT } from "../authz/client-id.ts";
import { DESTINATION } from "../authz/destination.ts";
import { REFUSALS, type Reason } from "../authz/refusal.ts";
import type { Kind } from "../mcp/operation.ts";
import { NAME_CLAIMS, REVISION_CHARS, type NameClaim } from "./compact-names.ts";
import { SERVER_NAME, type Target } from "../mcp/resolver.ts";

/** `typ` of a wristband, which no other token has (RFC 8725 §3.11). */
export const WRISTBAND_TYPE = "wristband+jwt";

/** Longest lifetime that a verifier accepts, whatever `ttlSeconds` the signer has. */
export const MAX_LIFETIME_SECONDS = 3600;

/** An address of a listener: a name, an IPv4 address, or an IPv6 address in brackets. */
const HOST_AND_PORT = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$/;

/** Of version 00, and sampled. */
const TRACEPARENT = /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/;

const text = z.string().min(1).max(2048);
const seconds = z.int().positive();
const server = z.string().regex(SERVER_NAME);
/** Strictly ascending by code unit: sorted, and each name once. */
const names = z.record(
  server,
  z.array(text).refine((list) => list.every((name, i) => i === 0 || (list[i - 1] ?? "") < name)),
);

/** Names of a server as a list, or as a bitset over a revision of its list in base64url. */
const packed = z.record(server, z.union([names.valueType, z.string().regex(/^[A-Za-z0-9_-]{2,4096}$/)]));
const nothing = names.refine((servers) => Object.keys(servers).length === 0);

const digest = z.string().regex(/^[A-Za-z0-9_-]{43}$/);

/** Where the credentials of a request go, by server: no broker that would send one elsewhere takes it. */
const destinations = z.record(server, z.string().regex(DESTINATION));

const common = z.strictObject({
  iss: text,
  aud: text,
  sub: text,
  /** The caller's issuer. */
  idp: text,
  /** The client that the caller's token was issued to (`azp`, else `client_id`); "" if the token does not say. */
  client: z.string().max(MAX_CLIENT),
  iat: seconds,
  exp: seconds,
  jti: text,
  /** `exp` of the caller's own token, in seconds since the epoch: it ends every stream of the caller. */
  caller_exp: seconds,
  /** The revision of the policy that gave the names; absent where there are none. */
  policy: z.string().min(1).max(128).optional(),
  tools: names,
  prompts: names,
  resources: names,
});

const told = z.string().max(8192);
/** What the caller is told of a refused request. */
const refusal = z.strictObject({
  reason: z.enum(Object.keys(REFUSALS) as [Reason, ...Reason[]]),
  requestId: text,
  about: told.optional(),
  help: told.optional(),
  extension: told.optional(),
  rpcCode: z.int().optional(),
  limitBytes: seconds.optional(),
  retryAfterSeconds: z.number().nonnegative().optional(),
});

/**
 * The claims: the caller, the caller's issuer, and the names that the caller may see, per server and sorted. `use` is `list` to
 * show the names, `call` for the one call that is named, `listen` for the one stream that tells of what is named, `session` for
 * the caller's own MCP session, or `refusal` for a request that is refused, which both name nothing. A
 * wristband of one use is never accepted for another.
 */
export const signedClaims = z.discriminatedUnion("use", [
  common.extend({
    use: z.literal("list"),
    ...{ tools: packed, prompts: packed, resources: packed },
    /** The revision of each server with a bitset; absent where there is none. */
    cat: z.record(server, z.string().length(REVISION_CHARS)).default({}),
  }),
  common.extend({ use: z.literal("session"), tools: nothing, prompts: nothing, resources: nothing }),
  common.extend({ use: z.literal("refusal"), tools: nothing, prompts: nothing, resources: nothing, refusal }),
  common.extend({
    use: z.literal("call"),
    body: digest,
    destinations,
    /** Where serve fetches the call's credential anew, `host:port`; absent for one that was fetched for this call. */
    refetch: z.string().max(300).regex(HOST_AND_PORT).optional(),
    /** `traceparent` of the Check's span (W3C Trace Context); absent for a call that is not sampled. */
    trace: z.string().regex(TRACEPARENT).optional(),
  }),
  common.extend({ use: z.literal("listen"), body: digest, destinations, tools: nothing, prompts: nothing }),
]);

/** Makes the key of a caller. JSON of a list of fixed length is injective. */
export function callerKey({ idp, sub }: Pick<WristbandClaims, "idp" | "sub">): string {
  return JSON.stringify([idp, sub]);
}

/** Makes the claim `body` of a call or stream: the SHA-256 of the body that the Check saw, in base64url. */
export function bodyDigest(body: Uint8Array): string {
  return hash("sha256", body, "base64url");
}

/** Where the credential for a server may go, of a request that has one; own members only. */
export function destinationIn(claims: WristbandClaims, server: string): string | null {
  if (!("destinations" in claims) || !Object.hasOwn(claims.destinations, server)) return null;
  return claims.destinations[server] ?? null;
}

/** The claims as they are signed: a list may be packed. */
export type SignedClaims = z.output<typeof signedClaims>;
type SignedList = Extract<SignedClaims, { use: "list" }>;

/** The claims of a verified wristband, with every name. */
export type WristbandClaims =
  | Exclude<SignedClaims, SignedList>
  | (Omit<SignedList, NameClaim | "cat"> & Readonly<Record<NameClaim, z.output<typeof names>>>);

/**
 * Returns the names of one server, none if the wristband does not have it. Own members only: `constructor` is a possible name
 * of a server.
 */
export function namesOf(claims: Pick<WristbandClaims, NameClaim>, kind: NameClaim, server: string): readonly string[] {
  return Object.hasOwn(claims[kind], server) ? (claims[kind][server] ?? []) : [];
}

const CLAIM_OF: Readonly<Record<Kind, NameClaim>> = {
  tool: "tools",
  prompt: "prompts",
  resource: "resources",
};

/** True if the claims name this one operation and nothing else. @param kind null for what no wristband can name */
export function namesExactly(claims: WristbandClaims, kind: Kind | null, { server, name }: Target): boolean {
  if (kind === null) return false;
  return NAME_CLAIMS.every((claim) => {
    const servers = Object.entries(claims[claim]);
    if (claim !== CLAIM_OF[kind]) return servers.length === 0;
    const [only] = servers;
    return servers.length === 1 && only?.[0] === server && only[1].length === 1 && only[1][0] === name;
  });
}
