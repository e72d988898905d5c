// Both readers of JWK Sets: an issuer's, which leaves out what it cannot use, and serve's own, which takes all or nothing.
import { KID, NO_KID, readKeySet, readWholeKeySet } from "../../../src/jose/key-set.ts";
import { must, type Target } from "./target.ts";

// Public parts of keys that nothing else uses: the kept inputs hold them too.
const EC = {
  kty: "EC",
  x: "buZgPQMu2qQbWs89ebZUe_aRZJuXuaAKIOVbyzL1gUk",
  y: "LsysV7X_uf0oCT8pBhjKKD2d7zdgJlcz_hTqh-1aX4A",
  crv: "P-256",
};
const RSA = {
  kty: "RSA",
  n: "tSRMx2Rl3OK_Oyaz0xTgbilKGk3oRb4tj7PO0e08Y23p3cpeC0FgPN9Os-xJETx9FXF3oVY3YcXOlMndHFEnzjvV8tyDm3B96xd5I9SklxStX1Tj4ViajAkbWsioioDNytc0dOYqwUBIaznWZenh6M_QGAoO0Rf7NbpiCuKTEPkxnuh4fFRqnqocHIqKO76asqbdfz0r7mBpW4z6vcGbj4cNWtSuLHgzcBETFEp0ImJqnK60c1iP7iisbgtJjZFb6_qVg09LvsOOjSePAZVOSe3CVFkLOotkcWFdAwzIEjG7j5XbpBHUeFQvgQpoeBaILI-yetmS8wxeokI09vhX0w",
  e: "AQAB",
};
const OKP = { crv: "Ed25519", x: "BRrtmn_dcAsHeda5xTP7f6kTtwhXI4fv1lY3VL0IooE", kty: "OKP" };
const set = (...keys: readonly object[]) => JSON.stringify({ keys });

export const keys: Target = {
  seeds: [
    set({ ...EC, kid: "a", alg: "ES256", use: "sig" }),
    set({ ...RSA, kid: "b", key_ops: ["verify"] }, { ...OKP, kid: "c" }),
    set({ ...EC, kid: "a" }, { ...EC, kid: "a" }),
    set({ ...EC }, { ...RSA }),
    set({ kty: "oct", k: "AA", kid: "x" }),
  ],
  tokens: [
    ...[
      "{",
      "}",
      "[",
      "]",
      '"',
      ",",
      ":",
      '"d":"AA"',
      '"kid":"z"',
      '"alg":"none"',
      '"alg":"ES512"',
      '"use":"enc"',
      '"crv":"P-521"',
    ],
    ...[
      '"kty":"RSA"',
      '"e":"Aw"',
      '"e":"AQ"',
      '"n":"AQAB"',
      '"x":""',
      '"y":"="',
      '"crv":"secp256k1"',
      '"key_ops":[]',
      "null",
      "A".repeat(43),
    ],
  ],
  run(bytes) {
    const read = readKeySet(bytes);
    if (typeof read === "string")
      must(read.length < 800 && /^[ -~]+$/.test(read), "a long fault, or one with parts of the document");
    else for (const [kid, key] of read) checkKey(kid, key);
    const whole = readWholeKeySet(bytes, "ES256");
    if (typeof whole === "string") return;
    must(!whole.has(NO_KID), "a key of ours without kid");
    for (const { key } of whole.values()) must(key.asymmetricKeyDetails?.namedCurve === "prime256v1", "another curve");
    must(typeof read !== "string" && read.size === whole.size, "a whole set that is none");
  },
};

function checkKey(
  kid: string,
  { key, algorithms }: { key: { type: string; asymmetricKeyDetails?: object }; algorithms: readonly string[] },
): void {
  must(KID.test(kid) || kid === NO_KID, "a kid that is none");
  must(key.type === "public" && algorithms.length > 0, "a key that is none");
  const { modulusLength } = (key.asymmetricKeyDetails ?? {}) as { modulusLength?: number };
  must(modulusLength === undefined || modulusLength >= 2048, "a weak key");
}
