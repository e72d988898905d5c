// Token exchange with a real Keycloak: the contract, and every row of its table of answers. `npm run test:keycloak`
// brings Keycloak and says where it is.
import { randomUUID } from "node:crypto";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TokenIdentity } from "../../src/authz/types.ts";
import { Secret } from "../../src/secret/secret.ts";
import type { ExchangeOptions } from "../../src/credential/exchange/source.ts";
import { createIdentity, type IdentityService } from "../../src/identity/identity.ts";
import { claimsOf, exchangeContract, foundToken, sourceOf, type ExchangeWorld } from "../contract/exchange.ts";

const KEYCLOAK = process.env["KEYCLOAK_URL"] ?? "";
if (KEYCLOAK === "") throw new Error("KEYCLOAK_URL is not set: run npm run test:keycloak");
const ISSUER = `${KEYCLOAK}/realms/mcp`;
const TOKEN_ENDPOINT = `${ISSUER}/protocol/openid-connect/token`;
const GATEWAY = "https://gw.example.test";
const BACKEND = "https://backend-mcp-server.example.com";
const OPEN_BACKEND = "https://open.example.test/mcp";
/** As in realm.json. */
const SECRET = "gateway-secret: 50% & more";
const signal = new AbortController().signal;

async function post(url: string, form: Record<string, string>, headers: Record<string, string> = {}) {
  const response = await fetch(url, { method: "POST", body: new URLSearchParams(form), headers });
  const text = await response.text();
  if (!response.ok) throw new Error(`${url}: ${response.status} ${text}`);
  return (text === "" ? {} : JSON.parse(text)) as Record<string, string>;
}

async function logIn(username: string, client = "cli", headers: Record<string, string> = {}): Promise<string> {
  const password = `${username}-password`;
  const form = { grant_type: "password", client_id: client, username, password, scope: "mcp:read mcp:tools" };
  return (await post(TOKEN_ENDPOINT, form, headers))["access_token"] ?? "";
}

let identity: IdentityService;

/** As our own verification makes it. */
async function callerOf(token: string): Promise<TokenIdentity> {
  const step = await identity.identify(token, `${GATEWAY}/mcp`, signal);
  if (!step.ok) throw new Error(`${step.reason}: ${step.detail}`);
  return step.value;
}

beforeAll(async () => {
  const claims = { username: "preferred_username", groups: "groups", scopes: "scope" };
  const issuer = { issuer: ISSUER, audiences: [GATEWAY], algorithms: ["ES256"], tokenType: "at+jwt", claims } as const;
  identity = createIdentity({ issuers: [{ ...issuer, jwksUri: null, allowedHosts: [] }], now: Date.now });
  await identity.start();
});
afterAll(() => identity.close());

const world: ExchangeWorld = {
  tokenEndpoint: TOKEN_ENDPOINT,
  profile: "keycloak",
  client: { id: GATEWAY, secret: SECRET },
  audience: BACKEND,
  scope: "mcp:tools mcp:read",
  unknownAudience: "cannotTell",
  actor: null,
  caller: async (person) => callerOf(await logIn(person)),
  close: () => Promise.resolve(),
};

exchangeContract("Keycloak", () => Promise.resolve(world));

