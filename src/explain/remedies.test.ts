import { expect, it } from "vitest";
import { REFUSALS, type Reason } from "../authz/refusal.ts";
import { REMEDIES, remedyOf } from "./remedies.ts";

it("every reason has a meaning and a remedy, in whole sentences", () => {
  expect(Object.keys(REMEDIES)).toEqual(Object.keys(REFUSALS));
  for (const reason of Object.keys(REFUSALS) as Reason[]) {
    const { meaning, remedy } = REMEDIES[reason];
    for (const text of [meaning, remedy]) expect(text, reason).toMatch(/^[`A-Z].*[.?]$/);
    expect((meaning + remedy).split("`").length % 2, `${reason}: backquotes come in pairs`).toBe(1);
  }
});

it("no remedy sends its reader to `mcp-authz why`, which is where remedies are read", () => {
  for (const reason of Object.keys(REFUSALS) as Reason[])
    for (const policyAsked of [true, false])
      expect(remedyOf(reason, policyAsked).remedy).not.toContain("mcp-authz why");
});

it("a name that policy was not asked about is not blamed on policy", () => {
  expect(remedyOf("policy_denied", true)).toBe(REMEDIES.policy_denied);
  const { meaning, remedy } = remedyOf("policy_denied", false);
  expect(meaning).toContain("Policy was not asked");
  expect(remedy).not.toContain("groups");
  expect(remedyOf("token_missing", false)).toBe(REMEDIES.token_missing);
});
