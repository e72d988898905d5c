// A slip in the author's data never allows more: of another type, under a misspelled key, nested, gone, or null.
import { POLICY_BY_TOKEN } from "../../test/fakes/identity.ts";
import fc from "fast-check";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import type { PolicyInput } from "../authz/types.ts";
import { findTool } from "../files/program.ts";
import type { JsonValue } from "../json/types.ts";
import { artifact } from "./artifact.ts";
import { compileRules } from "./compile.ts";
import { readData } from "./data.ts";
import { decide } from "./decision.ts";
import { createEvaluator, UNWATCHED } from "./evaluator.ts";
import { findOpa } from "./opa.ts";

const DEMO = resolve(join(import.meta.dirname, "../../policies/demo"));
const demo = {
  wasm: readFileSync(join(DEMO, ".compiled/policy.wasm")),
  data: JSON.parse(readData([{ path: "data.yaml", text: readFileSync(join(DEMO, "data.yaml"), "utf8") }])) as JsonValue,
};

/** The deny list of docs/policy.md beside an allow list, and scopes by data. */
const RECIPE = `package mcp.authz

import data.mcp_authz

allow if {
	mcp_authz.matches(data.allowed[input.mcp.server], input.mcp.name)
	mcp_authz.matches_none(data.denied[input.mcp.server], input.mcp.name)
}

scope_covers := data.covers

required_scopes contains "mcp:write" if not mcp_authz.matches("get*", input.mcp.name)
`;
const RECIPE_DATA: JsonValue = {
  allowed: { demo: ["get-sum", "*", "*a*b*c*d*"], tickets: "*" },
  denied: { demo: ["*delete*all*now*", "transfer", "drop*"], tickets: "*delete*" },
  covers: { admin: ["mcp:write", "mcp:read"], "mcp:read": ["x"] },
};
const NAMES = ["transfer", "delete_all_now", "echo", "drop_it", "getdelete"];

interface Call {
  readonly name: string;
  readonly server: string;
  readonly groups: string[];
  readonly scopes: string[];
  readonly amount: JsonValue;
}
const caller = fc.record({
  groups: fc.subarray(["engineering", "finance", "x"]),
  scopes: fc.subarray(["mcp:write", "admin", "x"]),
  amount: fc.constantFrom<JsonValue>(1, 1000, 1001, 1e9, "1", null),
});

/** Every name on every server. */
const callsOf = (one: Omit<Call, "name" | "server">): Call[] =>
  ["demo", "tickets", "other"].flatMap((server) => NAMES.map((name) => ({ ...one, name, server })));

function inputOf({ name, server, groups, scopes, amount }: Call): PolicyInput {
  return {
    identity: { issuer: "i", subject: "u", username: null, groups, scopes, ...POLICY_BY_TOKEN, claims: {} },
    mcp: { method: "tools/call", server, kind: "tool", name, arguments: { amount }, version: "1" },
    request: { host: "h", path: "/mcp", sourceIp: "192.0.2.1", time: 1, headers: {} },
  };
}

type Node = JsonValue[] | Record<string, JsonValue>;
const isNode = (value: JsonValue): value is Node => typeof value === "object" && value !== null;

/** One change at the place that `at` picks among all values below the root. */
function slipped(data: JsonValue, at: number, slip: (value: JsonValue) => JsonValue | undefined): JsonValue {
  const copy = structuredClone(data) as Node;
  const places: [Node, string][] = [];
  const walk = (node: Node) => {
    for (const [key, value] of Object.entries(node)) {
      places.push([node, key]);
      if (isNode(value)) walk(value);
    }
  };
  walk(copy);
  const [node, key] = places[at % places.length]!;
  const changed = slip((node as Record<string, JsonValue>)[key]!);
  if (changed !== undefined) (node as Record<string, JsonValue>)[key] = changed;
  else if (!Array.isArray(node)) {
    // Another name for the key.
    node[`${key}s`] = node[key]!;
    delete node[key];
  }
  return copy;
}

/** Of the same words. An emptied list is none: it says that there is nothing of the sort. */
const SLIPS: readonly (readonly [string, (value: JsonValue) => JsonValue | undefined])[] = [
  ["a number", () => 7],
  ["a large number", () => 1e12],
  ["null", () => null],
  ["true", () => true],
  ["false", () => false],
  ["an empty object", () => ({})],
  ["an empty text", () => ""],
  ["in a list", (value) => [value]],
  ["in an object", (value) => ({ value })],
  ["as an object's key", (value) => (typeof value === "string" ? { [value]: true } : { a: value })],
  ["as text", (value) => (typeof value === "number" ? String(value) : value)],
  ["with a stray null", (value) => (Array.isArray(value) ? [null, ...(value as JsonValue[])] : value)],
  ["with a stray object", (value) => (Array.isArray(value) ? [...(value as JsonValue[]), { x: "*" }] : value)],
  ["under another key", () => undefined],
];
const slip = fc.constantFrom(...SLIPS);

