import { createPublicKey, type KeyObject } from "node:crypto";
import { z } from "zod";
import { readJson } from "../json/strict-reader.ts";

export interface PublicKey {
  readonly key: KeyObject;
  /** What makes it this key and no other. */
  readonly point: string;
}

const coordinate = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
/** P-256 only. A set that holds a private part (`d`) is refused as a whole: it should not be where it is. */
const jwkSet = z.object({
  keys: z
    .array(
      z.object({
        kty: z.literal("EC"),
        crv: z.literal("P-256"),
        x: coordinate,
        y: coordinate,
        kid: z.string().regex(/^[\x21-\x7e]{1,256}$/),
        alg: z.literal("ES256").optional(),
        use: z.literal("sig").optional(),
        d: z.undefined().optional(),
      }),
    )
    .min(1)
    .max(64),
});

/**
 * serve's keys by their `kid`, out of its JWK Set (RFC 7517 §5). It is ours, so anything unexpected in it refuses all.
 * @param before keys that are the same stay the same objects
 * @throws {Error} with a short reason
 */
export function readKeySet(bytes: Uint8Array, before: ReadonlyMap<string, PublicKey>): ReadonlyMap<string, PublicKey> {
  const json = readJson(bytes);
  const parsed = jwkSet.safeParse(json.ok ? json.value : null);
  if (!parsed.success) throw new Error("not a set of P-256 public keys");
  const keys = new Map<string, PublicKey>();
  for (const { kty, crv, x, y, kid } of parsed.data.keys) {
    if (keys.has(kid)) throw new Error("a kid comes twice");
    const point = `${x}.${y}`;
    const same = before.get(kid);
    // Throws for a point that is not on the curve.
    const read = () => createPublicKey({ key: { kty, crv, x, y }, format: "jwk" });
    keys.set(kid, same?.point === point ? same : { key: read(), point });
  }
  return keys;
}
