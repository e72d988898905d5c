import { createPublicKey } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compact, hmacCompact, makeKey, signatureOf, startIssuer, type FakeIssuer } from "../../test/fakes/issuer.ts";
import type { ClaimPaths } from "./claims.ts";
import { createIdentity, type IdentityOptions, type IdentityService, type IssuerOptions } from "./identity.ts";

const NOW = 1_790_000_000;
const RESOURCE = "https://gw.example.com/servers/s/mcp";
const key = makeKey("k1");
const other = makeKey("k1");
const rsa = makeKey("rsa", "RS256");
const p384 = makeKey("p384", "ES384");
let issuer: FakeIssuer;
let second: FakeIssuer;
let service: IdentityService;

const optionsOf = (fake: FakeIssuer, more: Partial<IssuerOptions> = {}): IssuerOptions => ({
  issuer: fake.issuer,
  audiences: ["gateway"],
  algorithms: ["ES256", "RS256"],
  tokenType: "at+jwt",
  jwksUri: null,
  allowedHosts: [],
  claims: { username: "preferred_username", groups: "groups", scopes: "scope" },
  ...more,
});

const create = (issuers: IssuerOptions[], more: Partial<IdentityOptions> = {}) =>
  createIdentity({ issuers, now: () => NOW * 1000, ...more });

beforeAll(async () => {
  issuer = await startIssuer(key, rsa, p384);
  second = await startIssuer(other);
  service = create([optionsOf(issuer), optionsOf(second)]);
  await service.start();
});
afterAll(() => Promise.all([issuer.close(), second.close()]));

const header = (more: object = {}) => ({ alg: "ES256", typ: "at+jwt", kid: "k1", ...more });
const claims = (more: object = {}) => ({
  iss: issuer.issuer,
  aud: "gateway",
  sub: "alice",
  exp: NOW + 300,
  iat: NOW,
  groups: ["a"],
  scope: "x y",
  preferred_username: "al",
  ...more,
});
const token = (more: object = {}, head: object = {}) => compact(key, header(head), claims(more));

it("B13: the name of an endpoint is an audience there, beside its URL, and at no other endpoint", async () => {
  const at = async (aud: unknown, namedResource: string | null) => {
    const use = { resource: RESOURCE, namedResource, source: "192.0.2.1" };
    const step = await service.identify(token({ aud }), use, AbortSignal.timeout(2000));
    return step.ok ? "ok" : step.reason;
  };
  expect(await at("api://gw", "api://gw")).toBe("ok");
  expect(await at(["x", "api://gw"], "api://gw")).toBe("ok");
  expect(await at(RESOURCE, "api://gw")).toBe("ok");
  expect(await at("gateway", "api://gw")).toBe("ok");
  expect(await at("api://gw", null)).toBe("token_audience");
  expect(await at("api://gw", "api://gw/")).toBe("token_audience");
  expect(await at("API://gw", "api://gw")).toBe("token_audience");
});

async function verdict(text: string, at: IdentityService = service, resource = RESOURCE): Promise<string> {
  const step = await at.identify(text, resource, AbortSignal.timeout(2000));
  return step.ok ? `ok ${step.value.subject}` : step.reason;
}
const detail = async (text: string) => {
  const step = await service.identify(text, RESOURCE, AbortSignal.timeout(2000));
  return step.ok ? "" : step.detail;
};

