// Rows about callers, each by the sentence that it must hold: keys and tokens of a list, the challenge and its document, signed
// assertions, sources of keys, and programs beside people.
import { createHash, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeJwt } from "jose";
import { afterAll, describe, expect, it } from "vitest";
import { createCheck } from "../../src/authz/check.ts";
import { endpointPath, findEndpoint } from "../../src/authz/endpoint.ts";
import { newCheckFacts } from "../../src/authz/facts.ts";
import { Grant } from "../../src/authz/grant.ts";
import { refusalResponse } from "../../src/authz/refusal-response.ts";
import { assertionSource } from "../../src/credential/assertion.ts";
import { findTool } from "../../src/files/program.ts";
import { createApiKeys, type ApiKey } from "../../src/identity/api-keys.ts";
import { createIdentity } from "../../src/identity/identity.ts";
import { signCompactJws } from "../../src/jose/sign-compact.ts";
import { decideBounded } from "../../src/policy/bounded.ts";
import { loadPolicy } from "../../src/policy/load.ts";
import { findOpa } from "../../src/policy/opa.ts";
import { ALICE, allowingPorts, checkSettings, requestOf, type RequestParts } from "../fakes/authz.ts";
import { POLICY_BY_TOKEN } from "../fakes/identity.ts";
import { compact, hmacCompact, makeKey, startIssuer } from "../fakes/issuer.ts";

const ORIGIN = "https://gw.example.com";
const D = "default-token-0123456789abcdef";
const S = "own-token-of-s-0123456789abcdef";
const keyOf = (key: string, opens: readonly string[]): ApiKey => ({
  ...{ name: key.slice(0, 7), sha256: [createHash("sha256").update(key).digest("hex")], header: "x-api-key" },
  ...{ bearer: true, basic: true, expiresAt: null, opens: new Set(opens), kind: "machine" as const, username: null },
  ...{ groups: [], scopes: [], claims: {} },
});

/** What a request gets: the status, and the challenge. */
async function at(path: string, headers: RequestParts["headers"]) {
  // With the default ["D"] and the override ["S"] of the server s.
  const identifyKey = createApiKeys([keyOf(D, ["t"]), keyOf(S, ["s"])], { now: () => 1_790_000_000_000 });
  const presents = { keyHeaders: new Set(["x-api-key"]), basic: true, dpop: false, proxyHeaders: new Set<string>() };
  const facts = newCheckFacts("r", 0);
  const check = createCheck(checkSettings({ presents }), allowingPorts({ identifyKey }));
  const outcome = await check(
    requestOf({ path, token: null, headers: headers ?? [] }),
    facts,
    AbortSignal.timeout(1000),
  );
  if (outcome.ok) return { status: Grant.is(outcome.value) ? 200 : 0, challenge: "", body: outcome.value };
  const response = refusalResponse({ publicOrigin: ORIGIN, scopes: [], denial: "http" }, outcome, facts);
  return { status: response.status, challenge: response.headers.get("www-authenticate") ?? "", body: response.body };
}

const bearer = (key: string): RequestParts["headers"] => [["authorization", `Bearer ${key}`]];
const basic = (user: string, key: string): RequestParts["headers"] => [
  ["authorization", `Basic ${Buffer.from(`${user}:${key}`).toString("base64")}`],
];
const ON_S = "/servers/s/mcp";
const ON_T = "/servers/t/mcp";

