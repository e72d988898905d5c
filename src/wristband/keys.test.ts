import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, expect, it } from "vitest";
import { loadSigningKeys, publicKeySet } from "./keys.ts";

const folder = mkdtempSync(join(tmpdir(), "wristband-keys-"));
afterAll(() => rmSync(folder, { recursive: true }));

function pem(name: string, key: KeyObject, options: object = {}): string {
  const file = join(folder, `${name}.pem`);
  const type = key.type === "public" ? "spki" : "pkcs8";
  writeFileSync(file, key.export({ type, format: "pem", ...options } as never));
  return file;
}

const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
const file = pem("p256", p256.privateKey);

it("reads a P-256 key in either PEM form, and publishes its public half alone", () => {
  const sec1 = pem("sec1", p256.privateKey, { type: "sec1" });
  const keys = loadSigningKeys([
    { kid: "a", file },
    { kid: "b", file: sec1 },
  ]);
  const set = JSON.parse(publicKeySet(keys)) as { keys: Record<string, string>[] };
  expect(set.keys.map(({ kid }) => kid)).toEqual(["a", "b"]);
  for (const jwk of set.keys) {
    expect(Object.keys(jwk).toSorted()).toEqual(["alg", "crv", "kid", "kty", "use", "x", "y"]);
    expect(jwk).toMatchObject({ kty: "EC", crv: "P-256", alg: "ES256", use: "sig" });
    expect(createPublicKey({ key: jwk, format: "jwk" }).equals(p256.publicKey)).toBe(true);
  }
});

it("F07: no way of printing a key shows the private part", () => {
  const [key] = loadSigningKeys([{ kid: "a", file }]);
  const { d } = p256.privateKey.export({ format: "jwk" });
  const der = p256.privateKey.export({ type: "pkcs8", format: "der" });
  for (const printed of [JSON.stringify(key), inspect(key, { depth: 9, showHidden: true }), String(key)]) {
    expect(printed).not.toContain(d);
    for (const form of ["base64", "hex", "base64url"] as const) expect(printed).not.toContain(der.toString(form));
  }
});

it.each([
  ["missing", join(folder, "none.pem"), "does not exist"],
  ["a public key", pem("public", p256.publicKey), "is no private key"],
  ["P-384", pem("p384", generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey), "is not a P-256 key"],
  ["secp256k1", pem("k1", generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey), "is not a P-256 key"],
  ["RSA", pem("rsa", generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey), "is not a P-256 key"],
  ["Ed25519", pem("ed", generateKeyPairSync("ed25519").privateKey), "is not a P-256 key"],
  [
    "with a passphrase",
    pem("locked", createPrivateKey(p256.privateKey.export({ type: "pkcs8", format: "pem" })), {
      cipher: "aes-256-cbc",
      passphrase: "x",
    }),
    "without a passphrase",
  ],
])("refuses a file that is %s, and names the key and the remedy", (_, path, why) => {
  const load = () => loadSigningKeys([{ kid: "a", file: path }]);
  expect(load).toThrow(why);
  expect(load).toThrow("wristband.keys[0]");
  expect(load).toThrow("openssl ecparam -name prime256v1");
});

it("refuses a kid that comes twice", () => {
  expect(() =>
    loadSigningKeys([
      { kid: "a", file },
      { kid: "a", file },
    ]),
  ).toThrow("wristband.keys[1].kid: a comes twice");
});
