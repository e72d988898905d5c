import { BY_TOKEN } from "../../test/fakes/identity.ts";
import { createPublicKey, type KeyObject } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import { compact, hmacCompact, makeKey, signatureOf, type TestKey } from "../../test/fakes/issuer.ts";
import { catalogReaderOf, signCatalogToken } from "../catalog/token.ts";
import { namesOf } from "./claims.ts";
import type { SigningKey } from "./keys.ts";
import { createSigner } from "./sign.ts";
import { createVerifier, WRISTBAND_FAULTS } from "./verify.ts";
import { Secret } from "../secret/secret.ts";

const ISSUER = "https://gw.example.com";
const AUDIENCE = "mcp-broker";
const NOW = 1_790_000_000;
const key = makeKey("k1");
const other = makeKey("k2");
const stranger = makeKey("k1");

const good = {
  iss: ISSUER,
  aud: AUDIENCE,
  sub: "alice",
  idp: "https://idp.example.com",
  client: "",
  iat: NOW,
  exp: NOW + 300,
  jti: "j",
  caller_exp: NOW + 3600,
  use: "list",
  tools: { github: ["read", "search"] },
  prompts: {},
  resources: {},
};
const header = { alg: "ES256", typ: "wristband+jwt", kid: "k1" };

const keyOf = ({ jwk }: TestKey): KeyObject => createPublicKey({ key: jwk, format: "jwk" });
let keys: Map<string, KeyObject>;
let now: number;
let verify: ReturnType<typeof createVerifier>;

beforeEach(() => {
  keys = new Map([["k1", keyOf(key)]]);
  now = NOW * 1000;
  verify = createVerifier({ issuer: ISSUER, audience: AUDIENCE, findKey: (kid) => keys.get(kid), now: () => now });
});

const refused = (jws: string) =>
  expect(verify(jws)).toEqual({ ok: false, fault: expect.toBeOneOf([...WRISTBAND_FAULTS]) as unknown });
const make = (claims: object = good, head: unknown = header, signer = key) => compact(signer, head, claims);
const without = (name: string) => Object.fromEntries(Object.entries(good).filter(([member]) => member !== name));

it("accepts what serve signs", () => {
  expect(verify(make())).toEqual({ ok: true, value: good });
});

describe("the header", () => {
  const rows: (readonly [id: string, what: string, header: unknown])[] = [
    ...["none", "None", "nOnE", "none ", "none\0", ["none"], null, undefined, "HS256", "ES384", "RS256", "es256"].map(
      (alg) => ["A01", `alg ${JSON.stringify(alg)}`, { ...header, alg }] as const,
    ),
    ["A05", "an embedded jwk", { ...header, jwk: stranger.jwk }],
    ["A06", "jku", { ...header, jku: "http://169.254.169.254/" }],
    ["A07", "x5c", { ...header, x5c: ["AA"] }],
    ["A11", "crit", { ...header, crit: ["x"] }],
    ["A11", "empty crit", { ...header, crit: [] }],
    ["A12", "b64", { ...header, b64: false }],
    ...["../../dev/null", "' OR 1=1--", "a\0b", { a: 1 }, ["k1"], "__proto__", "constructor", "", null].map(
      (kid) => ["A08", `kid ${JSON.stringify(kid)}`, { ...header, kid }] as const,
    ),
    ["A08", "no kid", { alg: "ES256", typ: "wristband+jwt" }],
    ...["at+jwt", "JWT", "jwt", "WRISTBAND+JWT", "catalog+jwt", "application/wristband+jwt", null, undefined].map(
      (typ) => ["A20", `typ ${JSON.stringify(typ)}`, { ...header, typ }] as const,
    ),
    ["A19", "alg twice", '{"alg":"none","alg":"ES256","typ":"wristband+jwt","kid":"k1"}'],
    ["A19", "a variant of alg", '{"Alg":"none","alg":"ES256","typ":"wristband+jwt","kid":"k1"}'],
  ];
  it.each(rows)("%s: %s is refused", (_, __, head) => refused(make(good, head)));
});

