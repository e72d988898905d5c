// Reads the P-256 keys that sign wristbands and assertions, and makes the JWK Set of their public halves (RFC 7517). I/O: key files.
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { ConfigProblem } from "../files/config-problem.ts";
import { errorCode } from "../files/read-error.ts";

export interface SigningKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
  /** The public half as a JWK, to be published. */
  readonly jwk: Readonly<Record<string, string>>;
}

/** One entry of `wristband.keys` or `assertions.keys`. */
interface KeyFile {
  readonly kid: string;
  readonly file: string;
}

/**
 * Reads the P-256 private keys of the configuration.
 * @throws {ConfigProblem} that names the key and the remedy
 */
export function loadSigningKeys(keys: readonly KeyFile[], section = "wristband"): SigningKey[] {
  return keys.map((_, i) => loadSigningKey(keys, i, section));
}

/** Reads one of the private keys, as {@link loadSigningKeys} does. */
export function loadSigningKey(keys: readonly KeyFile[], i: number, section = "wristband"): SigningKey {
  const { kid = "", file = "" } = keys[i] ?? {};
  if (keys.findIndex((other) => other.kid === kid) !== i)
    throw new ConfigProblem(`${section}.keys[${i}].kid`, `${kid} comes twice; give each key its own`);
  const fail = (why: string) =>
    new ConfigProblem(
      `${section}.keys[${i}]`,
      `${file} ${why}. Make one: openssl ecparam -name prime256v1 -genkey -noout -out ${file}`,
    );
  const privateKey = readPrivateKey(file);
  if (typeof privateKey === "string") throw fail(privateKey);
  if (privateKey.asymmetricKeyType !== "ec" || privateKey.asymmetricKeyDetails?.namedCurve !== "prime256v1")
    throw fail("is not a P-256 key");
  const { x = "", y = "" } = createPublicKey(privateKey).export({ format: "jwk" });
  return { kid, privateKey, jwk: { kty: "EC", crv: "P-256", x, y, kid, alg: "ES256", use: "sig" } };
}

/** Reads a key, or returns its fault. */
function readPrivateKey(file: string): KeyObject | string {
  try {
    return createPrivateKey(readFileSync(file));
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT") return "does not exist";
    if (code === "EACCES") return "cannot be read by this user";
    return "is no private key in PEM form without a passphrase";
  }
}

/** Makes the JWK Set that serve publishes (RFC 7517 §5): public halves only. */
export function publicKeySet(keys: readonly SigningKey[]): string {
  return JSON.stringify({ keys: keys.map(({ jwk }) => jwk) });
}
