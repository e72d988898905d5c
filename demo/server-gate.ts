// What the demo's servers ask of whoever comes: a credential that they know, or a token for them. Who goes around the gateway is
// refused by the server itself [CL-03]. Pure, but for the keys of tokens.
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import { jwtVerify, type JWTVerifyGetKey } from "jose";

/** SHA-256 of credentials, in hex: who reads the file has none of them. */
export type KnownCredentials = readonly string[];

/** Tokens of one issuer for one server (RFC 9068). */
export interface AcceptedTokens {
  readonly audience: string;
  readonly keys: JWTVerifyGetKey;
}

export const known = (...credentials: readonly string[]): KnownCredentials =>
  credentials.map((credential) => sha256(credential).toString("hex"));

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function credentialIn({ authorization, "x-api-key": key }: IncomingHttpHeaders): string | null {
  if (typeof key === "string") return key;
  return /^Bearer (.+)$/.exec(authorization ?? "")?.[1] ?? null;
}

export function isKnown(headers: IncomingHttpHeaders, credentials: KnownCredentials): boolean {
  const credential = credentialIn(headers);
  if (credential === null) return false;
  const hash = sha256(credential);
  return credentials.some((hex) => hex.length === 2 * hash.length && timingSafeEqual(hash, Buffer.from(hex, "hex")));
}

export async function isTokenFor(headers: IncomingHttpHeaders, { audience, keys }: AcceptedTokens): Promise<boolean> {
  const token = credentialIn(headers);
  if (token === null) return false;
  const expected = { audience, typ: "at+jwt", algorithms: ["ES256"], requiredClaims: ["exp", "sub"] };
  return jwtVerify(token, keys, expected).then(
    () => true,
    () => false,
  );
}

export function refuseStranger(response: ServerResponse): void {
  response.writeHead(401, { "content-type": "application/json", "www-authenticate": "Bearer" });
  response.end(JSON.stringify({ error: "unauthorized", message: "This server knows no such credential" }));
}
