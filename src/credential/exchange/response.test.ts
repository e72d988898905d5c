import { describe, expect, it } from "vitest";
import {
  ACCESS_TOKEN_TYPE,
  AUDIENCE,
  callerOf,
  exchangedFor,
  granting,
  SCOPE,
  tokenOf,
} from "../../../test/fakes/token-endpoint.ts";
import { readResponse, type Expectation } from "./response.ts";
import { ERRORS } from "./errors.ts";

const ALICE = callerOf("alice-sub", 3600);
const OWN = ALICE.token.reveal();
const NOW = Date.now();
const EXPECTED: Expectation = {
  profile: "rfc8693",
  audience: AUDIENCE,
  scope: SCOPE,
  allowScopes: [],
  secrets: ["client-secret-canary", "short"],
  subject: ALICE.subject,
  subjectToken: OWN,
  actor: null,
  before: [],
  subjectExp: ALICE.expiresAt,
  askedAt: NOW,
  now: NOW,
};
const JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt";
const GOOD = exchangedFor("alice-sub");
const OPAQUE = "2YotnFZFEjr1zCsicMWpAA";

function read(body: unknown, changes: Partial<Expectation> = {}, status = 200, type = "application/json") {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return readResponse(
    { status, headers: { "content-type": type }, body: Buffer.from(text) },
    { ...EXPECTED, ...changes },
  );
}
/** The answer with some members changed, as it comes out. */
const grant = (changes: Record<string, unknown>, expected: Partial<Expectation> = {}, token: unknown = GOOD) =>
  read(granting(token as string, changes), expected);
const part = (text: string) => expect.stringContaining(text) as string;
const seconds = (n: number) => Math.floor(NOW / 1000) + n;

describe("a token is granted", () => {
  it("P9.3-2: the specified answer, for less than its life", () => {
    const answer = read({ ...granting(GOOD), expires_in: 3600 }, { subjectExp: seconds(9999) });
    expect(answer).toMatchObject({ granted: GOOD });
    expect("life" in answer && answer.life.ttlMs / 1000).toBeLessThan(300); // the token's own exp
    expect(read({ ...granting(GOOD), expires_in: "3600" }, { subjectExp: seconds(9999) })).toEqual(answer); // R3
    const opaque = read({ ...granting(OPAQUE), expires_in: 3600 }, { subjectExp: seconds(9999) });
    expect("life" in opaque && opaque.life.ttlMs / 1000).toBe(3570);
  });

  it.each<[string, Record<string, unknown>, Partial<Expectation>, string]>([
    ["P9.3-2: bearer in lower case", { token_type: "bearer" }, {}, GOOD],
    ["bearer in upper case", { token_type: "BEARER" }, {}, GOOD],
    ["H02: an opaque token, bound to what was asked", {}, {}, OPAQUE],
    ["the type of a JWT, for a JWT", { issued_token_type: JWT_TYPE }, {}, GOOD],
    ["no scope: as asked (RFC 8693 §2.2.1)", { scope: undefined }, {}, GOOD],
    ["an empty scope", { scope: "" }, {}, GOOD],
    ["fewer scopes", { scope: "mcp:read" }, {}, GOOD],
    ["a scope of allowScopes", { scope: `${SCOPE} profile` }, { allowScopes: ["profile"] }, GOOD],
    ["nothing asked, something allowed", { scope: "profile" }, { scope: null, allowScopes: ["profile"] }, GOOD],
    ["a refresh token beside it, which nobody keeps", { refresh_token: "r" }, {}, GOOD],
    ["members of others", { "not-before-policy": 0, session_state: "x" }, {}, GOOD],
    ["several audiences", {}, {}, exchangedFor("alice-sub", AUDIENCE, { aud: ["x", AUDIENCE] })],
    ["no sub", {}, {}, tokenOf({ aud: AUDIENCE })],
    ["an opaque token with dots", {}, {}, "ya29.a0AfH6.SMBx"],
    ["an encrypted token", {}, {}, "eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn"],
    ["Keycloak's", {}, { profile: "keycloak" }, exchangedFor("alice-sub", AUDIENCE, { typ: "Bearer" })],
  ])("%s", (_, changes, expected, token) => expect(grant(changes, expected, token)).toMatchObject({ granted: token }));
});

