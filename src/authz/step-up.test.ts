import { describe, expect, it } from "vitest";
import { ALICE, allowingPorts, checkSettings, requestOf } from "../../test/fakes/authz.ts";
import { challenge } from "./challenge.ts";
import { createCheck } from "./check.ts";
import { newCheckFacts } from "./facts.ts";
import { pass, refuseByPolicy } from "./step.ts";
import type { DenyDecision } from "./types.ts";

const settings = { publicOrigin: "https://gw.example.com", scopes: ["mcp:read"] };
const START =
  'Bearer realm="https://gw.example.com", resource_metadata="https://gw.example.com/.well-known/oauth-protected-resource/mcp", ';
const denied = (more: Partial<DenyDecision>): DenyDecision => ({
  ...{ allow: false, revision: "r", note: null, requiredScopes: null },
  ...more,
});
const LOG_IN = 'error="insufficient_user_authentication", error_description="Another log-in is needed for this"';

describe("RFC 9470, N-08: the challenge says what is missing", () => {
  it.each<[string, Partial<DenyDecision>, readonly string[], string]>([
    ["a class", { stepUp: { acrValues: ["a", "b"], maxAge: null, scopes: [] } }, [], `${LOG_IN}, acr_values="a b"`],
    ["an age", { stepUp: { acrValues: [], maxAge: 0, scopes: [] } }, [], `${LOG_IN}, max_age="0"`],
    [
      "both, and a scope",
      { stepUp: { acrValues: ["a"], maxAge: 60, scopes: ["w"] } },
      [],
      `${LOG_IN}, acr_values="a", max_age="60", scope="w"`,
    ],
    [
      "a scope beside those that are held",
      { stepUp: { acrValues: ["a"], maxAge: null, scopes: ["w"] } },
      ["r"],
      `${LOG_IN}, acr_values="a", scope="r w"`,
    ],
    [
      "no scope, whatever is held",
      { stepUp: { acrValues: ["a"], maxAge: null, scopes: [] } },
      ["r"],
      `${LOG_IN}, acr_values="a"`,
    ],
    ["scopes alone", { requiredScopes: ["w"] }, [], 'error="insufficient_scope", scope="w"'],
    [
      "scopes and those that are held",
      { requiredScopes: ["w"] },
      ["r", "w"],
      'error="insufficient_scope", scope="r w"',
    ],
  ])("%s", (_, decision, held, expected) => {
    expect(challenge(settings, "/mcp", refuseByPolicy(denied(decision), held))).toBe(START + expected);
  });

  it("a denial stays one", () => {
    expect(refuseByPolicy(denied({}), ["r"])).toMatchObject({ reason: "policy_denied" });
    expect(refuseByPolicy(denied({ stepUp: null }), [])).toMatchObject({ reason: "policy_denied" });
  });

  it("of the token's scopes those alone that can stand in a header, and only if configured", async () => {
    const scopes = ["mcp:read", 'x", error="none', "é", "a b", ""];
    const ports = allowingPorts({
      identify: () => pass({ ...ALICE, scopes }),
      decide: () => pass(denied({ requiredScopes: ["mcp:write"] })),
    });
    const scopesOf = async (challengesHeldScopes: boolean) => {
      const check = createCheck(checkSettings({ challengesHeldScopes }), ports);
      const outcome = await check(requestOf(), newCheckFacts("r", 1), AbortSignal.timeout(1000));
      return outcome.ok ? null : outcome.scopes;
    };
    expect(await scopesOf(false)).toEqual(["mcp:write"]);
    expect(await scopesOf(true)).toEqual(["mcp:read", "mcp:write"]);
  });
});