describe("a good token", () => {
  it("is its identity, from the claims that are configured", async () => {
    const step = await service.identify(token(), RESOURCE, AbortSignal.timeout(1000));
    expect(step).toMatchObject({
      ok: true,
      value: {
        issuer: issuer.issuer,
        subject: "alice",
        username: "al",
        groups: ["a"],
        scopes: ["x", "y"],
        expiresAt: NOW + 300,
      },
    });
    expect(JSON.stringify(step)).not.toContain(token().split(".")[2]);
  });

  it("RFC 8693 §4.1: its actors are those with a sub, the current one first", async () => {
    const actorsIn = async (claims: object) => {
      const step = await service.identify(token(claims), RESOURCE, AbortSignal.timeout(1000));
      return step.ok ? step.value.actors : step.detail;
    };
    expect(await actorsIn({})).toEqual([]);
    expect(await actorsIn({ act: { sub: "agent-2", act: { sub: "agent-1" } } })).toEqual(["agent-2", "agent-1"]);
    expect(await actorsIn({ act: { client_id: "x", act: { sub: "agent-1" } } })).toEqual([]);
  });

  it.each<[string, () => string]>([
    ["RS256", () => compact(rsa, header({ alg: "RS256", kid: "rsa" }), claims())],
    ["P3.1-9, A24: the endpoint's own URL as audience", () => token({ aud: RESOURCE })],
    ["A22: several audiences, ours among them", () => token({ aud: ["x", "gateway"] })],
    ["RFC 9068: application/at+jwt", () => token({}, { typ: "application/AT+JWT" })],
    ["A26: expired less than the skew ago", () => token({ exp: NOW - 59, iat: NOW - 300 })],
    ["A26: iat within the skew", () => token({ iat: NOW + 60 })],
    ["nbf within the skew", () => token({ nbf: NOW + 60 })],
    ["A9 scp array", () => token({ scope: undefined, scp: ["a"] })],
    ["a single group as text", () => token({ groups: "a" })],
    [
      "no groups, scopes or username",
      () => token({ groups: undefined, scope: undefined, preferred_username: undefined }),
    ],
    ["no iat", () => token({ iat: undefined })],
    ["R2: fractions of a second", () => token({ iat: NOW - 10.5, nbf: NOW + 59.5, exp: NOW + 300.75 })],
    ["R2: a fraction within the skew", () => token({ iat: NOW - 300.5, exp: NOW - 58.5 })],
    ["A41: a claim that nobody reads is elsewhere", () => token({ _claim_names: { address: "src1" } })],
    ["A41: no claim is elsewhere", () => token({ hasgroups: false, _claim_names: {}, _claim_sources: {} })],
    ["H05: with an actor, who is not the subject", () => token({ act: { sub: "agent" }, may_act: { sub: "gw" } })],
    ["H05: with an actor of other claims", () => token({ act: { iss: "x", client_id: "agent" } })],
  ])("%s", async (_, make) => expect(await verdict(make())).toBe("ok alice"));
});