describe("an answer that is no bearer access token is cannot tell", () => {
  it.each<[string, Record<string, unknown>, string]>([
    ["H03: N_A", { token_type: "N_A" }, "token_type"],
    ["H03: DPoP", { token_type: "DPoP" }, "token_type"],
    ["H03: no token_type", { token_type: undefined }, "token_type"],
    ["H03: token_type is a list", { token_type: ["Bearer"] }, "token_type"],
    ["H03: token_type with a space", { token_type: "Bearer " }, "token_type"],
    ["H03: an ID token", { issued_token_type: ACCESS_TOKEN_TYPE.replace("access", "id") }, "issued_token_type"],
    [
      "H03: a refresh token",
      { issued_token_type: ACCESS_TOKEN_TYPE.replace("access", "refresh") },
      "issued_token_type",
    ],
    ["H03: SAML", { issued_token_type: "urn:ietf:params:oauth:token-type:saml2" }, "issued_token_type"],
    ["H03: no issued_token_type", { issued_token_type: undefined }, "issued_token_type"],
    [
      "H03: issued_token_type in another case",
      { issued_token_type: ACCESS_TOKEN_TYPE.toUpperCase() },
      "issued_token_type",
    ],
    ["H01: no access_token", { access_token: undefined }, "access_token"],
    ["H01: access_token is null", { access_token: null }, "access_token"],
    ["H01: access_token is an object", { access_token: {} }, "access_token"],
    ["H01: empty", { access_token: "" }, "access_token"],
    ["C08: a newline", { access_token: "abc\nx: y" }, "access_token"],
    ["C08: a space", { access_token: "abc def" }, "access_token"],
    ["C08: not ASCII", { access_token: "abcé" }, "access_token"],
    ["C08: above 16 KiB", { access_token: "a".repeat(16 * 1024 + 1) }, "access_token"],
    ["H01: 200 with an error", { error: "invalid_request" }, "with an error"],
    ["H04: expires_in 0", { expires_in: 0 }, "expires_in"],
    ["H04: expires_in negative", { expires_in: -1 }, "expires_in"],
    ["H04: expires_in a word", { expires_in: "300s" }, "expires_in"],
    ["H04: expires_in a text of no number", { expires_in: "" }, "expires_in"],
    ["H04: expires_in a text with a sign", { expires_in: "+300" }, "expires_in"],
    ["H04: expires_in a fraction", { expires_in: 299.5 }, "expires_in"],
    ["H04: expires_in beyond whole numbers", { expires_in: 1e300 }, "expires_in"],
    ["H04: expires_in null", { expires_in: null }, "expires_in"],
    ["H04: expires_in true", { expires_in: true }, "expires_in"],
    ["scope is a list", { scope: ["mcp:read"] }, "scope is malformed"],
    ["scope is null", { scope: null }, "scope is malformed"],
  ])("%s", (_, changes, fault) => expect(grant(changes)).toEqual({ cannotTell: part(fault) }));

  it("a token of exactly 16 KiB passes", () =>
    expect(grant({ access_token: "a".repeat(16 * 1024) })).toHaveProperty("granted"));

  const good = JSON.stringify(granting(GOOD));
  it.each<[string, string, string?]>([
    ["H04: expires_in 1e400", good.replace('"expires_in":300', '"expires_in":1e400')],
    ["H01: HTML", "<html>", "text/html"],
    ["H01: HTML that says it is JSON", "<html>"],
    ["H01: JSON that says it is HTML", good, "text/html"],
    ["H01: JSON without a type", good, ""],
    ["another JSON type", good, "application/jsonp"],
    ["nothing", ""],
    ["cut off", good.slice(0, -1)],
    ["a list", `[${good}]`],
    ["null", "null"],
    ["text after it", `${good} x`],
    ["two", `${good}${good}`],
    ["M6: a name twice", good.replace("{", '{"token_type":"N_A",')],
    ["M6: a name in another case", good.replace("{", '{"Token_Type":"N_A",')],
    ["M8: nested", `{"x":${"[".repeat(100)}${"]".repeat(100)}}`],
    ["a byte-order mark", `\uFEFF${good}`],
  ])("%s", (_, text, type = "application/json") =>
    expect(read(text, {}, 200, type)).toEqual({ cannotTell: "the answer is not one strict JSON object" }),
  );
});

