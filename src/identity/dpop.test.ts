import { hash } from "node:crypto";
import { calculateJwkThumbprint } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compact, hmacCompact, makeKey, startIssuer, type FakeIssuer, type TestKey } from "../../test/fakes/issuer.ts";
import { createIdentity, type IssuerOptions } from "./identity.ts";
import { createProofCheck, type ProofCheckOptions } from "./dpop.ts";
import { createPossession } from "./possession.ts";

const NOW = 1_790_000_000;
const TOKEN = "aaa.bbb.ccc";
const ENDPOINT = "https://gw.example.com/servers/s/mcp";
const key = makeKey("client");
const other = makeKey("other");
const publicJwk = ({ jwk }: TestKey, more: object = {}) => {
  const { kid: _, alg: __, use: ___, ...bare } = jwk;
  return { ...bare, ...more };
};
const jkt = await calculateJwkThumbprint(publicJwk(key));

const head = (more: object = {}) => ({ typ: "dpop+jwt", alg: "ES256", jwk: publicJwk(key), ...more });
const claims = (more: object = {}) => ({
  ...{ jti: "j1", htm: "POST", htu: ENDPOINT, iat: NOW, ath: hash("sha256", TOKEN, "base64url") },
  ...more,
});
const proofOf = (payload: object = {}, header: object = {}, by = key) => compact(by, head(header), claims(payload));
const request = (proof: string) => ({ proof, method: "POST", url: ENDPOINT });
const checker = (more: Partial<ProofCheckOptions> = {}) => createProofCheck({ now: () => NOW * 1000, ...more });
const verdict = (proof: string, check = checker()) => check(request(proof), { token: TOKEN, jkt });

describe("F88: a proof that holds", () => {
  it.each<[string, string]>([
    ["as it should be", proofOf()],
    ["with a query and a fragment", proofOf({ htu: `${ENDPOINT}?a=b#c` })],
    ["with host and scheme in capitals, and the port", proofOf({ htu: "HTTPS://GW.example.com:443/servers/s/mcp" })],
    ["a minute old", proofOf({ iat: NOW - 60 })],
    ["of a clock that is ahead", proofOf({ iat: NOW + 10 })],
    ["with fractions of a second", proofOf({ iat: NOW - 0.5 })],
    ["with a nonce and a digest, which nobody asked for", proofOf({ nonce: "n", content_digest: "d" })],
  ])("%s", async (_, proof) => {
    let now = NOW - 120; // it started before
    const check = createProofCheck({ now: () => now * 1000 });
    now = NOW;
    expect(await verdict(proof, check)).toBeNull();
  });

  it.each(["RS256", "ES384", "EdDSA"] as const)("by %s", async (alg) => {
    const one = makeKey("k", alg);
    const proof = compact(one, head({ alg, jwk: publicJwk(one) }), claims());
    const bound = { token: TOKEN, jkt: await calculateJwkThumbprint(publicJwk(one)) };
    expect(await checker()(request(proof), bound)).toBeNull();
  });
});

it("F88: where the request's own URL is too long to be compared, no proof holds", async () => {
  const url = `${ENDPOINT}/${"a".repeat(3000)}`;
  for (const htu of [url, "no url at all", `${url}b`])
    expect(await checker()({ proof: proofOf({ htu }), method: "POST", url }, { token: TOKEN, jkt })).toBe("htu");
});

it("F88: a proof that was used counts no more for a verifier that takes the place of the one before", async () => {
  const possession = createPossession({ now: () => NOW * 1000 });
  const proof = proofOf();
  const ask = () => {
    const use = { resources: [ENDPOINT], source: "192.0.2.1", proof: request(proof) };
    const identity = { subject: "alice" } as never;
    const signal = new AbortController().signal;
    return possession({ token: TOKEN, identity, jkt, mode: "accepted", use, signal } as never);
  };
  expect([(await ask()).ok, (await ask()).ok]).toEqual([true, false]);
});