describe("A41: an absent claim is judged by the claim that is read", () => {
  const overage = { _claim_names: { groups: "src1" }, _claim_sources: { src1: { endpoint: "https://graph.example" } } };
  const made: IdentityService[] = [];
  afterAll(() => made.forEach((one) => one.close()));
  it.each<[string, object, Partial<ClaimPaths>, string]>([
    [
      "overage, groups are read",
      overage,
      {},
      "claim: groups is not in the token: the issuer keeps it elsewhere (overage)",
    ],
    ["overage, roles are read", { ...overage, roles: ["a"] }, { groups: "roles" }, ""],
    ["overage by hasgroups, roles are read", { hasgroups: true, roles: ["a"] }, { groups: "roles" }, ""],
    ["the roles are elsewhere", { _claim_names: { roles: "s" } }, { groups: "/roles/x" }, "claim: roles is not in"],
    ["the username is elsewhere", { _claim_names: { upn: "s" } }, { username: "upn" }, "claim: upn is not in"],
    ["the audience is elsewhere", { _claim_names: { aud: "s" } }, {}, "claim: aud is not in"],
    ["scp is elsewhere", { _claim_names: { scp: "s" } }, {}, "claim: scp is not in"],
    ["scp is elsewhere, another is read", { _claim_names: { scp: "s" } }, { scopes: "permissions" }, ""],
    ["a name with a slash", { _claim_names: { "a/b": "s" } }, { groups: "/a~1b/c" }, "claim: a/b is not in"],
    ["groups are no texts", { roles: [1] }, { groups: "roles" }, "claim: roles is no list of texts (groups)"],
    ["a username is no text", { upn: 5 }, { username: "upn" }, "claim: upn is no plain text (username)"],
    ["scopes are no texts", { perms: {} }, { scopes: "perms" }, "claim: perms is no list of texts (scopes)"],
  ])("%s", async (_, more, paths, expected) => {
    const claims = { username: "preferred_username", groups: "groups", scopes: "scope", ...paths };
    const one = create([optionsOf(issuer, { claims })]);
    made.push(one);
    await one.start();
    const step = await one.identify(token({ groups: undefined, ...more }), RESOURCE, AbortSignal.timeout(2000));
    const said = step.ok ? "" : `${step.reason} ${step.detail}`;
    expect(said).toContain(expected === "" ? "" : `token_invalid ${expected}`);
    expect(step.ok).toBe(expected === "");
  });

  it.each<[string, object, string | undefined, string]>([
    ["sub unless told", { oid: "o1" }, undefined, "alice"],
    ["another claim", { oid: "o1" }, "oid", "o1"],
    ["a JSON Pointer", { ids: { person: "p1" } }, "/ids/person", "p1"],
    ["another claim of a token without sub", { sub: undefined, client: "c1" }, "client", "c1"],
    ["a claim that is not there, whatever sub is", {}, "oid", "claim: oid (subject)"],
    ["a claim that is null", { oid: null }, "oid", "claim: oid (subject)"],
    ["a number", { oid: 7 }, "oid", "claim: oid (subject)"],
    ["an empty text", { oid: "" }, "oid", "claim: oid (subject)"],
    ["a list", { oid: ["o1"] }, "oid", "claim: oid (subject)"],
    ["an object's prototype", {}, "/constructor/name", "claim: /constructor/name (subject)"],
    ["a claim that is elsewhere", { _claim_names: { oid: "s" } }, "oid", "claim: oid is not in"],
    ["no sub", { sub: undefined, oid: "o1" }, undefined, "claim: sub"],
  ])("B13: the subject is %s", async (_, more, subject, expected) => {
    const claims = { username: "u", groups: "g", scopes: "scope", ...(subject !== undefined && { subject }) };
    const one = create([optionsOf(issuer, { claims })]);
    made.push(one);
    await one.start();
    const step = await one.identify(token(more), RESOURCE, AbortSignal.timeout(2000));
    const said = step.ok ? step.value.subject : `${step.detail}`;
    expect(said).toContain(expected);
    expect(step.ok).toBe(!expected.startsWith("claim: "));
  });

  it("times with a fraction are rounded so that no life grows", async () => {
    const step = await service.identify(token({ exp: NOW + 300.9 }), RESOURCE, AbortSignal.timeout(2000));
    expect(step.ok && step.value.expiresAt).toBe(NOW + 300);
  });
});

describe("tokens without aud, as Amazon Cognito makes them", () => {
  const cognito = (more: object = {}) =>
    token({ aud: undefined, client_id: "5example", token_use: "access", ...more }, { typ: undefined });
  const at = (more: Partial<IssuerOptions> = {}) =>
    create([optionsOf(issuer, { tokenType: "jwt", audiences: ["5example"], audienceClaim: "client_id", ...more })]);
  let services: IdentityService[] = [];
  const judged = async (text: string, more: Partial<IssuerOptions> = {}) => {
    const made = at(more);
    services.push(made);
    await made.start();
    return verdict(text, made);
  };
  afterAll(() => {
    for (const made of services) made.close();
    services = [];
  });

  it.each<[string, () => string, string, Partial<IssuerOptions>?]>([
    ["the client that is configured", () => cognito(), "ok alice"],
    ["a JSON Pointer", () => cognito({ a: { b: "5example" } }), "ok alice", { audienceClaim: "/a/b" }],
    ["a list of them", () => cognito({ client_id: ["x", "5example"] }), "ok alice"],
    ["another client", () => cognito({ client_id: "6other" }), "token_audience"],
    ["no client", () => cognito({ client_id: undefined }), "token_invalid"],
    ["an empty client", () => cognito({ client_id: "" }), "token_invalid"],
    ["an empty list", () => cognito({ client_id: [] }), "token_invalid"],
    ["a client that is no text", () => cognito({ client_id: { "5example": 1 } }), "token_invalid"],
    ["an aud for somebody else counts, whoever the client is", () => cognito({ aud: "other" }), "token_audience"],
    ["an aud that is null is no absent one", () => cognito({ aud: null }), "token_invalid"],
    [
      "an aud of ours counts, whoever the client is",
      () => cognito({ aud: "5example", client_id: "6other" }),
      "ok alice",
    ],
    ["without the key in the configuration", () => cognito(), "token_invalid", { audienceClaim: null }],
    ["an ID token of the same client", () => cognito({ token_use: "id" }), "token_invalid"],
    ["a token for no known use", () => cognito({ token_use: 7 }), "token_invalid"],
  ])("%s", async (_, make, expected, more = {}) => expect(await judged(make(), more)).toBe(expected));
});

