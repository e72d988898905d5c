// `mcp-authz/wristband` (docs/api.md): verifies the token by which serve names a caller (docs/wristband.md). No I/O.
// Compact JWS (RFC 7515) with ES256, keys as JWK Set (RFC 7517).
import type { KeyObject } from "node:crypto";
import { readWholeKeySet, withSameObjects, type KeySet } from "../jose/key-set.ts";
import { destinationOf } from "../authz/destination.ts";
import type { Kind } from "../mcp/operation.ts";
import { bodyDigest, destinationIn, namesExactly, type WristbandClaims } from "../wristband/claims.ts";
import { createVerifier } from "../wristband/verify.ts";

export { namesOf, type WristbandClaims } from "../wristband/claims.ts";

/** A wristband that is not taken, whatever the reason: answer 403. The message is for your log: it holds no value of the token. */
export class WristbandError extends Error {
  override readonly name = "WristbandError";
}

export interface WristbandVerifierOptions {
  /** `wristband.issuer` and `wristband.audience` of serve's configuration. */
  readonly issuer: string;
  readonly audience: string;
  /** Milliseconds since 1970; default `Date.now`. */
  readonly now?: () => number;
}

/** The one call that a wristband is asked to carry. */
export interface WristbandCall {
  readonly server: string;
  readonly kind: Kind;
  /** Without the server's prefix. */
  readonly name: string;
  /** `servers.NAME.url` as it is written for the server that you would call: the credential is for no other. */
  readonly url: string;
  /** The request's body, byte for byte as it came. */
  readonly body: Uint8Array;
}

export interface WristbandVerifier {
  /**
   * Replaces all keys: before the first use, then every 10 s. Without keys nothing is taken.
   * @param jwkSet the body of serve's `/.well-known/jwks.json`
   * @throws {Error} if it is no set of P-256 public keys; then the keys stay
   */
  setKeys(jwkSet: Uint8Array): void;
  /** The claims of a wristband that shows what it names. @throws {WristbandError} */
  list(jws: string): WristbandClaims;
  /** The claims of a wristband that names exactly this call. @throws {WristbandError} */
  call(jws: string, call: WristbandCall): WristbandClaims;
}

/** Checks form, type, key, signature, claims, parties, times and use. It keeps up to 32 MiB of what it has verified. */
export function createWristbandVerifier(options: WristbandVerifierOptions): WristbandVerifier {
  let keys: KeySet = new Map();
  const findKey = (kid: string): KeyObject | undefined => keys.get(kid)?.key;
  const { issuer, audience, now = Date.now } = options;
  const verify = createVerifier({ issuer, audience, findKey, now });
  const claimsOf = (jws: string, use: WristbandClaims["use"]): WristbandClaims => {
    const verified = verify(jws);
    if (!verified.ok) throw new WristbandError(verified.fault);
    if (verified.value.use !== use) throw new WristbandError(`not for a ${use}`);
    return verified.value;
  };
  return {
    setKeys(jwkSet) {
      const read = readWholeKeySet(jwkSet, "ES256");
      if (typeof read === "string") throw new Error(read);
      keys = withSameObjects(read, keys);
    },
    list: (jws) => claimsOf(jws, "list"),
    call(jws, { server, kind, name, url, body }) {
      const claims = claimsOf(jws, "call");
      if (!namesExactly(claims, kind, { server, name })) throw new WristbandError("another operation");
      if (claims.use !== "call" || claims.body !== bodyDigest(body)) throw new WristbandError("another body");
      if (destinationIn(claims, server) !== destinationOf(url)) throw new WristbandError("another URL of this server");
      return claims;
    },
  };
}