describe("the signature", () => {
  it.each([
    ["F01", "another key under the same kid", make(good, header, stranger)],
    ["F01", "no signature", `${make().split(".").slice(0, 2).join(".")}.`],
    [
      "F01",
      "alg none without signature",
      `${make(good, { ...header, alg: "none" })
        .split(".")
        .slice(0, 2)
        .join(".")}.`,
    ],
    ["A30", "JWS JSON", JSON.stringify({ payload: "e30", signatures: [] })],
    ["A29", "five parts", "a.b.c.d.e"],
    ["A17", "many dots", ".".repeat(30_000)],
  ])("%s: %s is refused", (_, __, jws) => refused(jws));

  it("A02: the public key as an HMAC secret", () => {
    const pem = keyOf(key).export({ type: "spki", format: "pem" });
    const der = keyOf(key).export({ type: "spki", format: "der" });
    for (const alg of ["HS256", "ES256"]) {
      for (const secret of [pem, der, JSON.stringify(key.jwk), String(key.jwk["x"])])
        refused(hmacCompact(secret, { ...header, alg }, good));
    }
  });

  it("A04: a key of another curve", () => {
    const p384 = makeKey("k3", "ES384");
    keys.set("k3", keyOf(p384));
    refused(make(good, { ...header, kid: "k3" }, p384));
  });

  it("A13, A14: zero, overflowing, short, long and DER signatures", () => {
    const input = make().split(".").slice(0, 2).join(".");
    const order = Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", "hex");
    const real = signatureOf(key, input);
    const zero = Buffer.alloc(32);
    const bad = [
      Buffer.alloc(64),
      Buffer.concat([order, order]),
      Buffer.concat([real.subarray(0, 32), zero]),
      Buffer.concat([zero, real.subarray(32)]),
      Buffer.concat([order, real.subarray(32)]),
      real.subarray(0, 63),
      Buffer.concat([real, zero.subarray(0, 1)]),
      Buffer.concat([real, real]),
      Buffer.concat([
        Buffer.from([0x30, 0x44, 0x02, 0x20]),
        real.subarray(0, 32),
        Buffer.from([0x02, 0x20]),
        real.subarray(32),
      ]),
    ];
    for (const signature of bad) refused(`${input}.${signature.toString("base64url")}`);
  });

  it("A16: any other spelling of the same bytes", () => {
    const jws = make();
    const [head = "", payload = "", signature = ""] = jws.split(".");
    const last = signature.at(-1) ?? "";
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const twin = alphabet[(alphabet.indexOf(last) & ~15) | ((alphabet.indexOf(last) + 1) & 15)] ?? "";
    const spellings = [
      `${jws}=`,
      `${jws}==`,
      ` ${jws}`,
      `${jws}\n`,
      `${head}.${payload}.${signature.slice(0, 10)}\n${signature.slice(10)}`,
      `${head}.${payload}.${signature.slice(0, -1)}${twin}`,
      `${head}=.${payload}.${signature}`,
      `${jws},${jws}`,
      `Bearer ${jws}`,
    ];
    for (const spelling of spellings) refused(spelling);
  });

  it("every single changed character refuses", () => {
    const jws = make();
    for (let i = 0; i < jws.length; i += 1) {
      refused(`${jws.slice(0, i)}${jws[i] === "A" ? "B" : "A"}${jws.slice(i + 1)}`);
    }
  });
});

