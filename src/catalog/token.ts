// The token with which serve reads the broker's catalogue, and tells its policy revision: a compact ES256 JWS of one minute
// (RFC 7519, RFC 8725). Pure.
import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { SigningKey } from "../wristband/keys.ts";
import { signCompact } from "../wristband/sign.ts";
import { verifyCompact, type FindKey } from "../wristband/verify.ts";

/** `typ` of the token, which no other token has. */
const CATALOG_TYPE = "catalog+jwt";
const LIFETIME_SECONDS = 60;
const SKEW_SECONDS = 60;

export interface CatalogParties {
  readonly issuer: string;
  /** Audience of wristbands; that of the token is `<audience>/catalog`. */
  readonly audience: string;
}

/** The serve that reads the catalogue. */
export interface CatalogReader {
  /** Another one for each start. */
  readonly instance: string;
  /** The revision of the policy that it has live. */
  readonly policy: string;
}

const text = z.string().min(1).max(128);
const seconds = z.int().positive();
const catalogClaims = z.strictObject({
  iss: z.string(),
  aud: z.string(),
  iat: seconds,
  exp: seconds,
  jti: text,
  instance: text,
  policy: text,
});

/** The parties, keys and clock of a verification. */
export interface CatalogVerifier {
  readonly parties: CatalogParties;
  readonly findKey: FindKey;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Signs a token. It is short-lived and for serve alone, because the catalogue shows the names of all servers. */
export function signCatalogToken(
  { issuer, audience, instance, policy }: CatalogParties & CatalogReader,
  key: SigningKey,
  now: number,
): string {
  const iat = Math.floor(now / 1000);
  const times = { iat, exp: iat + LIFETIME_SECONDS, jti: randomUUID() };
  const claims = { iss: issuer, aud: catalogAudience(audience), ...times, instance, policy };
  return signCompact({ alg: "ES256", typ: CATALOG_TYPE, kid: key.kid }, claims, key);
}

/** The serve that signed a catalogue token which is valid now; null for any other token. */
export function catalogReaderOf(token: string, { parties, findKey, now }: CatalogVerifier): CatalogReader | null {
  const read = verifyCompact(token, CATALOG_TYPE, findKey);
  const parsed = catalogClaims.safeParse(read.ok ? read.claims : null);
  if (!parsed.success) return null;
  const { iss, aud, iat, exp, instance, policy } = parsed.data;
  const at = now() / 1000;
  const isTimely = exp > at && iat <= at + SKEW_SECONDS && exp > iat && exp - iat <= LIFETIME_SECONDS;
  const isOurs = iss === parties.issuer && aud === catalogAudience(parties.audience);
  return isOurs && isTimely ? { instance, policy } : null;
}

function catalogAudience(audience: string): string {
  return `${audience}/catalog`;
}
