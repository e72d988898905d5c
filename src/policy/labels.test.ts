// The author's words in the audit line: their own texts as they are, and nothing that a rule took from the caller.
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import type { PolicyInput } from "../authz/types.ts";
import { findTool } from "../files/program.ts";
import { POLICY_BY_TOKEN } from "../../test/fakes/identity.ts";
import { noOpa } from "../../test/fakes/opa.ts";
import { artifact } from "./artifact.ts";
import { compileRules } from "./compile.ts";
import { decide } from "./decision.ts";
import { createEvaluator, UNWATCHED, type Evaluator } from "./evaluator.ts";
import { loadPolicy } from "./load.ts";
import { findOpa } from "./opa.ts";

const inputOf = (name: string, args: PolicyInput["mcp"]["arguments"] = {}): PolicyInput => ({
  identity: {
    ...POLICY_BY_TOKEN,
    issuer: "i",
    subject: "u",
    username: null,
    groups: ["staff"],
    scopes: [],
    claims: { dept: "claim-canary" },
  },
  mcp: { method: "tools/call", server: "demo", kind: "tool", name, arguments: args, version: "1" },
  request: { host: "h", path: "/mcp", sourceIp: "192.0.2.1", time: 1, headers: {} },
});

function said(evaluator: Evaluator, name: string, args?: PolicyInput["mcp"]["arguments"]) {
  const step = decide(evaluator, inputOf(name, args));
  if (!step.ok) return step.reason;
  const { revision: _, ...rest } = step.value;
  return rest;
}

const REGO = `package mcp.authz

allow if input.mcp.name == "echo"

allow if input.mcp.name == data.tools[_]

labels contains "echo-rule" if input.mcp.name == "echo"

labels contains "ümlaut" if input.mcp.name == "echo"

labels contains data.label if input.mcp.name == data.tools[_]

labels contains input.mcp.arguments.label

labels contains concat(":", ["by", input.identity.claims.dept]) if input.mcp.name == "claims"

labels contains 7 if input.mcp.name == "claims"

reason := "a reason: plain, with ümlaut" if input.mcp.name == "plain"

reason := $"amount {input.mcp.arguments.amount}" if input.mcp.name == "computed"

reason := data.words.no if input.mcp.name == "from data"

reason := input.mcp.arguments.say if input.mcp.name == "said"
`;
const DATA = { tools: ["get"], label: "tool table", words: { no: "ask the owner\n" } };

describe.skipIf(findTool("opa") === null)("reason and labels", () => {
  const made = compileRules({ files: [{ path: "p.rego", text: REGO }], rego: "v1", findOpa }).then((rules) =>
    createEvaluator(artifact(rules, JSON.stringify(DATA)), null, UNWATCHED),
  );

  it.each([
    // A label is ASCII: what else is in it is not written.
    ["echo", {}, { allow: true, note: null, labels: ["(computed)", "echo-rule"] }],
    ["get", {}, { allow: true, note: null, labels: ["tool table"] }],
    ["plain", {}, { allow: false, note: "a reason: plain, with ümlaut", requiredScopes: null, stepUp: null }],
    ["from data", {}, { allow: false, note: "ask the owner\n", requiredScopes: null, stepUp: null }],
    [
      "computed",
      { amount: 4711 },
      { allow: false, note: "(computed)", computed: "amount 4711", requiredScopes: null, stepUp: null },
    ],
    ["claims", {}, { allow: false, note: null, labels: ["(computed)"], requiredScopes: null, stepUp: null }],
    // Of the caller, and a text of the policy by chance: one of a closed set.
    [
      "x",
      { label: "echo-rule" },
      { allow: false, note: null, labels: ["echo-rule"], requiredScopes: null, stepUp: null },
    ],
    [
      "x",
      { label: "argument-canary" },
      { allow: false, note: null, labels: ["(computed)"], requiredScopes: null, stepUp: null },
    ],
    [
      "x",
      { label: "echo-rule\0" },
      { allow: false, note: null, labels: ["(computed)"], requiredScopes: null, stepUp: null },
    ],
    [
      "said",
      { say: "secret" },
      { allow: false, note: "(computed)", computed: "secret", requiredScopes: null, stepUp: null },
    ],
    ["said", { say: "echo" }, { allow: false, note: "echo", requiredScopes: null, stepUp: null }],
    [
      "said",
      { say: "amoun" },
      { allow: false, note: "(computed)", computed: "amoun", requiredScopes: null, stepUp: null },
    ],
    ["said", { say: "" }, { allow: false, note: "(computed)", computed: "", requiredScopes: null, stepUp: null }],
  ])("P6: %s %j", async (name, args, expected) => expect(said(await made, name, args)).toEqual(expected));

  it("16 labels at most, in order", async () => {
    const text = `package mcp.authz\nlabels contains l if some l in ${JSON.stringify(Array.from({ length: 40 }, (_, i) => `l${i + 10}`))}\n`;
    const rules = await compileRules({ files: [{ path: "p.rego", text }], rego: "v1", findOpa });
    const step = said(createEvaluator(artifact(rules, "{}"), null, UNWATCHED), "x");
    expect(step).toMatchObject({ labels: Array.from({ length: 16 }, (_, i) => `l${i + 10}`) });
  });
});

it("the demo's reason is its author's own", async () => {
  const { artifact: demo } = await loadPolicy({
    path: resolve(import.meta.dirname, "../../policies/demo"),
    rego: "v1",
    findOpa: noOpa,
  });
  const evaluator = createEvaluator(demo, null, UNWATCHED);
  expect(said(evaluator, "delete_repo")).toMatchObject({ note: "no group of the caller is granted this" });
  expect(evaluator.isAuthors("no group")).toBe(false);
});

it("a policy of an older library has no labels, and is taken", () => {
  const answer = { allow: false, scope_insufficient: false, required_scopes: [], reason: "r" };
  const evaluator = (value: object): Evaluator => ({
    revision: "r",
    evaluate: () => value,
    evaluateHost: () => undefined,
    argumentFault: () => "",
    isAuthors: () => true,
    withCatalog: () => evaluator(value),
  });
  expect(said(evaluator(answer), "x")).toEqual({ allow: false, note: "r", requiredScopes: null, stepUp: null });
  for (const labels of [null, "a", [1], {}])
    expect(said(evaluator({ ...answer, labels }), "x")).toBe("policy_unavailable");
  expect(said(evaluator({ ...answer, more: 1 }), "x")).toBe("policy_unavailable");
});
