import { describe, expect, it } from "vitest";
import type { JsonObject } from "../json/types.ts";
import { createVouched, type VouchedDeps } from "./vouched.ts";

const NOW = 1_790_000_000;
const ISSUER = "https://idp.example.com";
const RESOURCE = "https://gw.example.com/mcp";
const SAID = { username: undefined, groups: undefined, scopes: undefined };
const ALICE = { iss: ISSUER, sub: "alice", aud: "gateway-app", exp: NOW + 600, iat: NOW };
const { aud: _, ...NO_AUD } = ALICE;
const JKT = "a".repeat(43);

type Issuer = VouchedDeps["issuers"][number];

function vouch(claims: JsonObject | null, more: Partial<Issuer> = {}): string {
  const issuer: Issuer = {
    ...{ issuer: ISSUER, audiences: ["gateway-app"], tokenType: "at+jwt" },
    claims: { username: "username", groups: "groups", scopes: "scope" },
    ...more,
  };
  const vouched = createVouched({ issuers: [issuer], now: () => NOW * 1000, revoked: () => null });
  const step = vouched({ subject: "alice", kind: "user", issuer: null, claims, said: SAID }, [RESOURCE]);
  return step.ok ? "pass" : step.reason;
}

describe("the audience", () => {
  const byClient = { audienceClaim: "client_id" };
  const byPointer = { audienceClaim: "/realm/app" };
  it.each<[string, JsonObject, Partial<Issuer>, string]>([
    ["is ours", ALICE, {}, "pass"],
    ["is the endpoint", { ...ALICE, aud: [RESOURCE] }, {}, "pass"],
    ["is another", { ...ALICE, aud: "other-app" }, {}, "token_audience"],
    ["is not said", NO_AUD, {}, "pass"],
    ["is not said, nor its claim", NO_AUD, byClient, "pass"],
    ["is ours by its claim", { ...NO_AUD, client_id: "gateway-app" }, byClient, "pass"],
    ["is another by its claim", { ...NO_AUD, client_id: "other-app" }, byClient, "token_audience"],
    ["is another by a list", { ...NO_AUD, client_id: ["x", "y"] }, byClient, "token_audience"],
    ["is another by a pointer", { ...NO_AUD, realm: { app: "other-app" } }, byPointer, "token_audience"],
    ["is ours by a pointer", { ...NO_AUD, realm: { app: "gateway-app" } }, byPointer, "pass"],
    ["is the issuer's name by its claim", { ...NO_AUD, client_id: ISSUER }, byClient, "token_audience"],
    ["is nothing by its claim", { ...NO_AUD, client_id: null }, byClient, "token_invalid"],
    ["is empty by its claim", { ...NO_AUD, client_id: [] }, byClient, "token_invalid"],
    ["`aud` counts before its claim", { ...ALICE, aud: "other", client_id: "gateway-app" }, byClient, "token_audience"],
    ["`aud` counts before its claim, ours", { ...ALICE, client_id: "other-app" }, byClient, "pass"],
    ["`aud` is null", { ...ALICE, aud: null, client_id: "gateway-app" }, byClient, "token_invalid"],
  ])("%s", (_what, claims, issuer, expected) => {
    expect(vouch(claims, issuer)).toBe(expected);
  });
});

it.each<[string, JsonObject, string]>([
  ["is the claim", { ...ALICE, sub: "x", oid: "alice" }, "pass"],
  ["is another's by the claim", { ...ALICE, oid: "bob" }, "token_invalid"],
  ["is not in the claims, whatever sub is", ALICE, "token_invalid"],
])("claims.subject: the subject %s", (_what, claims, expected) => {
  const names = { subject: "oid", username: "username", groups: "groups", scopes: "scope" };
  expect(vouch(claims, { claims: names })).toBe(expected);
});

describe("what a Check would refuse", () => {
  it.each<[string, JsonObject]>([
    ["nonce", { nonce: "n" }],
    ["at_hash", { at_hash: "x" }],
    ["c_hash", { c_hash: "x" }],
    ["s_hash", { s_hash: "x" }],
    ["a logout token", { events: {} }],
    ["typ of an ID token", { typ: "ID" }],
    ["typ of a refresh token", { typ: "Refresh" }],
    ["typ of an offline token", { typ: "Offline" }],
    ["typ of a logout token", { typ: "Logout" }],
    ["token_use of an ID token", { token_use: "id" }],
    ["token_use of nothing known", { token_use: 7 }],
    ["a key to which no token may be bound", { cnf: { jkt: JKT } }],
    ["another subject", { sub: "bob" }],
    ["another issuer", { iss: "https://other.example.com" }],
    ["an actor that cannot be read", { act: "x" }],
    ["a time that is none", { nbf: "soon" }],
    ["not valid yet", { nbf: NOW + 3600 }],
    ["issued later", { iat: NOW + 3600 }],
    ["too long a life", { exp: NOW + 100 * 3600 }],
    ["groups elsewhere", { _claim_names: { groups: "src1" } }],
    ["groups that are none", { groups: { a: 1 } }],
  ])("%s, whatever the issuer's type of token is", (_what, more) => {
    for (const tokenType of ["at+jwt", "jwt"] as const)
      expect(vouch({ ...ALICE, ...more }, { tokenType })).toBe("token_invalid");
  });

  it("what says that it is an access token is one", () => {
    for (const more of [{ token_use: "access" }, { typ: "Bearer" }]) expect(vouch({ ...ALICE, ...more })).toBe("pass");
  });

  it("ended", () => expect(vouch({ ...ALICE, exp: NOW - 61 })).toBe("token_expired"));
});

it("where tokens must be bound, their claims must say so", () => {
  const dpop = "required";
  expect(vouch(ALICE, { dpop })).toBe("proof_invalid");
  expect(vouch(NO_AUD, { dpop })).toBe("proof_invalid");
  expect(vouch({ ...ALICE, cnf: { "x5t#S256": JKT } }, { dpop })).toBe("token_invalid");
  expect(vouch({ ...ALICE, cnf: { jkt: JKT } }, { dpop })).toBe("pass");
  expect(vouch(ALICE, { dpop: "accepted" })).toBe("pass");
  expect(vouch(null, { dpop })).toBe("pass");
});
