// Whatever of a source restricts somebody is carried, or named: nothing is dropped in silence.
import { describe, expect, it } from "vitest";
import { importAuthPolicy } from "./authpolicy.ts";

const OPTIONS = {
  file: "p.yaml",
  policy: null,
  origin: "https://gw.example.com",
  servers: [{ name: "mcp-test/github", url: "https://gh.example.com/mcp" }],
  audiences: ["a"],
  issuer: null,
};
const AUTHENTICATION = "authentication: {idp: {jwt: {issuerUrl: https://idp.example.com}}}";
const indented = (text: string, by: number) => text.replaceAll(/^(?=.)/gm, " ".repeat(by));
const HEAD = "apiVersion: kuadrant.io/v1\nkind: AuthPolicy\nmetadata: {name: p}\nspec:\n";

const imported = (more: string) =>
  importAuthPolicy(`${HEAD}  rules:\n    ${AUTHENTICATION}\n${indented(more, 4)}`, OPTIONS);
const keysOf = ({ report }: { report: ReturnType<typeof imported>["report"] }) => report.faults.map(({ key }) => key);
const faults = (more: string) => keysOf(imported(more));
const textOf = (more: string) => imported(more).policy().get("policy.rego") ?? "";

describe("conditions", () => {
  it.each(["any: []", "all: []", "patternRef: none", "any: [{all: []}]"])("of no condition is none: %s", (one) => {
    const source = `authorization: {x: {when: [{${one}}], patternMatching: {patterns: [{predicate: "false"}]}}}`;
    expect(faults(source)).not.toEqual([]);
  });

  it("a pattern by name that holds no condition is none", () => {
    const source = `${HEAD}  patterns: {none: {allOf: []}}\n  rules:\n    ${AUTHENTICATION}\n    authorization: {x: {when: [{patternRef: none}], patternMatching: {patterns: [{predicate: "false"}]}}}`;
    expect(keysOf(importAuthPolicy(source, OPTIONS))).toContain("spec.rules.authorization.x.when[0].patternRef");
  });

  it.each(["{}", "{pattern: []}"])("patternMatching without patterns is named: %s", (one) =>
    expect(faults(`authorization: {x: {patternMatching: ${one}}}`)).toContain(
      "spec.rules.authorization.x.patternMatching",
    ),
  );

  it("only a `when` that is false leaves an entry out: one without a value does not", () => {
    const text = textOf(
      `authorization: {x: {when: [{predicate: "auth.identity.a == 'b'"}], patternMatching: {patterns: [{predicate: "auth.identity.c == 'd'"}]}}}`,
    );
    expect(text).toMatch(/(r\d+) := true if \{\n\tr\d+ == false\n\}\n\n\1 := true if \{\n\tr\d+ == true\n\}/);
    expect(text).not.toMatch(/not /);
  });
});

describe("sections", () => {
  const SECTIONS = ["authorization", "metadata", "callbacks", "response"];

  it.each(SECTIONS.flatMap((name) => ["[{name: x}]", "none", ""].map((value) => [name, value] as const)))(
    "%s that is no map is named: %s",
    (name, value) => expect(faults(`${name}: ${value}`)).toContain(`spec.rules.${name}`),
  );

  it.each(["[{name: x}]", "none", ""])("an authorization that cannot be read allows nobody: %s", (value) =>
    expect(textOf(`authorization: ${value}`)).toMatch(
      /allow if \{\n\t1 == 2 # NOT MAPPED: line 7, so nobody is let in\n/,
    ),
  );

  it.each(["success: []", "success: {headers: []}"])("of a response, too: %s", (one) =>
    expect(faults(`response: {${one}}`)).not.toEqual([]),
  );

  it.each(["defaults", "overrides"])("beside %s, nothing is read", (wrapper) => {
    const beside = ["authorization: {x: {}}", "response: {}", "strategy: merge", "hosts: [a]"];
    for (const one of beside) {
      const text = `${HEAD}  ${one}\n  ${wrapper}: {rules: {${AUTHENTICATION}}}`;
      expect(keysOf(importAuthPolicy(text, OPTIONS)), one).toEqual([`spec.${one.split(":")[0]}`]);
    }
  });

  it("defaults in overrides are not read, and rules in an AuthConfig neither", () => {
    const nested = `${HEAD}  overrides: {defaults: {rules: {}}, rules: {${AUTHENTICATION}}}`;
    expect(keysOf(importAuthPolicy(nested, OPTIONS))).toEqual(["spec.overrides.defaults"]);
    const config = `apiVersion: authorino.kuadrant.io/v1beta3\nkind: AuthConfig\nmetadata: {name: p}\nspec:\n  ${AUTHENTICATION}\n  rules: {authorization: {x: {}}}`;
    expect(keysOf(importAuthPolicy(config, OPTIONS))).toEqual(["spec.rules"]);
  });
});
