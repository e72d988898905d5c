// Random policies, as Rego and as the sentences that they are: what one allows, the other must.
import fc from "fast-check";
import type { Kind } from "../../src/mcp/operation.ts";

export type Grants = Record<string, Record<string, Partial<Record<Kind, string[]>>>>;

export interface Caller {
  readonly subject: string;
  readonly groups: readonly string[];
  readonly scopes: readonly string[];
  readonly dept: string;
}

export interface Use {
  readonly server: string;
  readonly kind: Kind;
  readonly name: string;
}

/** One condition of a rule: its Rego, and its truth. */
interface Condition {
  readonly rego: string;
  readonly holds: (caller: Caller, use: Use, grants: Grants) => boolean;
}

export interface RandomPolicy {
  readonly rego: string;
  readonly allows: (caller: Caller, use: Use, grants: Grants) => boolean;
}

export const GROUPS = ["g", "h", "k"];
export const SCOPES = ["s:read", "s:write", "s:admin"];
export const SERVERS = ["a", "b", "a-b"];
const METHODS: Readonly<Record<Kind, string>> = {
  tool: "tools/call",
  prompt: "prompts/get",
  resource: "resources/read",
};

/** At most two stars, each any run of characters; all else as it stands. */
function fits(pattern: string, text: string): boolean {
  const parts = pattern.split("*");
  if (parts.length > 3) return false;
  const literal = parts.map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`^${literal.join(".*")}$`, "su").test(text);
}

function granted(caller: Caller, { server, kind, name }: Use, grants: Grants): boolean {
  return caller.groups.some(
    (group) => grants[group]?.[server]?.[kind]?.some((pattern) => fits(pattern, name)) ?? false,
  );
}

const text = JSON.stringify;
const GRANTED: Condition = { rego: "granted", holds: granted };
/** A rule on arguments says what a listing means; calls of the tests bring an amount that is small enough. */
const SMALL: Condition = { rego: "small", holds: () => true };

const about = {
  who: fc.oneof(
    fc.constantFrom(...GROUPS).map((group) => ({
      rego: `${text(group)} in input.identity.groups`,
      holds: (caller: Caller) => caller.groups.includes(group),
    })),
    fc.constantFrom(...SCOPES).map((scope) => ({
      rego: `${text(scope)} in input.identity.scopes`,
      holds: (caller: Caller) => caller.scopes.includes(scope),
    })),
    fc.constantFrom("x", "y").map((dept) => ({
      rego: `input.identity.claims.dept == ${text(dept)}`,
      holds: (caller: Caller) => caller.dept === dept,
    })),
    fc.constantFrom("u1", "u2").map((subject) => ({
      rego: `input.identity.subject == ${text(subject)}`,
      holds: (caller: Caller) => caller.subject === subject,
    })),
  ),
  what: fc.oneof(
    fc.constantFrom(...SERVERS).map((server) => ({
      rego: `input.mcp.server == ${text(server)}`,
      holds: (_: Caller, use: Use) => use.server === server,
    })),
    fc.constantFrom<Kind>("tool", "prompt", "resource").map((kind) => ({
      rego: `input.mcp.kind == ${text(kind)}`,
      holds: (_: Caller, use: Use) => use.kind === kind,
    })),
    fc.constantFrom<Kind>("tool", "prompt", "resource").map((kind) => ({
      rego: `input.mcp.method == ${text(METHODS[kind])}`,
      holds: (_: Caller, use: Use) => use.kind === kind,
    })),
    fc.constantFrom("r", "re", "doc").map((start) => ({
      rego: `startswith(input.mcp.name, ${text(start)})`,
      holds: (_: Caller, use: Use) => use.name.startsWith(start),
    })),
    fc.constantFrom("e", "{id}", "a").map((part) => ({
      rego: `contains(input.mcp.name, ${text(part)})`,
      holds: (_: Caller, use: Use) => use.name.includes(part),
    })),
    fc.constantFrom("re*", "*e*", "docs://*").map((pattern) => ({
      rego: `mcp_authz.matches([${text(pattern)}], input.mcp.name)`,
      holds: (_: Caller, use: Use) => fits(pattern, use.name),
    })),
  ),
};

const negated = (condition: fc.Arbitrary<Condition>): fc.Arbitrary<Condition> =>
  condition.map(({ rego, holds }) => ({ rego: `not ${rego}`, holds: (...args) => !holds(...args) }));

export interface Shape {
  /** True: removing a group or a grant can only take away. */
  readonly positive: boolean;
}

/** A policy of some rules, each of some conditions, perhaps with scopes that some uses need. */
export function randomPolicy({ positive }: Shape): fc.Arbitrary<RandomPolicy> {
  const plain: fc.Arbitrary<Condition> = fc.oneof(about.who, about.what, fc.constantFrom(GRANTED, SMALL));
  const condition = positive
    ? fc.oneof(plain, negated(about.what))
    : fc.oneof({ weight: 3, arbitrary: plain }, { weight: 1, arbitrary: negated(plain) });
  const rules = fc.array(fc.array(condition, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 4 });
  const needs = fc.array(fc.tuple(fc.constantFrom(...SCOPES), positive ? about.what : condition), { maxLength: 2 });
  return fc.tuple(rules, needs, fc.boolean()).map(([rules, needs, covers]) => ({
    rego: regoOf(rules, needs, covers),
    allows: (caller, use, grants) => {
      const held = covers ? withCovered(caller.scopes) : caller.scopes;
      return (
        rules.some((rule) => rule.every(({ holds }) => holds(caller, use, grants))) &&
        needs.every(([scope, { holds }]) => !holds(caller, use, grants) || held.includes(scope))
      );
    },
  }));
}

function withCovered(scopes: readonly string[]): readonly string[] {
  if (scopes.includes("s:admin")) return SCOPES;
  return scopes.includes("s:read") ? [...scopes, "s:write"] : scopes;
}

function regoOf(rules: Condition[][], needs: [string, Condition][], covers: boolean): string {
  return [
    "package mcp.authz",
    "import data.mcp_authz",
    ...rules.map((rule) => `allow if {\n${rule.map(({ rego }) => `\t${rego}`).join("\n")}\n}`),
    ...needs.map(([scope, { rego }]) => `required_scopes contains ${text(scope)} if ${rego}`),
    ...(covers ? ['scope_covers := {"s:admin": ["s:read"], "s:read": ["s:write"]}'] : []),
    "granted if {",
    "\tsome group in input.identity.groups",
    "\tpatterns := data.grants[group][input.mcp.server][input.mcp.kind]",
    "\tmcp_authz.matches(patterns, input.mcp.name)",
    "}",
    "small if input.mcp.listing",
    "small if input.mcp.arguments.amount <= 5",
    "",
  ].join("\n");
}
