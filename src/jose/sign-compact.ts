// Signs compact JWS (RFC 7515 §7.1) with a key of the configuration. Pure.
import { constants, sign as signBytes, type KeyObject } from "node:crypto";

/** Algorithms of RFC 7518 §3.1 that we sign with. */
export type SigningAlgorithm = "ES256" | "RS256" | "PS256";

/** Signs header and claims. @throws {Error} for a key that is not of the algorithm */
export function signCompactJws(
  { alg, ...header }: { readonly alg: SigningAlgorithm } & Readonly<Record<string, string>>,
  claims: object,
  privateKey: KeyObject,
): string {
  const input = `${base64({ alg, ...header })}.${base64(claims)}`;
  const signature = signBytes("sha256", Buffer.from(input), { key: privateKey, ...PARAMETERS[alg] });
  return `${input}.${signature.toString("base64url")}`;
}

const PARAMETERS = {
  ES256: { dsaEncoding: "ieee-p1363" },
  RS256: { padding: constants.RSA_PKCS1_PADDING },
  PS256: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 },
} as const;

/** Least bits of an RSA key (RFC 7518 §3.3). */
const RSA_BITS = 2048;

/** What is wrong with a key for this algorithm, or null. */
export function faultOfKey(key: KeyObject, alg: SigningAlgorithm): string | null {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (alg === "ES256") return type === "ec" && details?.namedCurve === "prime256v1" ? null : "is not a P-256 key";
  if (type !== "rsa") return "is not an RSA key";
  return (details?.modulusLength ?? 0) >= RSA_BITS ? null : `is an RSA key of less than ${RSA_BITS} bits`;
}

function base64(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
