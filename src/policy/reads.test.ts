// What a policy reads of its input, and that nothing else changes its answers.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import type { PolicyInput } from "../authz/types.ts";
import { findTool } from "../files/program.ts";
import { artifact, type Rules } from "./artifact.ts";
import { packBundle, readPolicyBundle } from "./bundle.ts";
import { readCompiled, writeCompiled } from "./compiled-folder.ts";
import { compileRules } from "./compile.ts";
import { decide } from "./decision.ts";
import { createEvaluator, UNWATCHED, type Evaluator } from "./evaluator.ts";
import { narrowBy } from "./narrow.ts";
import { findOpa } from "./opa.ts";
import { planReads } from "./plan-reads.ts";
import { readStored } from "./reads.ts";
import { rulesHash } from "./sources.ts";

const DATA = { limits: { echo: 5 }, members: ["alice", "10.0.0.1", "en"], hours: { from: 10, to: 20 } };

const compile = (body: string): Promise<Rules> =>
  compileRules({
    files: [{ path: "p.rego", text: `package mcp.authz\nimport data.mcp_authz\n${body}\n` }],
    rego: "v1",
    findOpa,
  });

/** Conditions of rules, with what of `mcp` and `request` each reads. */
const CONDITIONS = [
  'input.mcp.name == "echo"',
  "input.mcp.arguments.n > 3",
  "not input.mcp.arguments.n",
  'input.mcp.arguments.deep.er == "x"',
  "some key, value in input.mcp.arguments; key == value",
  "count(input.mcp.arguments) > 1",
  'input.mcp.arguments[input.mcp.name] == "x"',
  'object.get(input.mcp.arguments, "n", 4) > 3',
  'object.get(input.mcp.arguments, ["deep", "er"], "x") == "x"',
  "input.request.time >= data.hours.from; input.request.time < data.hours.to",
  "input.request.sourceIp in data.members",
  'net.cidr_contains("10.0.0.0/8", input.request.sourceIp)',
  'input.request.headers["x-tenant"] == "en"',
  "some name; input.request.headers[name] in data.members",
  "input.request.host != input.request.path",
  "request := input.request; request.time == 10",
  "whole := input; whole.mcp.version == input.mcp.version; is_string(whole.request.host)",
  "walk(input, [path, value]); value == 10",
  "json.marshal(input.mcp) != json.marshal(input.request)",
  "helper(input.mcp)",
  "deeper with input.mcp.name as input.mcp.method",
  "deeper with input.mcp as input.request",
  'deeper with input as object.union(input, {"mcp": {"name": input.request.headers["x-tenant"]}})',
  "every value in input.mcp.arguments { value != 10 }",
  "input.mcp.listing",
  "not input.mcp.listing",
  '{input.mcp.name, input.request.path}["echo"]',
  'data.limits[input.mcp.name] == object.get(input.mcp.arguments, "n", 5)',
  "input.identity.subject in data.members",
  "[first, _] = input.mcp.arguments.pair; first == 10",
  '{"er": input.mcp.name} == input.mcp.arguments.deep',
  "sum([n | n := input.mcp.arguments[_]; is_number(n)]) > 5",
];

const HELPERS = `
helper(operation) if operation.arguments.n == 10
helper(operation) if operation.name == "other"
deeper if input.mcp.name == "en"
deeper if input.mcp.name == "tools/call"
`;

const argument = fc.constantFrom<unknown>(1, 4, 5, 10, "x", "echo", null, true, [10, 1], { er: "x" }, { er: "echo" });
const inputs = fc.record({
  mcp: fc.record({
    method: fc.constantFrom("tools/call", "prompts/get"),
    server: fc.constantFrom("a", "b"),
    kind: fc.constant("tool"),
    name: fc.constantFrom("echo", "other", "en"),
    arguments: fc.dictionary(fc.constantFrom("n", "deep", "pair", "echo", "x", "__proto__"), argument, { maxKeys: 4 }),
    version: fc.constantFrom("2025-11-25", "2026-07-28"),
    listing: fc.boolean(),
  }),
  request: fc.record({
    host: fc.constantFrom("h", "/mcp"),
    path: fc.constantFrom("/mcp", "echo"),
    sourceIp: fc.constantFrom("10.0.0.1", "192.0.2.1"),
    time: fc.constantFrom(0, 10, 30),
    headers: fc.dictionary(fc.constantFrom("x-tenant", "x-other"), fc.constantFrom("en", "de")),
  }),
});