describe("keys without kid", () => {
  it("verify tokens without kid, and no others", async () => {
    const bare = await startIssuer({ ...key, jwk: { ...key.jwk, kid: undefined } }, rsa);
    const at = create([optionsOf(bare)]);
    await at.start();
    const sign = (head: object, by = key) => compact(by, head, { ...claims(), iss: bare.issuer });
    expect(await verdict(sign({ alg: "ES256", typ: "at+jwt" }), at)).toBe("ok alice");
    expect(await verdict(sign({ alg: "ES256", typ: "at+jwt", kid: "k1" }), at)).not.toBe("ok alice");
    expect(await verdict(sign({ alg: "ES256", typ: "at+jwt" }, other), at)).toBe("token_invalid");
    expect(await verdict(sign({ alg: "RS256", typ: "at+jwt" }, rsa), at), "rsa has a kid").toBe("token_invalid");
    at.close();
    await bare.close();
  });
});

const b64 = (value: unknown) =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const publicPem = () => createPublicKey(key.privateKey).export({ type: "spki", format: "pem" }).toString();

describe("hostile tokens", () => {
  const swapped = (edit: (parts: string[]) => string) => () => edit(token().split("."));
  it.each<[string, () => string]>([
    ...[
      "none",
      "nOnE",
      "NONE",
      "none ",
      "none\u0000",
      "HS256",
      "HS512",
      "PS256",
      "ES384",
      "EdDSA",
      "",
      null,
      ["none"],
      1,
      undefined,
    ].map((alg): [string, () => string] => [
      `A01 alg ${JSON.stringify(alg)}`,
      () => compact(key, { ...header(), alg }, claims()),
    ]),
    ["A01 no signature", swapped(([h, p]) => `${h}.${p}.`)],
    ["A01 two parts", swapped(([h, p]) => `${h}.${p}`)],
    ["A02 HMAC with the PEM", () => hmacCompact(publicPem(), header({ alg: "HS256" }), claims())],
    ["A02 HMAC with the JWK", () => hmacCompact(JSON.stringify(key.jwk), header({ alg: "HS256" }), claims())],
    ["A02 HMAC, alg says ES256", () => hmacCompact(publicPem(), header(), claims())],
    ["A04 RS256 key, header ES256", () => compact(rsa, header({ kid: "rsa" }), claims())],
    ["A04 P-384 key, header ES256", () => compact(p384, header({ kid: "p384" }), claims())],
    ["A04 P-384 key, its own alg", () => compact(p384, header({ kid: "p384", alg: "ES384" }), claims())],
    ["A05 embedded jwk", () => compact(other, header({ jwk: other.jwk }), claims())],
    ["A05 signed by a stranger with our kid", () => compact(other, header(), claims())],
    ["A06 jku", () => token({}, { jku: "http://127.0.0.1:1/jwks" })],
    ["A06 x5u", () => token({}, { x5u: "file:///etc/passwd" })],
    ["A07 x5c", () => token({}, { x5c: ["AAAA"] })],
    ...["' OR 1=1--", "a\u0000b", "", "a b", "a".repeat(257), { a: 1 }, ["k1"], "é"].map(
      (kid): [string, () => string] => [`A08 kid ${JSON.stringify(kid).slice(0, 30)}`, () => token({}, { kid })],
    ),
    ["A10 unknown issuer", () => token({ iss: "https://evil.example.com" })],
    ["A23 issuer list", () => token({ iss: [issuer.issuer, "https://evil"] })],
    ["A23 trailing slash", () => token({ iss: `${issuer.issuer}/` })],
    ["A23 case", () => token({ iss: issuer.issuer.toUpperCase() })],
    ["A23 missing", () => token({ iss: undefined })],
    ["A09 the other issuer's key under the same kid", () => compact(other, header(), claims())],
    ["A09 our key for the other issuer", () => compact(key, header(), claims({ iss: second.issuer }))],
    ...[["x"], [], ["alg"], "b64", ["b64"], null].map((crit): [string, () => string] => [
      `A11 crit ${JSON.stringify(crit)}`,
      () => token({}, { crit }),
    ]),
    ["A12 b64", () => token({}, { b64: false })],
    ["A13 r = s = 0", swapped(([h, p]) => `${h}.${p}.${Buffer.alloc(64).toString("base64url")}`)],
    [
      "A13 r = s = n",
      swapped(
        ([h, p]) =>
          `${h}.${p}.${Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551".repeat(2), "hex").toString("base64url")}`,
      ),
    ],
    ["A13 all ones", swapped(([h, p]) => `${h}.${p}.${Buffer.alloc(64, 255).toString("base64url")}`)],
    [
      "A14 63 bytes",
      swapped(
        ([h, p, s]) =>
          `${h}.${p}.${Buffer.from(s ?? "", "base64url")
            .subarray(0, 63)
            .toString("base64url")}`,
      ),
    ],
    [
      "A14 65 bytes",
      swapped(
        ([h, p, s]) =>
          `${h}.${p}.${Buffer.concat([Buffer.from(s ?? "", "base64url"), Buffer.alloc(1)]).toString("base64url")}`,
      ),
    ],
    ["A16 padding", () => `${token()}==`],
    ["A16 space in the signature", () => `${token().slice(0, -5)} ${token().slice(-5)}`],
    ["A16 newline", () => `${token()}\n`],
    [
      "A16 standard alphabet",
      swapped(([h, p, s]) => `${h}.${p}.${s?.replaceAll("-", "+").replaceAll("_", "/").padEnd(87, "+")}`),
    ],
    [
      "A16 spare bits",
      swapped(([h, p, s = ""]) => {
        const last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        return `${h}.${p}.${s.slice(0, -1)}${last[last.indexOf(s.at(-1) ?? "") ^ 1]}`;
      }),
    ],
    ["A17 many dots", () => ".".repeat(5000)],
    ["A17 a large payload", () => token({ x: "a".repeat(17_000) })],
    ["A18 duplicate sub", () => compact(key, header(), JSON.stringify(claims()).replace("}", ',"sub":"admin"}'))],
    ["A18 duplicate exp", () => compact(key, header(), JSON.stringify(claims()).replace("}", `,"exp":${NOW + 9999}}`))],
    ["A18 Sub beside sub", () => compact(key, header(), JSON.stringify(claims()).replace("}", ',"Sub":"admin"}'))],
    ["A19 duplicate alg", () => compact(key, `{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"k1"}`, claims())],
    ["A19 escaped alg", () => compact(key, `{"alg":"ES256","\\u0061lg":"none","typ":"at+jwt","kid":"k1"}`, claims())],
    ...["JWT", undefined, "logout+jwt", "dpop+jwt", "wristband+jwt", "catalog+jwt", "at+jwt ", "xat+jwt", 1, null].map(
      (typ): [string, () => string] => [
        `A20, A21 typ ${JSON.stringify(typ)}`,
        () => compact(key, { ...header(), typ }, claims()),
      ],
    ),
    ...[
      "1e400",
      "0.5",
      "-1",
      "-1.5",
      "0",
      `"${NOW + 300}"`,
      "9007199254740993",
      "253402300799",
      "null",
      "[]",
      "true",
    ].map((exp): [string, () => string] => [
      `A25 exp ${exp}`,
      () => compact(key, header(), JSON.stringify(claims({ exp: 0 })).replace('"exp":0', `"exp":${exp}`)),
    ]),
    ["A25 no exp", () => token({ exp: undefined })],
    ["A25 lives for two days", () => token({ exp: NOW + 2 * 86_400 })],
    ["A25 iat as text", () => token({ iat: "1" })],
    ["A26 iat beyond the skew", () => token({ iat: NOW + 61 })],
    ["nbf beyond the skew", () => token({ nbf: NOW + 62 })],
    ["A25 nbf beyond the skew, with a fraction", () => token({ nbf: NOW + 60.5 })],
    ["A26 iat beyond the skew, with a fraction", () => token({ iat: NOW + 60.25 })],
    ["A25 lives too long by a fraction", () => token({ iat: NOW, exp: NOW + 86_460.5 })],
    ["A29 five parts", () => `${token()}.a.b`],
    ["A30 JSON serialisation", () => JSON.stringify({ payload: b64(claims()), signatures: [] })],
    [
      "A40 __proto__",
      () => compact(key, header(), JSON.stringify(claims()).replace("}", ',"__proto__":{"admin":true}}')),
    ],
    ["A40 deep constructor", () => token({ a: { b: { constructor: { prototype: 1 } } } })],
    ["A41 nested", () => token({ a: JSON.parse("[".repeat(10) + "]".repeat(10)) as unknown })],
    ["A41 overage", () => token({ groups: undefined, _claim_names: { groups: "src1" } })],
    ["A41 overage beside groups", () => token({ groups: ["a"], _claim_names: { groups: "src1" } })],
    ["A41 overage of the implicit flow", () => token({ groups: undefined, hasgroups: true })],
    ["A41 hasgroups as text", () => token({ groups: undefined, hasgroups: "true" })],
    ["A41 the username elsewhere", () => token({ _claim_names: { preferred_username: "src1" } })],
    ["A41 the scopes elsewhere", () => token({ scope: undefined, _claim_names: { scope: "src1" } })],
    ...[null, [], "groups", 1].map((names): [string, () => string] => [
      `A41 _claim_names ${JSON.stringify(names)}`,
      () => token({ _claim_names: names }),
    ]),
    ["A41 sources without names", () => token({ _claim_sources: { src1: {} } })],
    ["A41 groups of numbers", () => token({ groups: [1] })],
    ["A41 groups object", () => token({ groups: { admin: true } })],
    ["A44 cnf", () => token({ cnf: { jkt: "x" } })],
    ...[[], ["alice"], {}, 1, null, "", "a\u0000b", "a".repeat(257), true, undefined].map(
      (sub): [string, () => string] => [`A49 sub ${JSON.stringify(sub)?.slice(0, 20)}`, () => token({ sub })],
    ),
    ...["act", "may_act"].flatMap((name) =>
      [
        null,
        "agent",
        1,
        [],
        [{ sub: "agent" }],
        { sub: 1 },
        { sub: "" },
        { sub: "a\nb" },
        { sub: "a".repeat(257) },
      ].map((party): [string, () => string] => [
        `H05 ${name} ${JSON.stringify(party)}`,
        () => token({ [name]: party }),
      ]),
    ),
    ["A49 lone surrogate", () => compact(key, header(), JSON.stringify(claims()).replace('"alice"', '"\\ud800"'))],
    ["a payload that is a list", () => compact(key, header(), [])],
    ["a payload that is text", () => compact(key, header(), '"x"')],
    ["a byte-order mark", () => compact(key, header(), `\ufeff${JSON.stringify(claims())}`)],
    ["username object", () => token({ preferred_username: { a: 1 } })],
    ["username with a control character", () => token({ preferred_username: "a\nb" })],
    ["scope number", () => token({ scope: 5 })],
    ["aud missing", () => token({ aud: undefined })],
    ["aud object", () => token({ aud: {} })],
    ["aud nested", () => token({ aud: [["gateway"]] })],
  ])("%s: token_invalid", async (_, make) => expect(await verdict(make())).toBe("token_invalid"));

  it.each<[string, () => string, string]>([
    ["A26 at the edge of the skew", () => token({ exp: NOW - 60, iat: NOW - 300 }), "token_expired"],
    ["long expired", () => token({ exp: NOW - 5000, iat: NOW - 6000 }), "token_expired"],
    ["A22 prefix", () => token({ aud: "gatewa" }), "token_audience"],
    ["A22 suffix", () => token({ aud: "gateway2" }), "token_audience"],
    ["A22 case", () => token({ aud: "GATEWAY" }), "token_audience"],
    ["A22 trailing slash", () => token({ aud: `${RESOURCE}/` }), "token_audience"],
    ["A24 another endpoint's", () => token({ aud: "https://gw.example.com/servers/t/mcp" }), "token_audience"],
    [
      "an expired forgery is invalid, not expired",
      () => compact(other, header(), claims({ exp: NOW - 5000 })),
      "token_invalid",
    ],
  ])("%s", async (_, make, reason) => expect(await verdict(make())).toBe(reason));

  it.each(["../../dev/null", "__proto__", "constructor"])(
    "A08 kid %s is no key: told once the issuer was asked for it",
    async (kid) => {
      const clock = { ms: 0 };
      const at = createIdentity({ issuers: [optionsOf(issuer)], now: () => NOW * 1000, monotonic: () => clock.ms });
      await at.start();
      expect(await verdict(token({}, { kid }), at)).toBe("token_invalid");
      clock.ms = 1;
      expect(await verdict(token({}, { kid: `${kid}2` }), at)).toBe("keys_unavailable");
      at.close();
    },
  );

  it("D24: no detail holds a value of the token", async () => {
    for (const text of [
      token({ iss: "CANARY" }),
      token({ cnf: "CANARY" }),
      token({ sub: ["CANARY"] }),
      token({}, { kid: "CANARY x" }),
    ]) {
      expect(await detail(text)).not.toMatch(/CANARY/);
    }
  });
});

