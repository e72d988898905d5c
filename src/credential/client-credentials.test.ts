// The credential kind `client_credentials`, and the three ways in which the client proves itself at a token endpoint.
import { generateKeyPairSync, verify, constants, type KeyObject } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { answerJson, callerOf, CLIENT, ownGrant, startTokenEndpoint } from "../../test/fakes/token-endpoint.ts";
import type { FakeTokenEndpoint } from "../../test/fakes/token-endpoint.ts";
import { Secret } from "../secret/secret.ts";
import { clientCredentialsSource, type ClientCredentialsOptions } from "./client-credentials.ts";
import { exchangeSource } from "./exchange/source.ts";
import { createTokenEndpoint } from "./exchange/token-endpoint.ts";
import { createLookupCache } from "./lookup-cache.ts";
import type { Lookup } from "./source.ts";

const never = new AbortController().signal;
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-client-"));
const clock = { ahead: 0, monotonic: 0 };
let fake: FakeTokenEndpoint;
beforeAll(async () => {
  fake = await startTokenEndpoint();
});
afterEach(() => {
  fake.respond = fake.honest;
  fake.requests.length = 0;
  clock.ahead = 0;
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await fake.close();
});

const CLIENT_OF_SECRET = { id: CLIENT.id, secret: new Secret(CLIENT.secret) };

function sourceOf(changes: Partial<ClientCredentialsOptions> = {}) {
  const options: ClientCredentialsOptions = {
    ...{ entry: "servers.a.credential[0]", client: CLIENT_OF_SECRET, header: "authorization", scheme: "Bearer" },
    ...{ scope: null, audience: null, resource: null, timeoutMs: 5000, negativeTtlMs: 5000 },
    ...changes,
  };
  const outcomes: string[] = [];
  const now = () => Date.now() + clock.ahead;
  const source = clientCredentialsSource(options, {
    endpoint: createTokenEndpoint({ url: fake.url, ca: null }),
    cache: createLookupCache({ monotonic: () => clock.monotonic, now }),
    now,
    monotonic: () => clock.monotonic,
    onOutcome: (outcome) => outcomes.push(outcome),
  });
  return { outcomes, get: async (who: string): Promise<Lookup> => source.get(callerOf(who), never) };
}

const granting = (claims: object, changes: object = {}) => {
  fake.respond = (response) => answerJson(response, 200, { ...ownGrant(claims), ...changes });
};
const tokenIn = (lookup: Lookup) => ("found" in lookup ? lookup.found.value?.reveal() : lookup);

describe("PO-01: client_credentials", () => {
  it("CF-13: 50 first calls of many callers make one request, the next 50 none; it is the gateway's, not the caller's", async () => {
    const { get, outcomes } = sourceOf({ scope: "mcp:tools" });
    const callers = Array.from({ length: 50 }, (_, i) => `user-${i}`);
    const answers = [...(await Promise.all(callers.map(get))), ...(await Promise.all(callers.map(get)))];
    expect(new Set(answers.map(tokenIn)).size).toBe(1);
    expect(tokenIn(answers[0] as Lookup)).toMatch(/^Bearer ey/);
    expect(fake.requests.map(({ body }) => body)).toEqual(["grant_type=client_credentials&scope=mcp%3Atools"]);
    expect(outcomes).toEqual(["ok"]);
  });

  it.each([
    [{}, { grant_type: "client_credentials" }],
    [{ audience: "https://api.example.com" }, { audience: "https://api.example.com" }],
    [{ resource: "https://a.example.com/mcp" }, { resource: "https://a.example.com/mcp" }],
    [{ scope: "api://x/.default" }, { scope: "api://x/.default" }],
  ])("CF-14: what is configured is sent, and nothing else: %j", async (changes, form) => {
    granting({ aud: Object.values(changes) });
    expect(await sourceOf(changes).get("alice")).toHaveProperty("found");
    const sent = fake.requests[0]?.form ?? new URLSearchParams();
    expect(Object.fromEntries(sent)).toEqual({ grant_type: "client_credentials", ...form });
  });

  it.each(["audience", "resource"] as const)(
    "an IdP that ignores `%s` gives a token for somebody else",
    async (key) => {
      granting({ aud: "https://other.example.com" });
      const answer = await sourceOf({ [key]: "https://a.example.com" }).get("alice");
      expect(answer).toEqual({ cannotTell: `the token's aud does not name the configured ${key}` });
    },
  );

  it("R3: expires_in as a text; a token in its last seconds is not used", async () => {
    granting({ exp: undefined }, { expires_in: "120" });
    const { get } = sourceOf();
    await get("alice");
    clock.ahead = 85_000;
    await get("bob");
    expect(fake.requests).toHaveLength(1);
    clock.ahead = 95_000;
    await get("bob");
    expect(fake.requests).toHaveLength(2);
  });

  it("CF-13: a failing IdP is asked once per negative time, and its refusal is never *has none*", async () => {
    const { get, outcomes } = sourceOf();
    fake.respond = (response) => answerJson(response, 400, { error: "invalid_grant" });
    const fault = { cannotTell: "the token endpoint answered 400 invalid_grant to client_credentials: see client" };
    for (const who of ["alice", "bob", "carol"]) expect(await get(who)).toEqual(fault);
    expect(fake.requests).toHaveLength(1);
    clock.monotonic += 5001;
    fake.respond = fake.honest;
    expect(await get("alice")).toHaveProperty("found");
    expect(outcomes).toEqual(["unavailable", "ok"]);
  });

  it.each([
    ["bound to a key", { cnf: { jkt: "x" } }, {}],
    ["not a bearer token", {}, { token_type: "DPoP" }],
    ["no token", {}, { access_token: "" }],
    ["two lines", {}, { access_token: "a\nb" }],
    ["over", { exp: 1 }, {}],
  ])("an answer that is %s is *cannot tell*", async (_, claims, changes) => {
    granting(claims, changes);
    expect(await sourceOf().get("alice")).toHaveProperty("cannotTell");
  });
});