/** With one instance for all its calls. */
function allower(wasm: Uint8Array, data: JsonValue): (asked: Call) => boolean {
  const evaluator = createEvaluator(artifact(wasm, JSON.stringify(data)), null, UNWATCHED);
  return (asked) => {
    const decided = decide(evaluator, inputOf(asked));
    return decided.ok && decided.value.allow;
  };
}

/** Places where another number is another limit, and another text another pattern: no slip that anybody could tell. */
const isMeant = (before: JsonValue, after: JsonValue) => typeof before === typeof after && !isNode(before);

function neverMore(wasm: Uint8Array, data: JsonValue) {
  const before = allower(wasm, data);
  return fc.property(slip, fc.nat(), caller, ([, change], at, one) => {
    let meant = false;
    const after = slipped(data, at, (value) => {
      const changed = change(value);
      // A single text in a list is the same patterns, and the reverse.
      meant = changed !== undefined && (isMeant(value, changed) || (typeof value === "string" && changed === ""));
      return changed;
    });
    if (meant) return true;
    const allows = allower(wasm, after);
    return callsOf(one).every((each) => before(each) || !allows(each));
  });
}

describe("a slip in data", () => {
  it("allows nothing more with the demo's policy", () => fc.assert(neverMore(demo.wasm, demo.data), { numRuns: 300 }));

  it.skipIf(findTool("opa") === null)("allows nothing more with the deny list of the page", async () => {
    const { wasm } = await compileRules({ files: [{ path: "p.rego", text: RECIPE }], rego: "v1", findOpa });
    const fine: Call = { name: "echo", server: "demo", groups: [], scopes: ["admin"], amount: 1 };
    expect(allower(wasm, RECIPE_DATA)(fine)).toBe(true);
    fc.assert(neverMore(wasm, RECIPE_DATA), { numRuns: 500 });
  });

  it.skipIf(findTool("opa") === null)("would, with `not matches`: the property tells", async () => {
    const text = RECIPE.replace("mcp_authz.matches_none", "not mcp_authz.matches");
    const { wasm } = await compileRules({ files: [{ path: "p.rego", text }], rego: "v1", findOpa });
    expect(fc.check(neverMore(wasm, RECIPE_DATA), { numRuns: 2000 }).failed).toBe(true);
  });
});

describe("patterns of another form", () => {
  const grants = (tool: JsonValue) => ({ grants: { engineering: { demo: { tool } } }, limits: { transfer: 1000 } });
  const asked = inputOf({ name: "echo", server: "demo", groups: ["engineering"], scopes: [], amount: 1 });
  const decided = (data: JsonValue) =>
    decide(createEvaluator(artifact(demo.wasm, JSON.stringify(data)), null, UNWATCHED), asked);

  it.each<[JsonValue, string]>([
    [1, "data.grants.engineering.demo.tool is a number"],
    [null, "data.grants.engineering.demo.tool is null"],
    [true, "data.grants.engineering.demo.tool is a boolean"],
    [{ echo: true }, "data.grants.engineering.demo.tool is an object"],
    [["echo", null], "data.grants.engineering.demo.tool[1] is null"],
    [["echo", ["*"]], "data.grants.engineering.demo.tool[1] is a list"],
    [[{ echo: "*" }], "data.grants.engineering.demo.tool[0] is an object"],
  ])("%j refuses, and the detail names the place", (tool, place) => {
    expect(decided(grants(tool))).toEqual({
      ok: false,
      reason: "policy_unavailable",
      detail: `${place}: mcp_authz.matches takes a text or a list of texts`,
    });
  });

  it("the place is the one at fault, not another that no rule compares", () => {
    const other = { ...grants(["echo", 5]), odd: [[1], null, { a: [2] }], grants2: { engineering: [null] } };
    expect(decided(other)).toMatchObject({ detail: expect.stringContaining("engineering.demo.tool[1] is a number:") });
  });

  it("a single text is one pattern, with any number of stars", () => {
    expect(decided(grants("e*c*h*o*"))).toMatchObject({ ok: true, value: { allow: true } });
    expect(decided(grants("e*c*x*o*"))).toMatchObject({ ok: true, value: { allow: false } });
  });

  it("after many searches the places found are repeated", () => {
    const evaluator = createEvaluator(artifact(demo.wasm, JSON.stringify(grants([3]))), null, UNWATCHED);
    const details = Array.from({ length: 40 }, () => decide(evaluator, asked)).map((step) =>
      step.ok ? "" : step.detail,
    );
    expect(new Set(details).size).toBe(1);
    expect(details[39]).toContain("tool[0] is a number");
  });
});
