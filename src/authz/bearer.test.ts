import { describe, expect, it } from "vitest";
import { headersOf } from "../../test/fakes/authz.ts";
import { bearerToken } from "./bearer.ts";

function outcome(...values: string[]): string {
  const step = bearerToken(headersOf(values.map((value) => ["authorization", value] as const)));
  return step.ok ? `token ${step.value}` : step.reason;
}

describe("A47, C05: exactly one bearer token", () => {
  it.each([
    [["Bearer abc"], "token abc"],
    [["bearer abc"], "token abc"],
    [["BEARER abc.def-_~+/=="], "token abc.def-_~+/=="],
    [[], "token_missing"],
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