describe("the claims", () => {
  it.each(Object.keys(good))("F02: without %s", (name) => refused(make(without(name))));

  it.each([
    ["A22", "another audience", { aud: "other" }],
    ["A22", "an audience that begins the same", { aud: "mcp-broker2" }],
    ["A22", "a list of audiences", { aud: ["mcp-broker"] }],
    ["A22", "the catalogue's audience", { aud: "mcp-broker/catalog" }],
    ["A23", "another issuer", { iss: "https://gw.example.com/" }],
    ["A23", "a list of issuers", { iss: [ISSUER] }],
    ["A25", "an endless life", { exp: 1e300 }],
    ["A25", "a fraction", { exp: NOW + 300.5 }],
    ["A25", "a text", { exp: String(NOW + 300) }],
    ["A25", "below zero", { iat: -1 }],
    ["A26", "its end", { iat: NOW - 300, exp: NOW }],
    ["A26", "signed in the future", { iat: NOW + 61, exp: NOW + 300 }],
    ["F11", "a life beyond any ttlSeconds", { iat: NOW - 10, exp: NOW + 3600 }],
    ["4.6", "a life beyond the caller's token", { exp: NOW + 300, caller_exp: NOW + 299 }],
    ["4.6", "a caller whose token has ended", { caller_exp: NOW }],
    ["A49", "an empty subject", { sub: "" }],
    ["A49", "a subject that is no text", { sub: 1 }],
    ["A49", "an empty jti", { jti: "" }],
    ["F09", "tools: null", { tools: null }],
    ["F09", "tools as JSON in a text", { tools: '{"github":["read"]}' }],
    ["F09", "tools as a list", { tools: ["read"] }],
    ["F09", "a server without a list", { tools: { github: "read" } }],
    ["F09", "a server with null", { tools: { github: null } }],
    ["F09", "names that are no texts", { tools: { github: [1] } }],
    ["F10", "a wildcard of a server", { tools: { "*": ["read"] } }],
    ["F10", "a name twice", { tools: { github: ["read", "read"] } }],
    ["4.6", "names out of order", { tools: { github: ["search", "read"] } }],
    ["4.6", "an unknown claim", { admin: true }],
    ["F18", "a call without its body", { use: "call" }],
    ["F18", "a call whose body is no digest", { use: "call", body: "A".repeat(42) }],
    ["F18", "a list with a body", { body: "A".repeat(43) }],
  ])("%s: %s is refused", (_, __, change) => refused(make({ ...good, ...change })));

  it.each([
    ["A18", "a claim twice", JSON.stringify(good).replace('"sub"', '"sub":"admin","sub"')],
    ["A18", "a variant of a claim", JSON.stringify(good).replace('"sub"', '"Sub":"admin","sub"')],
    ["F09", "a server twice", JSON.stringify(good).replace('{"github"', '{"github":["x"],"github"')],
    ["A25", "a number beyond range", JSON.stringify(good).replace(/"exp":\d+/, '"exp":1e400')],
    ["A40", "__proto__", JSON.stringify(good).replace("{", '{"__proto__":{"admin":true},')],
    ["A49", "a lone surrogate", JSON.stringify(good).replace("alice", "\\ud800")],
    ["B08", "a byte-order mark", `\ufeff${JSON.stringify(good)}`],
    ["B09", "text after the claims", `${JSON.stringify(good)} {}`],
    ["A30", "a list", `[${JSON.stringify(good)}]`],
    ["A30", "nothing", "null"],
  ])("%s: %s is refused", (_, __, payload) => {
    refused(compact(key, header, payload));
    expect({}).not.toHaveProperty("admin");
  });

  it("looks names up among the wristband's own members only", () => {
    const claims = { tools: { github: ["a"] }, prompts: {}, resources: {} };
    expect(namesOf(claims, "tools", "github")).toEqual(["a"]);
    expect(namesOf(claims, "tools", "constructor")).toEqual([]);
    expect(namesOf(claims, "prompts", "github")).toEqual([]);
  });
});

