import { randomUUID } from "node:crypto";
import type { SigningKey } from "./keys.ts";
import { signCompact } from "./sign.ts";
import { verifyCompact, type FindKey } from "./verify.ts";

/** `typ` of the token with which serve reads the broker's catalogue (design 4.3). */
const CATALOG_TYPE = "catalog+jwt";
const LIFETIME_SECONDS = 60;

export interface CatalogParties {
  readonly issuer: string;
  /** Of wristbands; the catalogue's is `<audience>/catalog`. */
  readonly audience: string;
}

export function signCatalogToken({ issuer, audience }: CatalogParties, key: SigningKey, now: number): string {
  const iat = Math.floor(now / 1000);
  const claims = { iss: issuer, aud: `${audience}/catalog`, iat, exp: iat + LIFETIME_SECONDS, jti: randomUUID() };
  return signCompact({ alg: "ES256", typ: CATALOG_TYPE, kid: key.kid }, claims, key);
}

/** True for a token of serve that is valid now. */
export function isCatalogToken(
  { issuer, audience }: CatalogParties,
  token: string,
  findKey: FindKey,
  now: number,
): boolean {
  const claims = verifyCompact(token, CATALOG_TYPE, findKey);
  if (typeof claims === "string") return false;
  const { iss, aud, exp } = claims;
  return (
    iss === issuer &&
    aud === `${audience}/catalog` &&
    typeof exp === "number" &&
    exp > now / 1000 &&
    exp <= now / 1000 + 2 * LIFETIME_SECONDS
  );
}
