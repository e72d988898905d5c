import { POLICY_BY_TOKEN } from "../../test/fakes/identity.ts";
import { expect, it } from "vitest";
import type { PolicyInput } from "../authz/types.ts";
import { decideBounded } from "./bounded.ts";
import { noOpa } from "../../test/fakes/opa.ts";
import { loadPolicy } from "./load.ts";

const input: PolicyInput = {
  identity: {
    issuer: "i",
    subject: "alice",
    username: null,
    groups: ["engineering"],
    scopes: [],
    ...POLICY_BY_TOKEN,
    claims: Object.assign(Object.create(null) as object, { sub: "alice" }),
  },
  mcp: { method: "tools/call", server: "demo", kind: "tool", name: "echo", arguments: {}, version: "1" },
  request: { host: "h", path: "/servers/demo/mcp", sourceIp: "", time: 0, headers: {} },
};

it("answers as serve would, and refuses when the time is over", async () => {
  const { artifact, rules } = await loadPolicy({ path: "policies/demo", rego: "v1", findOpa: noOpa });
  expect(rules?.files.map((file) => file.path)).toContain("policy.rego");
  expect(await decideBounded(artifact, input, 20_000)).toEqual({
    ok: true,
    value: { allow: true, revision: artifact.revision, note: null },
  });
  expect(await decideBounded(artifact, input, 0)).toMatchObject({ ok: false, reason: "policy_unavailable" });
});