describe("keys of a list", () => {
  it.each<[string, string, RequestParts["headers"], number]>([
    ["TB-01: the default opens other servers", ON_T, bearer(D), 200],
    ["TB-01: the default is 401 where a server has its own", ON_S, bearer(D), 401],
    ["TB-01: the server's own opens it", ON_S, bearer(S), 200],
    ["TB-01: and no other", ON_T, bearer(S), 401],
    ["TB-02: a bare token without scheme is 401", ON_S, [["authorization", S]], 401],
    ["TB-02: another token is 401", ON_S, bearer(`${S}x`), 401],
    ["TB-02: its digest is 401", ON_S, bearer(createHash("sha256").update(S).digest("hex")), 401],
    ["MO-01: no key is 401", ON_S, [], 401],
    ["MO-01: a wrong key is 401, not 403", ON_S, [["x-api-key", `${S}x`]], 401],
    ["MO-01: the key", ON_S, [["x-api-key", S]], 200],
    ["MO-01: the key as password", ON_S, basic("own-tok", S), 200],
    ["MO-01: a wrong password is 401", ON_S, basic("own-tok", `${S}x`), 401],
    ["MO-01: the password of a key for another server is 401", ON_T, basic("own-tok", S), 401],
  ])("%s", async (_, path, headers, status) => {
    const got = await at(path, headers);
    expect(got.status).toBe(status);
    if (status !== 401) return;
    expect(got.challenge).toContain(`resource_metadata="${ORIGIN}/.well-known/oauth-protected-resource${path}"`);
  });
});

describe("PO-04: the challenge leads to the document of the endpoint that was asked", () => {
  it.each(["/mcp", ON_S, ON_T, endpointPath("v")])("%s", async (path) => {
    const { challenge } = await at(path, []);
    const url = new URL(/resource_metadata="([^"]*)"/.exec(challenge)?.[1] ?? "");
    const { endpoints } = checkSettings();
    const found = findEndpoint(endpoints, url.host, url.pathname);
    expect(found.ok && found.value.endpoint).toEqual({ kind: "document", resource: ORIGIN + path });
  });

  // Two spellings of one endpoint would be two resources: one is served, and a slash at its end is told.
  it.each([
    ["/mcp/", "it is /mcp, without a slash at its end"],
    [`${ON_S}/`, `it is ${ON_S}, without a slash at its end`],
    ["/", undefined],
    ["//mcp", undefined], // the printed Envoy merges slashes before the Check
    ["/servers/s%2Fmcp", undefined], // and answers an escaped slash with 400
  ])("%s is no endpoint", (path, about) => {
    const found = findEndpoint(checkSettings().endpoints, "gw.example.com", path);
    expect([found.ok, found.ok ? null : found.about]).toEqual([false, about]);
  });
});

describe("CL-16, PO-15: the origin is told who calls by a signed assertion", () => {
  const now = 1_790_000_000;
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const tokenFor = (header: string) => {
    const found = assertionSource(
      {
        ...{ issuer: ORIGIN, audience: "https://s.example.com/mcp", claims: {}, qualifySubject: false, seconds: 60 },
        ...{ header, scheme: header === "authorization" ? "Bearer" : "" },
      },
      {
        sign: (claims) => signCompactJws({ alg: "ES256", typ: "JWT", kid: "a1" }, claims, privateKey),
        aliasOf: () => null,
        now: () => now * 1000,
      },
    ).get({ ...ALICE, expiresAt: now + 3600 }, AbortSignal.timeout(1000));
    if (found instanceof Promise || !("found" in found)) throw new Error("no assertion");
    return { header: found.found.header, text: found.found.value?.reveal() ?? "" };
  };

  it.each(["authorization", "cf-access-jwt-assertion", "x-pomerium-jwt-assertion"])("in %s", (header) => {
    const { header: named, text } = tokenFor(header);
    const claims = decodeJwt(text.replace(/^Bearer /, ""));
    expect(named).toBe(header);
    expect(claims).toMatchObject({ iss: ORIGIN, aud: "https://s.example.com/mcp", sub: "alice-sub" });
    expect((claims.exp ?? Infinity) - (claims.iat ?? 0)).toBeLessThanOrEqual(60);
    expect(claims.jti).toMatch(/./);
  });
});