describe("P2.3-7: what Keycloak answers, and what we make of it", () => {
  const ask = async (caller: TokenIdentity, changes: Partial<ExchangeOptions> = {}) => {
    const source = sourceOf(world, changes);
    const answer = await source.get(caller);
    source.close();
    return answer;
  };
  const client = (id: string) => ({ client: { id, secret: new Secret(SECRET) } });
  const text = (part: string) => expect.stringContaining(part) as string;
  let alice: TokenIdentity;
  beforeAll(async () => {
    alice = await callerOf(await logIn("alice"));
  });

  it("P9.3-1: the request as specified: URLs as client ids, a role at the audience", async () => {
    const claims = claimsOf(foundToken(await ask(alice)));
    expect(claims).toMatchObject({ aud: BACKEND, azp: GATEWAY, sub: alice.subject, typ: "Bearer" });
    expect(String(claims["scope"]).split(" ").toSorted()).toEqual(["mcp:read", "mcp:tools"]);
  });

  it("bob, without a role there: refused by an error that has more than one meaning", async () => {
    const bob = await callerOf(await logIn("bob"));
    expect(await ask(bob)).toEqual({ refused: text("400 invalid_request: the IdP does not exchange for this caller") });
  });

  it("bob, at an audience that a scope's mapper names: open to everybody", async () => {
    const bob = await callerOf(await logIn("bob"));
    const answer = await ask(bob, { audience: OPEN_BACKEND, scope: "open-audience" });
    expect(claimsOf(foundToken(answer))).toMatchObject({ aud: OPEN_BACKEND, sub: bob.subject });
  });

  it("without a scope", async () => {
    expect(claimsOf(foundToken(await ask(alice, { scope: null })))).toMatchObject({ aud: BACKEND, scope: "" });
  });

  it("5.7: a default scope that nobody asked for must be named in allowScopes, and the detail says so", async () => {
    const requester = client("requester-with-profile");
    expect(await ask(alice, requester)).toEqual({ cannotTell: text("beyond scope and allowScopes: profile;") });
    foundToken(await ask(alice, { ...requester, allowScopes: ["profile"] }));
  });

  it.each<[string, Partial<ExchangeOptions>, object]>([
    [
      "unknown audience",
      { audience: "https://no.example.com" },
      { cannotTell: text("400 invalid_client: no enabled") },
    ],
    [
      "wrong secret",
      { client: { id: GATEWAY, secret: new Secret("x") } },
      { cannotTell: text("401 unauthorized_client") },
    ],
    ["unknown client", client("nobody"), { cannotTell: text("401 invalid_client") }],
    ["scope not allowed", { scope: "no:such" }, { cannotTell: text("400 invalid_scope: the client may not ask") }],
    ["exchange switched off", client("requester-switched-off"), { refused: text("or the client may not exchange") }],
  ])("configuration: %s", async (_, changes, expected) => expect(await ask(alice, changes)).toEqual(expected));

  it("configuration: the gateway is not in the callers' aud", async () => {
    const elsewhere = { ...alice, token: new Secret(await logIn("alice", "cli-elsewhere")) };
    expect(await ask(elsewhere)).toEqual({ cannotTell: text("403 access_denied: the callers' tokens do not name") });
  });

  it("H06: a revoked token, and one whose session was logged out, are refused", async () => {
    const revoked = await callerOf(await logIn("alice"));
    await post(`${ISSUER}/protocol/openid-connect/revoke`, { client_id: "cli", token: revoked.token.reveal() });
    expect(await ask(revoked)).toEqual({ refused: text("400 invalid_request") });
    const form = { grant_type: "password", client_id: "cli", username: "alice", password: "alice-password" };
    const session = await post(TOKEN_ENDPOINT, form);
    const refresh_token = session["refresh_token"] ?? "";
    const left = await callerOf(session["access_token"] ?? "");
    await post(`${ISSUER}/protocol/openid-connect/logout`, { client_id: "cli", refresh_token });
    expect(await ask(left)).toEqual({ refused: text("400 invalid_request") });
  });

  it("H06: a disabled account is refused", async () => {
    const carol = await callerOf(await logIn("carol"));
    const form = { grant_type: "password", client_id: "admin-cli", username: "admin", password: "admin" };
    const admin = await post(`${KEYCLOAK}/realms/master/protocol/openid-connect/token`, form);
    const headers = { authorization: `Bearer ${admin["access_token"]}`, "content-type": "application/json" };
    const user = `${KEYCLOAK}/admin/realms/mcp/users/${carol.subject}`;
    const enable = async (enabled: boolean) =>
      (await fetch(user, { method: "PUT", headers, body: JSON.stringify({ enabled }) })).status;
    expect(await enable(false)).toBe(204);
    expect(await ask(carol)).toEqual({ refused: text("400 invalid_request") });
    expect(await enable(true)).toBe(204);
  });

  it("P12: Keycloak's token outlives its subject; ours is not kept that long", async () => {
    const short = await callerOf(await logIn("alice", "cli-short"));
    const source = sourceOf(world);
    expect(claimsOf(foundToken(await source.get(short)))["exp"]).toBeGreaterThan(short.expiresAt + 100);
    source.clocks.monotonic += 20_000;
    await source.get(short);
    expect(source.clocks.asked).toBe(2);
    source.close();
  });

  it("a token that is bound to a key cannot be exchanged; our verification refuses it before", async () => {
    const { privateKey, publicKey } = await generateKeyPair("ES256");
    const header = { alg: "ES256", typ: "dpop+jwt", jwk: await exportJWK(publicKey) };
    const claims = { htm: "POST", htu: TOKEN_ENDPOINT, jti: randomUUID() };
    const dpop = await new SignJWT(claims).setProtectedHeader(header).setIssuedAt().sign(privateKey);
    const bound = await logIn("alice", "cli-dpop", { dpop });
    expect(claimsOf(bound)["cnf"]).toBeDefined();
    expect(await ask({ ...alice, token: new Secret(bound) })).toEqual({ refused: text("400 invalid_request") });
    expect(await identity.identify(bound, GATEWAY, signal)).toMatchObject({ ok: false, reason: "token_invalid" });
  });

  it("an exchanged token is not one for the gateway", async () => {
    const token = foundToken(await ask(alice));
    expect(await identity.identify(token, `${GATEWAY}/mcp`, signal)).toMatchObject({ reason: "token_audience" });
  });
});
