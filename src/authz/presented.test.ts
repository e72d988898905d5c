import { describe, expect, it } from "vitest";
import { headersOf } from "../../test/fakes/authz.ts";
import { readPresented, type PresentedSettings } from "./presented.ts";

const NO_KEYS: PresentedSettings = { keyHeaders: new Set(), basic: false, dpop: false, proxyHeaders: new Set() };
const KEYS: PresentedSettings = {
  keyHeaders: new Set(["x-api-key", "x-key"]),
  basic: true,
  dpop: true,
  proxyHeaders: new Set(["x-user", "x-groups"]),
};

function presented(pairs: readonly (readonly [string, string])[], settings = KEYS): string {
  const step = readPresented(headersOf(pairs), settings);
  return step.ok ? JSON.stringify(Object.values(step.value)) : step.reason;
}

function outcome(...values: string[]): string {
  const step = readPresented(headersOf(values.map((value) => ["authorization", value] as const)), NO_KEYS);
  if (!step.ok) return step.reason;
  return step.value.by === "bearer" ? `token ${step.value.token}` : step.value.by;
}

describe("A47, C05: exactly one bearer token", () => {
  it.each([
    [["Bearer abc"], "token abc"],
    [["bearer abc"], "token abc"],
    [["BEARER abc.def-_~+/=="], "token abc.def-_~+/=="],
    [[], "nothing"],
    [[""], "token_missing"],
    [["Basic YTpi"], "token_missing"],
    [["DPoP abc"], "token_missing"],
    [["Bearerabc"], "token_missing"],
    [["Bearer"], "token_invalid"],
    [["Bearer "], "token_invalid"],
    [["Bearer  abc"], "token_invalid"],
    [["Bearer\tabc"], "token_invalid"],
    [["Bearer abc "], "token_invalid"],
    [["Bearer abc def"], "token_invalid"],
    [["Bearer a=b"], "token_invalid"],
    [[" Bearer abc"], "token_missing"],
    [["Bearer ab\u00e9"], "token_invalid"],
    [["Bearer a,Bearer b"], "header_malformed"],
    [["Bearer a, Bearer b"], "header_malformed"],
    [["Bearer a", "Bearer b"], "header_malformed"],
    [["Bearer a", "Bearer a"], "header_malformed"],
    [["Basic x,Bearer b"], "header_malformed"],
  ])("%j gives %s", (values, expected) => expect(outcome(...values)).toBe(expected));

  it("A17: a token above 16 KiB is refused before anybody reads it", () => {
    expect(outcome(`Bearer ${"a".repeat(16 * 1024)}`)).toBe("header_too_large");
    expect(outcome(`Bearer ${"a".repeat(16 * 1024 - 7)}`)).toMatch(/^token /);
  });
});

const basic = (text: string) => `Basic ${Buffer.from(text, "latin1").toString("base64")}`;

describe("AP-02: exactly one credential, of the kinds that are configured", () => {
  it.each<[string, readonly (readonly [string, string])[], string]>([
    ["nothing", [], '["nothing"]'],
    ["a bearer", [["authorization", "Bearer abc"]], '["bearer","abc"]'],
    ["a key", [["x-api-key", "abc"]], '["key","x-api-key","abc"]'],
    ["a key in its other header", [["x-key", "a/b"]], '["key","x-key","a/b"]'],
    ["a password", [["authorization", basic("job:a:b")]], '["basic","job","a:b"]'],
    ["a key that is not one of ours", [["x-other-key", "abc"]], '["nothing"]'],
    [
      "key and bearer",
      [
        ["x-api-key", "abc"],
        ["authorization", "Bearer abc"],
      ],
      "header_malformed",
    ],
    [
      "key and another scheme",
      [
        ["x-api-key", "abc"],
        ["authorization", "Negotiate x"],
      ],
      "header_malformed",
    ],
    [
      "an empty key and a bearer",
      [
        ["x-api-key", ""],
        ["authorization", "Bearer abc"],
      ],
      "header_malformed",
    ],
    [
      "key and an empty authorization",
      [
        ["x-api-key", "abc"],
        ["authorization", ""],
      ],
      "header_malformed",
    ],
    [
      "two keys",
      [
        ["x-api-key", "abc"],
        ["x-key", "abc"],
      ],
      "header_malformed",
    ],
    [
      "a key twice",
      [
        ["x-api-key", "abc"],
        ["x-api-key", "abc"],
      ],
      "header_malformed",
    ],
    ["an empty key", [["x-api-key", ""]], "token_invalid"],
    ["a key with a space", [["x-api-key", "a b"]], "token_invalid"],
    ["a key beyond ASCII", [["x-api-key", "a\u00e9"]], "token_invalid"],
    ["a key that is too long", [["x-api-key", "a".repeat(513)]], "token_invalid"],
    ["a password without a user", [["authorization", basic(":abc")]], "token_invalid"],
    ["a password without a colon", [["authorization", basic("abc")]], "token_invalid"],
    ["a password with a line break", [["authorization", basic("a:b\nc")]], "token_invalid"],
    ["an empty password", [["authorization", basic("job:")]], "token_invalid"],
    ["base64 with loose ends", [["authorization", "Basic am9iOmFi="]], "token_invalid"],
    ["base64 in two spellings", [["authorization", "Basic am9iOmFiY2=="]], "token_invalid"],
    ["no base64", [["authorization", "Basic !"]], "token_invalid"],
    [
      "a bound token",
      [
        ["authorization", "DPoP abc"],
        ["dpop", "p.q.r"],
      ],
      '["dpop","abc","p.q.r"]',
    ],
    [
      "a bound token in small letters",
      [
        ["authorization", "dpop abc"],
        ["dpop", "p"],
      ],
      '["dpop","abc","p"]',
    ],
    ["a bound token without a proof", [["authorization", "DPoP abc"]], "proof_invalid"],
    [
      "two proofs",
      [
        ["authorization", "DPoP abc"],
        ["dpop", "p"],
        ["dpop", "p"],
      ],
      "proof_invalid",
    ],
    [
      "two proofs in one line",
      [
        ["authorization", "DPoP abc"],
        ["dpop", "p, p"],
      ],
      "proof_invalid",
    ],
    [
      "no token",
      [
        ["authorization", "DPoP"],
        ["dpop", "p"],
      ],
      "token_invalid",
    ],
    [
      "a bound token and a key",
      [
        ["authorization", "DPoP abc"],
        ["x-key", "p"],
      ],
      "header_malformed",
    ],
    ["another scheme", [["authorization", "Digest x"]], "token_missing"],
  ])("%s", (_, pairs, expected) => expect(presented(pairs)).toBe(expected));

  it("without such keys, Basic and key headers are what they were: no credential of ours", () => {
    expect(presented([["authorization", basic("job:abc")]], NO_KEYS)).toBe("token_missing");
    expect(presented([["x-api-key", "abc"]], NO_KEYS)).toBe('["nothing"]');
  });
});