const CALLERS = ["alice", "bob"].map((subject) => ({
  ...{ issuer: "https://idp.example", subject, username: null, groups: [], scopes: [] },
  ...{ kind: "user", method: "jwt", amr: [], acr: null, auth_time: null, claims: {} },
}));

/** Two instances of one policy: one that leaves out and remembers, one that does neither. */
function pair(rules: Rules): readonly [Evaluator, Evaluator] {
  const make = (reads: Rules["reads"]) =>
    createEvaluator(artifact({ wasm: rules.wasm, reads }, JSON.stringify(DATA)), null, UNWATCHED);
  return [make(rules.reads), make(null)];
}

describe.skipIf(findTool("opa") === null)("an answer from memory", () => {
  it("is the one that an evaluation of the whole input gives, whatever a policy reads", async () => {
    const policies = fc.sample(fc.array(fc.constantFrom(...CONDITIONS), { minLength: 1, maxLength: 3 }), {
      seed: 7,
      numRuns: 12,
    });
    const bodies = [
      ...CONDITIONS.map((condition) => `allow if { ${condition} }`),
      ...policies.map((conditions) => conditions.map((condition) => `allow if { ${condition} }`).join("\n")),
    ];
    for (const body of bodies) {
      const [remembering, evaluating] = pair(await compile(body + HELPERS));
      fc.assert(
        fc.property(inputs, fc.constantFrom(...CALLERS), (asked, identity) => {
          const input = { identity, ...asked } as unknown as PolicyInput;
          const [expected, fault] = [decide(evaluating, input), (step: object) => JSON.stringify(step)];
          expect(fault(decide(remembering, input)), body).toBe(fault(expected));
          expect(fault(decide(remembering, input)), body).toBe(fault(expected));
        }),
        { numRuns: 60 },
      );
    }
  }, 300_000);

  it.each<[string, unknown, unknown]>([
    ['allow if input.mcp.name == "echo"', "value", null],
    ["allow if input.mcp.arguments.n > 3", { n: "value" }, null],
    ["allow if input.request.time > 3", "type", "value"],
    ["required_scopes contains input.mcp.arguments.n", { n: "value" }, null],
    ['step_up := {"acr_values": ["mfa"], "max_age": 5}', "type", "value"],
    ['labels := ["a"] if input.request.time > 3', "type", "value"],
  ])("knows what is read: %s", async (body, ofArguments, ofTime) => {
    const { reads } = await compile(body);
    const decision = reads?.["mcp_authz/decision"];
    const { mcp, request } = { mcp: {}, request: {}, ...(decision as object) } as Record<
      string,
      Record<string, unknown>
    >;
    expect(request?.["time"]).toBe(ofTime ?? "type");
    if (typeof ofArguments === "object") expect(mcp?.["arguments"]).toEqual(ofArguments);
    else expect(mcp?.["arguments"]).toBe("type");
  });

  it("is not kept for a policy that reads the time or the address", async () => {
    for (const body of ["allow if input.request.time > 3", 'allow if input.request.sourceIp == "10.0.0.1"']) {
      let evaluations = 0;
      const guard = { ...UNWATCHED, enter: () => void (evaluations += 1) };
      const evaluator = createEvaluator(artifact(await compile(body), "{}"), null, guard);
      const [asked] = fc.sample(inputs, 1);
      const input = { identity: CALLERS[0], ...asked } as unknown as PolicyInput;
      for (let i = 0; i < 3; i += 1) decide(evaluator, input);
      expect(evaluations).toBe(3);
    }
  });
});

