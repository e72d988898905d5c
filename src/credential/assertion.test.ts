// The credential kind `assertion`: what a server is told of the caller, and whom nothing is told of.
import { generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { createLocalJWKSet, jwtVerify, type JWK } from "jose";
import { describe, expect, it } from "vitest";
import { ALICE } from "../../test/fakes/authz.ts";
import type { TokenIdentity } from "../authz/types.ts";
import { signCompactJws } from "../jose/sign-compact.ts";
import type { JsonObject } from "../json/types.ts";
import { assertionSource, type AssertionOptions } from "./assertion.ts";

const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const jwks = createLocalJWKSet({
  keys: [{ ...(publicKey.export({ format: "jwk" }) as JWK), kid: "a1", alg: "ES256" }],
});
const NOW = 1_790_000_000;
const [ISSUER, AUDIENCE] = ["https://gw.example.com", "https://intranet.example.com/mcp"];

function get(identity: TokenIdentity, changes: Partial<AssertionOptions> = {}) {
  const options = {
    ...{ issuer: ISSUER, audience: AUDIENCE, claims: {}, qualifySubject: false, seconds: 60 },
    ...{ header: "authorization", scheme: "Bearer", ...changes },
  };
  const lookup = assertionSource(options, {
    sign: (claims) => signCompactJws({ alg: "ES256", typ: "JWT", kid: "a1" }, claims, privateKey),
    aliasOf: (issuer) => (issuer === ALICE.issuer ? "acme" : null),
    now: () => NOW * 1000,
  }).get(identity, new AbortController().signal);
  if (lookup instanceof Promise) throw new Error("an assertion asks nobody");
  return lookup;
}

const person = (changes: Partial<TokenIdentity> = {}, claims: object = {}): TokenIdentity => ({
  ...ALICE,
  expiresAt: NOW + 3600,
  ...changes,
  claims: { ...ALICE.claims, ...(claims as JsonObject) },
});

/** As a server verifies it. */
async function read(identity: TokenIdentity, changes: Partial<AssertionOptions> = {}) {
  const lookup = get(identity, changes);
  if (!("found" in lookup)) throw new Error(JSON.stringify(lookup));
  const jws = lookup.found.value?.reveal().replace(/^Bearer /, "") ?? "";
  const checked = { issuer: ISSUER, audience: AUDIENCE, currentDate: new Date(NOW * 1000), algorithms: ["ES256"] };
  return { found: lookup.found, payload: (await jwtVerify(jws, jwks, checked)).payload };
}

describe("CF-16: the server is told who calls", () => {
  it("by a JWT for it alone, of a minute at most, with an id of its own", async () => {
    const [one, two] = [await read(person()), await read(person())];
    const said = { iss: ISSUER, aud: AUDIENCE, sub: ALICE.subject, idp: ALICE.issuer, iat: NOW, exp: NOW + 60 };
    expect(one.payload).toEqual({ ...said, jti: expect.any(String) as string });
    expect(one.payload.jti).not.toBe(two.payload.jti);
    expect(JSON.stringify(one.payload)).not.toContain(ALICE.token.reveal());
  });
  it("it ends no later than the caller's token", async () => {
    expect((await read(person({ expiresAt: NOW + 7 }))).payload.exp).toBe(NOW + 7);
    expect(get(person({ expiresAt: NOW }))).toHaveProperty("cannotTell");
  });
  it("with claims of her token where they are asked for, and who acts for her", async () => {
    const identity = person({}, { email: "a@b.example", org: { unit: "x" }, act: { sub: "agent" }, secret: "canary" });
    const { payload } = await read(identity, { claims: { mail: "email", "https://acme.example/unit": "/org/unit" } });
    const said = { mail: "a@b.example", "https://acme.example/unit": "x", act: { sub: "agent" } };
    expect(payload).toMatchObject(said);
    expect(JSON.stringify(payload)).not.toContain("canary");
  });
  it("sessions at the server follow what is said, not the signature", async () => {
    const stable = async (identity: TokenIdentity) => (await read(identity, { claims: { role: "role" } })).found.stable;
    const [admin, user] = [person({}, { role: "admin" }), person({}, { role: "user" })];
    expect(await stable(admin)).toBe(await stable(admin));
    expect(await stable(admin)).not.toBe(await stable(user));
  });
});

describe("who cannot be named is refused", () => {
  const claims = { mail: "email" };
  it.each([
    undefined,
    null,
    "",
    {},
    { a: 1 },
    [[1]],
    ["a", 1],
    1.5,
    "a\nb",
    "x".repeat(300),
    Array.from({ length: 65 }, () => "a"),
  ])("a claim that is %j", (email) =>
    expect(get(person({}, email === undefined ? {} : { email }), { claims })).toHaveProperty("refused"),
  );
  it.each(["toString", "__proto__", "/constructor/name", "/org/", "/email/0", "/"])(
    "no claim is found at %s",
    (path) => {
      expect(get(person({}, { email: "a", org: {} }), { claims: { mail: path } })).toHaveProperty("refused");
    },
  );
  it("an issuer without an alias, where it must have one; too long claims", () => {
    expect(get(person({ issuer: "https://other" }), { qualifySubject: true })).toHaveProperty("refused");
    const list = Array.from({ length: 64 }, (_, i) => `${"x".repeat(200)}${i}`);
    expect(get(person({}, { groups: list }), { claims: { groups: "groups" } })).toHaveProperty("refused");
  });
});

it("P4: two callers of two issuers never have one subject", async () => {
  const text = fc.string({ minLength: 1 });
  const alias = fc.stringMatching(/^[a-z0-9-]{1,63}$/);
  const subjectOf = (name: string, subject: string) => {
    const options = { ...{ issuer: ISSUER, audience: AUDIENCE, claims: {}, qualifySubject: true, seconds: 60 } };
    let said: unknown;
    const sign = (claims: object) => ((said = claims), "a.b.c");
    const deps = { sign, aliasOf: () => name, now: () => NOW * 1000 };
    void assertionSource({ ...options, header: "a", scheme: "" }, deps).get(person({ subject }), AbortSignal.abort());
    return (said as { sub: string }).sub;
  };
  fc.assert(
    fc.property(alias, text, alias, text, (a, b, c, d) => {
      expect(subjectOf(a, b) === subjectOf(c, d)).toBe(a === c && b === d);
    }),
  );
});