describe("what was verified before", () => {
  it("ends all the same, second by second", () => {
    const jws = make();
    expect(verify(jws).ok).toBe(true);
    now = (NOW + 300) * 1000 - 1;
    expect(verify(jws).ok).toBe(true);
    now = (NOW + 300) * 1000;
    refused(jws);
    now = NOW * 1000;
    expect(verify(jws).ok).toBe(true);
  });

  it("A36, F06: dies with its key, and with a key that took its kid", () => {
    const jws = make();
    expect(verify(jws).ok).toBe(true);
    keys.set("k1", keyOf(stranger));
    refused(jws);
    keys.delete("k1");
    expect(verify(jws)).toEqual({ ok: false, fault: "kid" });
  });

  it("A36, F06: two keys at a time while one replaces the other", () => {
    keys.set("k2", keyOf(other));
    expect(verify(make()).ok).toBe(true);
    expect(verify(make(good, { ...header, kid: "k2" }, other)).ok).toBe(true);
  });
});

describe("A21: one token is not taken for another", () => {
  const signer: SigningKey = { kid: "k1", privateKey: key.privateKey, jwk: {} };
  const parties = { issuer: ISSUER, audience: AUDIENCE };
  const isCatalog = (token: string, at = NOW * 1000) =>
    catalogReaderOf(token, { parties, findKey: (kid) => keys.get(kid), now: () => at }) !== null;
  const reader = { instance: "i", policy: "p" };
  const catalogHeader = { ...header, typ: "catalog+jwt" };
  const catalogClaims = { iss: ISSUER, aud: "mcp-broker/catalog", iat: NOW, exp: NOW + 60, jti: "j", ...reader };

  it("a catalogue token opens the catalogue for a minute, and nothing else", () => {
    const token = signCatalogToken({ ...parties, ...reader }, signer, NOW * 1000);
    expect(isCatalog(token)).toBe(true);
    expect(isCatalog(token, NOW * 1000 + 59_999)).toBe(true);
    expect(isCatalog(token, NOW * 1000 + 60_000)).toBe(false);
    refused(token);
  });

  it("a wristband, an access token and a catalogue token of somebody else do not open the catalogue", () => {
    const identity = { issuer: "https://idp.example.com", subject: "a", expiresAt: NOW + 900, token: new Secret("x") };
    const sign = createSigner({ ...parties, ttlSeconds: 300, keys: () => [signer], now: () => now });
    const wristband = sign(
      { ...identity, username: null, groups: [], scopes: [], ...BY_TOKEN, actors: [], claims: {} },
      { tools: {}, prompts: {}, resources: {} },
      { use: "list", merged: false },
    );
    expect(isCatalog(wristband.ok ? wristband.value.jws : "")).toBe(false);
    expect(isCatalog(make({ ...good, aud: "mcp-broker/catalog" }, { ...header, typ: "at+jwt" }))).toBe(false);
    expect(isCatalog(compact(stranger, catalogHeader, catalogClaims))).toBe(false);
    expect(isCatalog(compact(key, catalogHeader, catalogClaims))).toBe(true);
  });

  it.each([
    { aud: "mcp-broker" },
    { aud: ["mcp-broker/catalog"] },
    { iss: "https://other" },
    { exp: NOW + 61 },
    { iat: NOW + 61, exp: NOW + 100 },
    { exp: NOW },
    { jti: undefined },
    { iat: undefined },
    { sub: "alice" },
    { instance: undefined },
    { policy: "" },
  ])("a catalogue token with %j is none", (change) => {
    expect(isCatalog(compact(key, catalogHeader, { ...catalogClaims, ...change }))).toBe(false);
  });

  it("an access token of the gateway's own issuer is no wristband", () => {
    refused(
      make({ iss: ISSUER, aud: AUDIENCE, sub: "a", iat: NOW, exp: NOW + 60, jti: "j" }, { ...header, typ: "at+jwt" }),
    );
  });
});

it("F04, A17: too long is refused before anything is computed", () => {
  const jws = make({
    ...good,
    tools: { github: Array.from({ length: 4000 }, (_, i) => `t${String(i).padStart(5, "0")}`) },
  });
  expect(jws.length).toBeGreaterThan(32 * 1024);
  expect(verify(jws)).toEqual({ ok: false, fault: "size" });
});