describe.skipIf(findTool("opa") === null)("what is read, as it is written beside the rules", () => {
  const GUARD = 'allow if { input.mcp.name == "write"; not input.mcp.arguments["__proto__"] }';
  const root = mkdtempSync(join(tmpdir(), "mcp-authz-reads-test-"));
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it("is the same when it is read, whatever a member is called", async () => {
    const rules = await compile(GUARD);
    const source = { files: [{ path: "p.rego", text: "package mcp.authz\n" }], rego: "v1" } as const;
    writeCompiled(root, rules, source);
    const folder = readCompiled(root, rulesHash(source.files, source.rego));
    const bundle = readPolicyBundle(await packBundle({ artifact: artifact(rules, "{}"), rules: null })).artifact;
    const asked = JSON.parse('{"arguments":{"__proto__":{"admin":true}}}') as object;
    const input = {
      identity: CALLERS[0],
      mcp: { method: "tools/call", server: "a", kind: "tool", name: "write", version: "2025-11-25", ...asked },
      request: { host: "h", path: "/mcp", sourceIp: "192.0.2.1", time: 1, headers: {} },
    } as unknown as PolicyInput;
    for (const kept of [rules, folder, bundle]) {
      expect(JSON.stringify(kept?.reads)).toBe(JSON.stringify(rules.reads));
      const evaluator = createEvaluator(artifact(kept ?? rules, "{}"), null, UNWATCHED);
      expect(decide(evaluator, input)).toMatchObject({ ok: true, value: { allow: false } });
    }
  });

  it.each<[string, unknown]>([
    ["of another version", { version: 0, "mcp_authz/decision": "type", "mcp_authz/visible": "type" }],
    ["without one", { "mcp_authz/decision": "type", "mcp_authz/visible": "type" }],
    ["of another form", { version: 1, "mcp_authz/decision": { mcp: "nothing" }, "mcp_authz/visible": "type" }],
    ["of one entrypoint", { version: 1, "mcp_authz/decision": "type" }],
    ["nothing", undefined],
  ])("is not taken where it is %s", (_, stored) => expect(readStored(stored)).toBeNull());
});

describe("what cannot be told", () => {
  const plan = (stmts: readonly object[]) => ({
    static: { strings: [{ value: "mcp" }] },
    plans: {
      plans: ["mcp_authz/decision", "mcp_authz/visible"].map((name) => ({ name, blocks: [{ stmts }] })),
    },
    funcs: { funcs: [] },
  });

  it.each<[string, readonly object[]]>([
    ["a statement that is not known", [{ type: "CallDynamicStmt", stmt: {} }]],
    ["an operand of another form", [{ type: "DotStmt", stmt: { source: "x", key: 1, target: 2 } }]],
    [
      "other data",
      [{ type: "WithStmt", stmt: { local: 1, path: [0], value: { type: "bool", value: true }, block: { stmts: [] } } }],
    ],
  ])("is taken to read all: %s", (_, stmts) => expect(planReads(plan(stmts))).toBeNull());

  it("is told where all is known", () =>
    expect(planReads(plan([{ type: "NopStmt", stmt: {} }]))).toEqual({
      "mcp_authz/decision": "type",
      "mcp_authz/visible": "type",
    }));

  it.each([null, {}, { plans: [] }, "plan"])("is no plan: %j", (value) => expect(planReads(value)).toBeNull());
});

it("keeps of a value what is read of it, and its kind", () => {
  const narrow = narrowBy({ a: "value", b: { c: "type" }, d: "type" });
  const value = JSON.parse('{"a":[1],"b":{"c":5,"e":6},"d":{"x":1},"f":1,"__proto__":{"a":2}}') as object;
  expect(JSON.stringify(narrow(value))).toBe('{"a":[1],"b":{"c":0},"d":{}}');
  expect([narrow(null), narrow([1]), narrow("x"), narrow(true)]).toEqual([null, [1], "x", true]);
});