describe("a token for somebody or something else is cannot tell", () => {
  const odd = `${GOOD.slice(0, -1)}${GOOD.endsWith("A") ? "B" : "A"}`.replace(/\.([^.]*)$/, "=.$1");
  it.each<[string, string, string, Partial<Expectation>?]>([
    ["H02: another audience", exchangedFor("alice-sub", "https://other.example.com"), "aud"],
    ["H02: no audience", tokenOf({ sub: "alice-sub", exp: seconds(300) }), "aud"],
    ["H02: an audience that begins alike", exchangedFor("alice-sub", `${AUDIENCE}/`), "aud"],
    ["H02: an audience in another case", exchangedFor("alice-sub", AUDIENCE.toUpperCase()), "aud"],
    ["H02: a list of others", exchangedFor("alice-sub", AUDIENCE, { aud: ["a", "b", 5, null] }), "aud"],
    ["H02: a list in a list", exchangedFor("alice-sub", AUDIENCE, { aud: [[AUDIENCE]] }), "aud"],
    ["P2.3-3, P5: another subject", exchangedFor("bob-sub"), "sub"],
    ["a subject of another type", exchangedFor("alice-sub", AUDIENCE, { sub: ["alice-sub"] }), "sub"],
    ["a token that is bound to a key", exchangedFor("alice-sub", AUDIENCE, { cnf: { jkt: "x" } }), "bound"],
    ["H12: the caller's own token", OWN, "own token"],
    ["H12, M5: the caller's own in another spelling", OWN.replace(/\.[^.]*$/, ".AAAA"), "own token"],
    ["H12: padded", `${OWN}=`, "own token"],
    ["M5: a JWT in an odd spelling is not taken for an opaque one", odd, "strict form"],
    ["a JWT whose claims are no object", `${GOOD.split(".")[0]}.W10.AAAA`, "strict form"],
    ["the type of a JWT, for something else", OPAQUE, "strict form", { profile: "keycloak" }],
    ["P12: over by its exp", tokenOf({ aud: AUDIENCE, exp: seconds(-1) }), "over already"],
    ["exp is a fraction", tokenOf({ aud: AUDIENCE, exp: seconds(300) + 0.5 }), "exp is malformed"],
    ["exp is a string", tokenOf({ aud: AUDIENCE, exp: "1" }), "exp is malformed"],
    ["exp is null", tokenOf({ aud: AUDIENCE, exp: null }), "exp is malformed"],
    ["Keycloak's ID token", exchangedFor("alice-sub", AUDIENCE, { typ: "ID" }), "typ", { profile: "keycloak" }],
    ["Keycloak's without typ", GOOD, "typ", { profile: "keycloak" }],
  ])("%s", (_, token, fault, expected) => expect(grant({}, expected, token)).toEqual({ cannotTell: part(fault) }));

  it("H03: the type of a JWT needs one", () => {
    expect(grant({ issued_token_type: JWT_TYPE }, {}, OPAQUE)).toEqual({ cannotTell: part("strict form") });
  });
});