describe("F88: a proof that does not", () => {
  const d = key.privateKey.export({ format: "jwk" }).d;
  it.each<[string, string, string]>([
    ["of another method", proofOf({ htm: "GET" }), "htm"],
    ["of a method in small letters", proofOf({ htm: "post" }), "htm"],
    ["of another path", proofOf({ htu: "https://gw.example.com/mcp" }), "htu"],
    ["of a path in another spelling", proofOf({ htu: "https://gw.example.com/servers/%73/mcp" }), "htu"],
    ["of a path with dots", proofOf({ htu: "https://gw.example.com/x/../servers/s/mcp" }), "htu"],
    ["of a path with a slash more", proofOf({ htu: `${ENDPOINT}/` }), "htu"],
    ["of another host", proofOf({ htu: "https://gw.example.com.evil.example/servers/s/mcp" }), "htu"],
    ["of a user at another host", proofOf({ htu: "https://gw.example.com@evil.example/servers/s/mcp" }), "htu"],
    ["by plain http", proofOf({ htu: "http://gw.example.com/servers/s/mcp" }), "htu"],
    ["of another port", proofOf({ htu: "https://gw.example.com:8443/servers/s/mcp" }), "htu"],
    ["of no URL", proofOf({ htu: "/servers/s/mcp" }), "htu"],
    ["for another token", proofOf({ ath: hash("sha256", "other", "base64url") }), "ath"],
    ["for no token", proofOf({ ath: undefined }), "ath"],
    ["too old", proofOf({ iat: NOW - 61 }), "iat"],
    ["of the future", proofOf({ iat: NOW + 11 }), "iat"],
    ["without a time", proofOf({ iat: undefined }), "iat"],
    ["with its time as text", proofOf({ iat: String(NOW) }), "iat"],
    ["without an id", proofOf({ jti: undefined }), "jti"],
    ["with an empty id", proofOf({ jti: "" }), "jti"],
    ["with an id that is a number", proofOf({ jti: 1 }), "jti"],
    ["with a long id", proofOf({ jti: "x".repeat(257) }), "jti"],
    ["of another type", proofOf({}, { typ: "JWT" }), "typ"],
    ["of the type in another spelling", proofOf({}, { typ: "DPoP+jwt" }), "typ"],
    [
      "without a signature",
      `${compact(key, head({ alg: "none" }), claims())
        .split(".")
        .slice(0, 2)
        .join(".")}.AA`,
      "alg",
    ],
    ["by a shared secret", hmacCompact("secret", head({ alg: "HS256" }), claims()), "alg"],
    ["by another algorithm than the key's", compact(key, head({ alg: "ES384" }), claims()), "signature"],
    ["by another key", compact(other, head(), claims()), "signature"],
    ["by another key that it brings", proofOf({}, { jwk: publicJwk(other) }, other), "not the token's"],
    ["with its private key", proofOf({}, { jwk: { ...publicJwk(key), d } }), "private"],
    ["with a key by URL", proofOf({}, { jku: "https://evil.example/jwks" }), "header member"],
    ["with a critical extension", proofOf({}, { crit: ["b64"], b64: false }), "header member"],
    ["without a key", proofOf({}, { jwk: undefined }), "jwk"],
    ["with a symmetric key", proofOf({}, { jwk: { kty: "oct", k: "AA" } }), "private"],
    ["with a key that is none", proofOf({}, { jwk: { kty: "EC", crv: "P-256", x: "AA", y: "AA" } }), "signature"],
    ["with a key that is a list", proofOf({}, { jwk: [publicJwk(key)] }), "jwk"],
    ["that is no JWT", "abc", "three"],
    ["that is too long", "a".repeat(8193), "too long"],
  ])("%s", async (_, proof, part) => {
    let now = NOW - 120;
    const check = createProofCheck({ now: () => now * 1000 });
    now = NOW;
    expect(await verdict(proof, check)).toContain(part);
  });
});

describe("F88: each proof once", () => {
  it("a second use is refused, one at the same moment too; another id is another proof", async () => {
    const check = checker();
    const both = await Promise.all([verdict(proofOf(), check), verdict(proofOf(), check)]);
    expect(new Set(both)).toEqual(new Set([null, "was used before"]));
    expect(await verdict(proofOf({ nonce: "x" }), check)).toBe("was used before");
    expect(await verdict(proofOf({ jti: "j2" }), check)).toBeNull();
  });

  it("for as long as it could be used, and after a clock that was set back", async () => {
    let now = NOW;
    const check = createProofCheck({ now: () => now * 1000 });
    expect(await verdict(proofOf({ iat: NOW + 10 }), check)).toBeNull();
    for (now = NOW; now <= NOW + 70; now += 1)
      expect(await verdict(proofOf({ iat: NOW + 10 }), check)).toBe("was used before");
    for (let i = 0; i < 4; i += 1) {
      now += 100;
      await verdict(proofOf({ jti: `later${i}`, iat: now }), check);
    }
    now = NOW + 5;
    expect(await verdict(proofOf({ iat: NOW + 10 }), check)).toContain("iat");
  });

  it("what does not hold is not remembered; a full memory refuses, and forgets nothing", async () => {
    const check = checker({ maxProofs: 3, maxPerKey: 2 });
    expect(await verdict(proofOf({ ath: "x" }), check)).toBe("ath");
    for (const jti of ["a", "b"]) expect(await verdict(proofOf({ jti }), check)).toBeNull();
    expect(await verdict(proofOf({ jti: "c" }), check)).toBe("full");
    expect(await verdict(proofOf({ jti: "a" }), check)).toBe("was used before");
    const bound = { token: TOKEN, jkt: await calculateJwkThumbprint(publicJwk(other)) };
    const others = (jti: string) => check(request(proofOf({ jti }, { jwk: publicJwk(other) }, other)), bound);
    expect([await others("a"), await others("b")]).toEqual([null, "full"]);
  });

  it("one from before the start is refused", async () => {
    expect(await verdict(proofOf({ iat: NOW - 1 }))).toContain("before this process started");
  });
});