describe("tokenType jwt", () => {
  const plain = (more: object, head: object = {}) =>
    compact(key, { alg: "ES256", typ: "JWT", kid: "k1", ...head }, claims(more));
  it.each<[string, () => string, string]>([
    ["a plain JWT", () => plain({ typ: "Bearer" }), "ok alice"],
    ["without typ", () => plain({}, { typ: undefined }), "ok alice"],
    ["A20 an ID token", () => plain({ nonce: "n" }), "token_invalid"],
    ["CF-06 at_hash", () => plain({ at_hash: "n" }), "token_invalid"],
    ["Keycloak's ID token", () => plain({ typ: "ID" }), "token_invalid"],
    ["Keycloak's refresh token", () => plain({ typ: "Refresh" }), "token_invalid"],
    ["a logout token", () => plain({ events: {} }), "token_invalid"],
    ["A21 our wristband", () => plain({}, { typ: "wristband+jwt" }), "token_invalid"],
    ["an unknown typ", () => plain({}, { typ: "foo+jwt" }), "token_invalid"],
  ])("%s", async (_, make, expected) => {
    const at = create([optionsOf(issuer, { tokenType: "jwt" })]);
    await at.start();
    expect(await verdict(make(), at)).toBe(expected);
    at.close();
  });
});

it("claims may stand deep: a JSON Pointer", async () => {
  const at = create([optionsOf(issuer, { claims: { username: "/a~1b/0name", groups: "/realm/roles", scopes: "/s" } })]);
  await at.start();
  const step = await at.identify(
    token({ realm: { roles: ["r"] }, "a/b": { "0name": "bob" }, s: ["t"] }),
    RESOURCE,
    AbortSignal.timeout(1000),
  );
  expect(step).toMatchObject({ ok: true, value: { username: "bob", groups: ["r"], scopes: ["t"] } });
  at.close();
});

