import { expect, it } from "vitest";
import type { TokenlessIdentity } from "../authz/types.ts";
import { judgeClaims, type ClaimsInUse } from "./judge-claims.ts";

const NOW = 1_790_000_000;
const identity: TokenlessIdentity = {
  ...{ method: "vouched", issuer: "https://idp.example.com", subject: "alice", username: null, kind: "user" },
  ...{ groups: [], scopes: [], opens: null, amr: [], acr: null, authTime: null, actors: [], claims: {} },
  expiresAt: NOW + 600,
};
const CLAIMS = { expiresAt: NOW + 600, notBefore: null, audiences: ["other", "gw"] };

function verdict(more: Partial<ClaimsInUse["claims"]>, revoked: ReturnType<ClaimsInUse["revoked"]> = null) {
  const claims = { ...CLAIMS, ...more };
  const audiences = [["https://gw.example.com/mcp"], ["gw"]];
  const refused = judgeClaims({ identity, claims, audiences, revoked: () => revoked }, NOW);
  if (refused !== null) expect(refused.caller).toBe(identity);
  return refused?.reason ?? "pass";
}

it.each<[string, Partial<ClaimsInUse["claims"]>, string]>([
  ["nothing wrong", {}, "pass"],
  ["ended within the tolerance", { expiresAt: NOW - 59 }, "pass"],
  ["ended", { expiresAt: NOW - 60 }, "token_expired"],
  ["not valid yet within the tolerance", { notBefore: NOW + 60 }, "pass"],
  ["not valid yet", { notBefore: NOW + 61 }, "token_invalid"],
  ["for the endpoint", { audiences: ["https://gw.example.com/mcp"] }, "pass"],
  ["for others", { audiences: ["other"] }, "token_audience"],
  ["for nobody", { audiences: [] }, "token_audience"],
  ["for a name that ours begins with", { audiences: ["g", "https://gw.example.com"] }, "token_audience"],
])("%s", (_, claims, expected) => expect(verdict(claims)).toBe(expected));

it("a revocation counts after the lifetime and before the audience", () => {
  expect(verdict({}, "sub")).toBe("token_revoked");
  expect(verdict({}, "unavailable")).toBe("revocations_unavailable");
  expect(verdict({ audiences: [] }, "sub")).toBe("token_revoked");
  expect(verdict({ expiresAt: NOW - 60 }, "sub")).toBe("token_expired");
});