describe("F88: a bound token is never a bearer token", () => {
  let issuer: FakeIssuer;
  const signing = makeKey("k1");
  beforeAll(async () => {
    issuer = await startIssuer(signing);
  });
  afterAll(() => issuer.close());

  type Sent = "Bearer" | "its proof" | "another's proof" | "no proof needed";

  async function verdictOf(dpop: IssuerOptions["dpop"], cnf: unknown, sent: Sent): Promise<string> {
    const service = createIdentity({
      issuers: [
        {
          ...{ issuer: issuer.issuer, audiences: ["gateway"], algorithms: ["ES256"], tokenType: "at+jwt" as const },
          ...{ jwksUri: null, allowedHosts: [], ...(dpop && { dpop }) },
          claims: { username: "preferred_username", groups: "groups", scopes: "scope" },
        },
      ],
      now: () => NOW * 1000,
    });
    await service.start();
    const token = compact(
      signing,
      { alg: "ES256", typ: "at+jwt", kid: "k1" },
      { iss: issuer.issuer, aud: "gateway", sub: "alice", exp: NOW + 300, iat: NOW, ...(cnf === null ? {} : { cnf }) },
    );
    const ath = hash("sha256", token, "base64url");
    const by = sent === "another's proof" ? other : key;
    const proof = sent === "Bearer" ? {} : { proof: request(proofOf({ ath }, { jwk: publicJwk(by) }, by)) };
    const use = { resource: ENDPOINT, source: "192.0.2.1", ...proof };
    const results: string[] = [];
    for (const _ of ["new", "cached"]) {
      const step = await service.identify(token, use, AbortSignal.timeout(2000));
      results.push(step.ok ? step.value.subject : step.reason);
    }
    service.close();
    return results.join(", ");
  }

  const twice = (reason: string) => `${reason}, ${reason}`;
  it.each<[string, IssuerOptions["dpop"], unknown, Sent, string]>([
    ["unset, bound, as Bearer", undefined, { jkt }, "Bearer", twice("token_invalid")],
    ["unset, bound, with its proof", undefined, { jkt }, "its proof", twice("token_invalid")],
    ["off, bound, with its proof", "off", { jkt }, "its proof", twice("token_invalid")],
    ["off, not bound, as Bearer", "off", null, "Bearer", twice("alice")],
    ["accepted, bound, as Bearer", "accepted", { jkt }, "Bearer", twice("proof_invalid")],
    ["accepted, bound, with its proof: once", "accepted", { jkt }, "its proof", "alice, proof_invalid"],
    ["accepted, bound, another's proof", "accepted", { jkt }, "another's proof", twice("proof_invalid")],
    ["accepted, not bound, as Bearer", "accepted", null, "Bearer", twice("alice")],
    ["accepted, not bound, with a proof", "accepted", null, "its proof", twice("proof_invalid")],
    ["required, not bound, as Bearer", "required", null, "Bearer", twice("proof_invalid")],
    ["required, bound, with its proof: once", "required", { jkt }, "its proof", "alice, proof_invalid"],
    ["required, bound, as Bearer", "required", { jkt }, "Bearer", twice("proof_invalid")],
    ["bound to a certificate", "required", { "x5t#S256": jkt }, "its proof", twice("token_invalid")],
    ["bound in two ways", "required", { jkt, "x5t#S256": jkt }, "its proof", twice("token_invalid")],
    ["bound to nothing", "accepted", {}, "Bearer", twice("token_invalid")],
    ["bound to null", "accepted", null, "Bearer", twice("alice")],
    ["bound to a text", "accepted", jkt, "Bearer", twice("token_invalid")],
    ["bound to a short thumbprint", "accepted", { jkt: "x" }, "its proof", twice("token_invalid")],
  ])("%s", async (_, dpop, cnf, sent, expected) => {
    expect(await verdictOf(dpop, cnf, sent)).toBe(expected);
  });
});
