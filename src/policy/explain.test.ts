import { POLICY_BY_TOKEN } from "../../test/fakes/identity.ts";
import { describe, expect, it } from "vitest";
import { findTool } from "../files/program.ts";
import type { PolicyInput } from "../authz/types.ts";
import { noOpa } from "../../test/fakes/opa.ts";
import { readData } from "./data.ts";
import { explain, explainRules, type Explanation } from "./explain.ts";
import { findOpa } from "./opa.ts";
import { authoredRules, readSources, type SourceFile } from "./sources.ts";

const opaPath = findTool("opa");
const demo = readSources("policies/demo");

function inputOf(name: string, args: Record<string, number> = {}, groups = ["engineering"]): PolicyInput {
  return {
    identity: {
      issuer: "i",
      subject: "alice",
      username: null,
      groups,
      scopes: [],
      ...POLICY_BY_TOKEN,
      claims: { secret: "canary-claim" },
    },
    mcp: { method: "tools/call", server: "demo", kind: "tool", name, arguments: args, version: "1" },
    request: { host: "h", path: "/servers/demo/mcp", sourceIp: "", time: 0, headers: {} },
  };
}

function lines(explanation: Explanation): string[] {
  if ("unknown" in explanation) return [explanation.unknown];
  return explanation.rules.map(
    ({ rule, file, line, holds, stopsAt, text, ...how }) =>
      `${rule} ${file}:${line} ${holds ? (how.isFalse ? "is false" : how.isDefault ? "holds by default" : "holds") : `stops at ${stopsAt}: ${text}`}`,
  );
}

const file = (text: string): SourceFile[] => [{ path: "sub/a.rego", text }];

describe.skipIf(opaPath === null)("what opa says of the demo's policy", () => {
  it.each<[string, PolicyInput, string[]]>([
    [
      "a tool that nobody was granted",
      inputOf("delete_repo"),
      [
        "allow policy.rego:7 stops at 8: granted",
        "granted policy.rego:13 stops at 16: mcp_authz.matches(patterns, input.mcp.name)",
      ],
    ],
    [
      "a caller without a group",
      inputOf("echo", {}, []),
      [
        "allow policy.rego:7 stops at 8: granted",
        "granted policy.rego:13 stops at 14: some group in input.identity.groups",
      ],
    ],
    [
      "an amount above the limit: every definition, and the scope that is asked for",
      inputOf("transfer", { amount: 1001 }),
      [
        "allow policy.rego:7 stops at 9: within_limits",
        'within_limits policy.rego:20 stops at 20: within_limits if input.mcp.name != "transfer"',
        "within_limits policy.rego:22 stops at 22: within_limits if input.mcp.listing",
        "within_limits policy.rego:24 stops at 27: input.mcp.arguments.amount <= data.limits.transfer",
        "required_scopes policy.rego:32 holds",
      ],
    ],
    ["what is allowed", inputOf("echo"), ["allow policy.rego:7 holds"]],
  ])("%s", async (_, input, expected) => {
    expect(lines(await explain({ files: demo, data: readData(demo), rego: "v1", findOpa }, input))).toEqual(expected);
  });

  it("P6: no claim or argument comes out, whatever the policy compares", async () => {
    const text =
      'package mcp.authz\nallow if {\n\tinput.identity.claims.secret == "x"\n}\nallow if input.mcp.arguments.amount == 7';
    const told = await explain(
      { files: file(text), data: "{}", rego: "v1", findOpa },
      inputOf("echo", { amount: 4711 }),
    );
    expect(lines(told)).toEqual([
      'allow sub/a.rego:2 stops at 3: input.identity.claims.secret == "x"',
      "allow sub/a.rego:5 stops at 5: allow if input.mcp.arguments.amount == 7",
    ]);
    expect(JSON.stringify(told)).not.toMatch(/canary|4711/);
  });

  it("a rule that must not hold is named when it does", async () => {
    const text = 'package mcp.authz\nallow if {\n\tnot blocked\n}\nblocked if input.mcp.name == "echo"\n';
    expect(lines(await explain({ files: file(text), data: "{}", rego: "v1", findOpa }, inputOf("echo")))).toEqual([
      "allow sub/a.rego:2 stops at 3: not blocked",
      "blocked sub/a.rego:5 holds",
    ]);
  });

  it.each<[string, string, string[]]>([
    [
      "one that refuses decides nothing, and is left out",
      'default allow := false\nallow if input.mcp.name == "other"',
      ['allow sub/a.rego:3 stops at 3: allow if input.mcp.name == "other"'],
    ],
    [
      "one that allows decides",
      'default allow := true\nallow := false if input.mcp.name == "other"',
      [
        "allow sub/a.rego:2 holds by default",
        'allow sub/a.rego:3 stops at 3: allow := false if input.mcp.name == "other"',
      ],
    ],
    [
      "one that allows is left out where another definition decides",
      'default allow := true\nallow := false if input.mcp.name == "echo"',
      ["allow sub/a.rego:3 is false"],
    ],
    [
      "one of a helper that is false does not hold either",
      'default ok := false\nok if input.mcp.name == "other"\nallow if ok',
      ["allow sub/a.rego:4 stops at 4: allow if ok", 'ok sub/a.rego:3 stops at 3: ok if input.mcp.name == "other"'],
    ],
    [
      "scopes that are asked for by default",
      'allow if input.mcp.name == "echo"\ndefault required_scopes := {"x"}',
      ["allow sub/a.rego:2 holds", "required_scopes sub/a.rego:3 holds by default"],
    ],
  ])("a default: %s", async (_, body, expected) => {
    const files = file(`package mcp.authz\n${body}\n`);
    const told = await explain({ files, data: "{}", rego: "v1", findOpa }, inputOf("echo"));
    expect(lines(told).toSorted()).toEqual(expected);
  });

  it("Rego v0 without a package keeps its line numbers", async () => {
    const text = 'allow {\n\tinput.mcp.name == "other"\n}\n';
    const told = await explain({ files: file(text), data: "{}", rego: "v0", findOpa }, inputOf("echo"));
    expect(lines(told)).toEqual(['allow sub/a.rego:1 stops at 2: input.mcp.name == "other"']);
  });

  it("E04: an evaluation without an end is given up, and a network built-in does not compile", async () => {
    const endless =
      "package mcp.authz\nallow if {\n\tsome a in numbers.range(1, 100000)\n\tsome b in numbers.range(1, 100000)\n\ta + b == -1\n}";
    const late = await explain({ files: file(endless), data: "{}", rego: "v1", findOpa }, inputOf("echo"));
    expect(late).toHaveProperty("unknown");
    const web =
      'package mcp.authz\nallow if http.send({"url": "http://127.0.0.1:1", "method": "get"}).status_code == 200';
    expect(await explain({ files: file(web), data: "{}", rego: "v1", findOpa }, inputOf("echo"))).toHaveProperty(
      "unknown",
    );
  });
});

it("without opa it says what to do", async () => {
  const told = await explain({ files: demo, data: readData(demo), rego: "v1", findOpa: noOpa }, inputOf("echo"));
  expect(told).toEqual({ unknown: expect.stringContaining("npm run tools opa") as string });
});

it.each([
  [null, /build it with mcp-authz build-policy/],
  [{ ...authoredRules(demo, "v1"), hash: "of another library" }, /another version of the library/],
])("rules that cannot be had, or that were compiled otherwise, are not named", async (rules, words) => {
  const told = await explainRules({ rules, data: "{}", findOpa: noOpa }, inputOf("echo"));
  expect(lines(told)).toEqual([expect.stringMatching(words)]);
});