describe("F12: the signature comes before the claims", () => {
  it.each<[string, string]>([
    ["a name twice", "payload: a name comes twice, or two names differ only in case"],
    ["too many members", "payload: too many members"],
  ])("%s is found only in a token that is signed", async (what, says) => {
    const more = what === "a name twice" ? '"x":1,"x":2' : Array.from({ length: 4100 }, () => "[]").join();
    const text = JSON.stringify(claims()).replace("}", what === "a name twice" ? `,${more}}` : `,"x":[${more}]}`);
    expect(await detail(compact(other, header(), text))).toBe("signature");
    expect(await detail(compact(key, header(), text))).toBe(says);
  });

  it("an `iss` that only looks like ours is not ours, also when we could verify the signature", async () => {
    const text = JSON.stringify(claims());
    const twice = text.replace("}", ',"iss":"https://evil.example.com"}');
    expect(await verdict(compact(key, header(), twice))).toBe("token_invalid");
    expect(await verdict(compact(key, header(), `[${text}]`))).toBe("token_invalid");
  });
});

it("A15: a signature's twin is the same identity, and spares nobody a check", async () => {
  const text = token();
  const [h, p, s] = text.split(".");
  const n = BigInt("0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
  const bytes = Buffer.from(s ?? "", "base64url");
  const twin = Buffer.concat([
    bytes.subarray(0, 32),
    Buffer.from((n - BigInt(`0x${bytes.subarray(32).toString("hex")}`)).toString(16).padStart(64, "0"), "hex"),
  ]);
  expect([await verdict(text), await verdict(`${h}.${p}.${twin.toString("base64url")}`)]).toEqual([
    "ok alice",
    "ok alice",
  ]);
});

it("no mutation of a good token is another identity", async () => {
  const text = token();
  await fc.assert(
    fc.asyncProperty(fc.nat(text.length - 1), fc.constantFrom(..."ABab01-_."), async (at, letter) => {
      const mutant = text.slice(0, at) + letter + text.slice(at + 1);
      if (mutant !== text) expect(await verdict(mutant)).not.toMatch(/^ok (?!alice)/);
      // Another kid may be a key that was published a moment ago.
      if (mutant !== text && at < text.lastIndexOf("."))
        expect(await verdict(mutant)).toMatch(/^(?:token_invalid|keys_unavailable)$/);
    }),
    { numRuns: 300 },
  );
});

describe("time and cache (P12)", () => {
  it("a cached token still expires, and only by the wall clock", async () => {
    let now = NOW;
    const at = createIdentity({ issuers: [optionsOf(issuer)], now: () => now * 1000 });
    await at.start();
    const text = token();
    expect(await verdict(text, at)).toBe("ok alice");
    now = NOW + 359;
    expect(await verdict(text, at)).toBe("ok alice");
    now = NOW + 360;
    expect(await verdict(text, at)).toBe("token_expired");
    at.close();
  });

  it("a cached token is judged for each endpoint anew", async () => {
    const text = token({ aud: RESOURCE });
    expect(await verdict(text)).toBe("ok alice");
    expect(await verdict(text, service, "https://gw.example.com/mcp")).toBe("token_audience");
  });

  it("A45: what is not valid yet is not remembered as invalid", async () => {
    let now = NOW;
    const at = createIdentity({ issuers: [optionsOf(issuer)], now: () => now * 1000 });
    await at.start();
    const text = token({ nbf: NOW + 100 });
    expect(await verdict(text, at)).toBe("token_invalid");
    now = NOW + 100;
    expect(await verdict(text, at)).toBe("ok alice");
    at.close();
  });
});

it("signs as the fake means it", () => expect(signatureOf(key, "x")).toHaveLength(64));
