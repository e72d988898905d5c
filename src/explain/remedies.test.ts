import { expect, it } from "vitest";
import { REFUSALS, type Reason } from "../authz/refusal.ts";
import { REMEDIES } from "./remedies.ts";

it("every reason has a meaning and a remedy, in whole sentences", () => {
  expect(Object.keys(REMEDIES)).toEqual(Object.keys(REFUSALS));
  for (const reason of Object.keys(REFUSALS) as Reason[]) {
    const { meaning, remedy } = REMEDIES[reason];
    for (const text of [meaning, remedy]) expect(text, reason).toMatch(/^[`A-Z].*[.?]$/);
    expect((meaning + remedy).split("`").length % 2, `${reason}: backquotes come in pairs`).toBe(1);
  }
});