describe("5.7: a scope beyond the configured ones is cannot tell, and the detail says what to add", () => {
  it.each<[string, Record<string, unknown>, object, Partial<Expectation>, string]>([
    ["in the answer", { scope: `${SCOPE} admin` }, {}, {}, "allowScopes: admin;"],
    ["in the token alone", { scope: SCOPE }, { scope: `${SCOPE} admin` }, {}, "allowScopes: admin;"],
    ["in a list in the token", {}, { scp: ["mcp:read", "admin"] }, {}, "allowScopes: admin;"],
    ["in both", { scope: "admin" }, { scope: "root" }, {}, "allowScopes: admin root;"],
    ["in another case", { scope: "MCP:read" }, {}, {}, "allowScopes: MCP:read;"],
    ["unasked", { scope: "profile email" }, {}, { scope: null }, "allowScopes: profile email;"],
    ["beyond allowScopes", { scope: "profile x" }, {}, { allowScopes: ["profile"] }, "allowScopes: x;"],
    ["very many", { scope: "a1 b2 c3 d4 e5 f6" }, {}, {}, "a1 b2 c3 d4 and 2 more;"],
    ["malformed in the token", {}, { scope: 5 }, {}, "the token's scope is malformed"],
    ["a list of others in the token", {}, { scope: [5] }, {}, "the token's scope is malformed"],
  ])("%s", (_, changes, claims, expected, fault) => {
    const answer = grant(changes, expected, exchangedFor("alice-sub", AUDIENCE, claims));
    expect(answer).toEqual({ cannotTell: part(fault) });
  });

  it.each([
    ["the caller's token", OWN.split(".")[2]],
    ["a part of the caller's token", OWN.slice(5, 40)],
    ["the client's secret", "client-secret-canary"],
    ["a short secret", "short"],
    ["an endless text", "a".repeat(65)],
    ["control characters", "a\u0007b"],
    ["quotes", 'a"b'],
  ])("P6: %s as a scope is not named", (_, scope) => {
    expect(grant({ scope })).toEqual({ cannotTell: part("(not printable)") });
  });
});

describe("errors are decided by status and code, never by text", () => {
  const REFUSED = ["invalid_request", "invalid_grant", "invalid_target", "access_denied"];
  const codes = [...Object.keys(ERRORS), "server_error", "slow_down", "temporarily_unavailable"];
  const profiles = ["rfc8693", "keycloak"] as const;
  const rows = [400, 401, 403, 404, 429, 500, 502, 503].flatMap((status) =>
    codes.flatMap((code) => profiles.map((profile) => ({ status, code, profile }))),
  );
  it.each(rows)("4.7: $status $code ($profile)", ({ status, code, profile }) => {
    const description = "Requested audience not available: secret-canary";
    const answer = read({ error: code, error_description: description, error_uri: "x" }, { profile }, status);
    const kind = status === 400 && REFUSED.includes(code) ? "refused" : "cannotTell";
    expect(answer).toEqual({ [kind]: part(String(status)) });
    expect(JSON.stringify(answer)).not.toContain("canary");
  });

  it("the table has a row for every code that refuses, and no other refuses", () => {
    const refusing = Object.keys(ERRORS).filter((code) => ERRORS[code] === "refused");
    expect(refusing.toSorted()).toEqual(REFUSED.toSorted());
  });

  it.each<[string, unknown, number, string?]>([
    ["a code nobody knows, which is not repeated", { error: "client-secret-canary" }, 400],
    ["a code of the prototype", { error: "constructor" }, 400],
    ["a code in another case", { error: "Invalid_Request" }, 400],
    ["a code with a space", { error: "invalid_request " }, 400],
    ["a list of codes", { error: ["invalid_request"] }, 400],
    ["an object", { error: { code: "invalid_request" } }, 400],
    ["no code", {}, 400],
    ["null", { error: null }, 400],
    ["HTML", "<h1>client-secret-canary</h1>", 400, "text/html"],
    ["JSON that says it is HTML", { error: "invalid_request" }, 400, "text/html"],
    ["a name twice", '{"error":"x","error":"invalid_request"}', 400],
    ["a redirect", "", 302],
    ["a permanent redirect", { error: "invalid_request" }, 308],
    ["201", granting(GOOD), 201],
    ["204", "", 204],
    ["206", granting(GOOD), 206],
    ["an error that says it is a token", granting(GOOD), 400],
    ["500", "", 500],
    ["418", "", 418],
  ])("H01: %s is cannot tell", (_, body, status, type) => {
    const answer = read(body, {}, status, type);
    expect(answer).toEqual({ cannotTell: part(`answered ${status}`) });
    expect(JSON.stringify(answer)).not.toContain("canary");
  });
});