describe("TR-04: sources of keys, of several trusted issuers", () => {
  const RESOURCE = ORIGIN + ON_S;
  const es = makeKey("k1");
  const rsa = makeKey("k1", "RS256");
  const now = Math.floor(Date.now() / 1000);
  const claimsOf = (iss: string) => ({ iss, aud: "gateway", sub: "alice", exp: now + 300, iat: now, tier: "gold" });

  it("by metadata, by jwksUri, each issuer by its own; a shared secret and a key in the token never", async () => {
    const [one, two] = await Promise.all([startIssuer(es), startIssuer(rsa)]);
    const optionsOf = (issuer: string, jwksUri: string | null) => ({
      ...{ issuer, jwksUri, audiences: ["gateway"], algorithms: ["ES256", "RS256"], tokenType: "at+jwt" as const },
      ...{ allowedHosts: [], claims: { username: "sub", groups: "groups", scopes: "scope" } },
    });
    const { jwks_uri: jwksUri } = (await (await fetch(`${two.issuer}/.well-known/openid-configuration`)).json()) as {
      jwks_uri: string;
    };
    const service = createIdentity({
      issuers: [optionsOf(one.issuer, null), optionsOf(two.issuer, jwksUri)],
      now: Date.now,
    });
    await service.start();
    const header = (key: { readonly kid: string; readonly alg: string }) => ({
      alg: key.alg,
      typ: "at+jwt",
      kid: key.kid,
    });
    const [ofOne, ofTwo] = [header({ kid: "k1", alg: "ES256" }), header({ kid: "k1", alg: "RS256" })];
    const verdicts = [];
    for (const token of [
      compact(es, ofOne, claimsOf(one.issuer)),
      compact(rsa, ofTwo, claimsOf(two.issuer)),
      compact(rsa, ofTwo, claimsOf(one.issuer)),
      compact(es, ofOne, claimsOf(two.issuer)),
      compact(es, { ...ofOne, jwk: es.jwk }, claimsOf(two.issuer)),
      hmacCompact("shared-secret", { ...ofOne, alg: "HS256" }, claimsOf(one.issuer)),
      hmacCompact(JSON.stringify(es.jwk), { ...ofOne, alg: "HS256" }, claimsOf(one.issuer)),
    ]) {
      const step = await service.identify(
        token,
        { resource: RESOURCE, source: "192.0.2.1" },
        AbortSignal.timeout(5000),
      );
      verdicts.push(step.ok ? [step.value.issuer, step.value.claims["tier"]] : step.reason);
    }
    expect(verdicts).toEqual([
      [one.issuer, "gold"],
      [two.issuer, "gold"],
      ...Array.from({ length: 5 }, () => "token_invalid"),
    ]);
    service.close();
    await Promise.all([one.close(), two.close()]);
  });
});

describe.skipIf(findTool("opa") === null)("what policy says of callers", () => {
  const folder = mkdtempSync(join(tmpdir(), "mcp-authz-rows-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const verdictOf = async (rule: string, identity: object) => {
    writeFileSync(join(folder, "policy.rego"), `package mcp.authz\n\ndefault allow := false\n\n${rule}\n`);
    const { artifact } = await loadPolicy({ path: folder, rego: "v1", findOpa });
    const caller = { issuer: "https://idp.example.com", subject: "x", username: null, groups: [], scopes: [] };
    const step = await decideBounded(
      artifact,
      {
        identity: { ...caller, ...POLICY_BY_TOKEN, claims: {}, ...identity },
        mcp: { method: "tools/call", server: "s", kind: "tool", name: "read", arguments: {}, version: "1" },
        request: { host: "h", path: ON_S, sourceIp: "", time: 0, headers: {} },
      },
      20_000,
    );
    return step.ok && step.value.allow;
  };

  it.each<[string, string, object, boolean]>([
    ["P3.2-1: a user where a user is demanded", 'allow if input.identity.kind == "user"', { kind: "user" }, true],
    ["P3.2-1: a machine there", 'allow if input.identity.kind == "user"', { kind: "machine" }, false],
    [
      "TR-04: an expression over claims",
      'allow if input.identity.claims.tier in {"gold"}',
      { claims: { tier: "gold" } },
      true,
    ],
    ["TR-04: another value", 'allow if input.identity.claims.tier in {"gold"}', { claims: { tier: "tin" } }, false],
    ["TR-04: no such claim", 'allow if input.identity.claims.tier in {"gold"}', {}, false],
  ])("%s", async (_, rule, identity, expected) => expect(await verdictOf(rule, identity)).toBe(expected), 30_000);
});