const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const pem = (key: KeyObject) => key.export({ type: "pkcs8", format: "pem" }).toString();

function readJwt(jwt: string) {
  const [header = "", claims = "", signature = ""] = jwt.split(".");
  const json = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString()) as Record<string, unknown>;
  const [input, bytes] = [Buffer.from(`${header}.${claims}`), Buffer.from(signature, "base64url")];
  return { header: json(header), claims: json(claims), input, bytes };
}

describe("the client's proof", () => {
  it("client_secret_post: in the form alone", async () => {
    granting({});
    await sourceOf({ client: { ...CLIENT_OF_SECRET, auth: "client_secret_post" } }).get("alice");
    const [sent] = fake.requests;
    expect(sent?.headers).not.toHaveProperty("authorization");
    expect(Object.fromEntries(sent?.form ?? [])).toMatchObject({ client_id: CLIENT.id, client_secret: CLIENT.secret });
  });

  it.each([
    ["ES256", ec, { dsaEncoding: "ieee-p1363" }],
    ["RS256", rsa, {}],
    ["PS256", rsa, { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }],
  ] as const)("RFC 7523: private_key_jwt with %s", async (algorithm, { privateKey, publicKey }, how) => {
    granting({});
    const key = { key: new Secret(pem(privateKey)), kid: "k1", algorithm, audience: null };
    const { get } = sourceOf({ client: { id: CLIENT.id, privateKey: key } });
    await get("alice");
    clock.ahead = 400_000;
    await get("alice");
    const jtis = fake.requests.map(({ form, headers }) => {
      expect(headers).not.toHaveProperty("authorization");
      expect(form.get("client_id")).toBe(CLIENT.id);
      expect(form.get("client_assertion_type")).toBe("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
      const { header, claims, input, bytes } = readJwt(form.get("client_assertion") ?? "");
      expect(header).toEqual({ alg: algorithm, typ: "JWT", kid: "k1" });
      expect(claims).toMatchObject({ iss: CLIENT.id, sub: CLIENT.id, aud: fake.url });
      expect((claims["exp"] as number) - (claims["iat"] as number)).toBe(60);
      expect(verify("sha256", input, { key: publicKey, ...how }, bytes)).toBe(true);
      return claims["jti"];
    });
    expect(new Set(jtis).size).toBe(2);
  });

  it("MS-22, AZ-15: a projected token is sent as its file is now, without any secret", async () => {
    const file = join(folder, "projected");
    writeFileSync(file, "e30.e30.one\n");
    granting({});
    const read = () => readFileSync(file, "utf8");
    const { get } = sourceOf({ client: { id: "workload", clientAssertion: new Secret(read(), read) } });
    await get("alice");
    writeFileSync(file, "e30.e30.two");
    clock.ahead = 400_000;
    await get("alice");
    expect(fake.requests.map(({ form }) => form.get("client_assertion"))).toEqual(["e30.e30.one", "e30.e30.two"]);
    expect(fake.requests[0]?.form.has("client_secret")).toBe(false);
  });

  it("P3.2-2: a rotated secret is used without a restart", async () => {
    const file = join(folder, "secret");
    writeFileSync(file, "old");
    const read = () => readFileSync(file, "utf8");
    granting({});
    const { get } = sourceOf({ client: { id: "a", secret: new Secret(read(), read) } });
    writeFileSync(file, CLIENT.secret);
    await get("alice");
    const basic = Buffer.from(fake.requests[0]?.headers.authorization?.slice(6) ?? "", "base64").toString();
    expect(basic).toContain("client-secret-canary");
  });

  it.each([
    ["a file that holds no JWT", { clientAssertion: new Secret("not a token") }],
    ["a file with two lines", { clientAssertion: new Secret("e30.e30.x\ne30.e30.y") }],
    [
      "a key of another algorithm",
      { privateKey: { key: new Secret(pem(ec.privateKey)), kid: null, algorithm: "RS256" as const, audience: null } },
    ],
    [
      "a key that is none",
      { privateKey: { key: new Secret("x"), kid: null, algorithm: "ES256" as const, audience: null } },
    ],
    ["no proof", {}],
  ])("%s: nobody is asked, and no text of it is said", async (_, proof) => {
    const answer = await sourceOf({ client: { id: "a", ...proof } }).get("alice");
    expect(answer).toHaveProperty("cannotTell");
    expect(JSON.stringify(answer)).not.toMatch(/e30|PRIVATE|not a token/);
    expect(fake.requests).toEqual([]);
  });

  it("exchange proves itself in the same ways", async () => {
    fake.respond = (response) => answerJson(response, 400, { error: "invalid_grant" });
    const key = {
      key: new Secret(pem(ec.privateKey)),
      kid: null,
      algorithm: "ES256" as const,
      audience: "https://idp",
    };
    const options = { ...{ entry: "a", issuer: null, profile: "rfc8693" as const, audience: "b", scope: null } };
    const more = { allowScopes: [], timeoutMs: 5000, negativeTtlMs: 5, header: "authorization", scheme: "Bearer" };
    const endpoint = createTokenEndpoint({ url: fake.url, ca: null });
    const deps = { endpoint, cache: createLookupCache(), now: Date.now, onOutcome: () => {} };
    await exchangeSource({ ...options, ...more, client: { id: "gw", privateKey: key } }, deps).get(
      callerOf("al"),
      never,
    );
    expect(readJwt(fake.requests[0]?.form.get("client_assertion") ?? "").claims).toMatchObject({ aud: "https://idp" });
  });
});
