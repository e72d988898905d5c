// A slip in the author's data never allows more: of another type, under a misspelled key, nested, gone, or null.
import { POLICY_BY_TOKEN } from "../../test/fakes/identity.ts";
import fc from "fast-check";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import type { PolicyInput } from "../authz/types.ts";
import { findTool } from "../files/program.ts";
import type { JsonValue } from "../json/types.ts";
import { createLocalTimes } from "../authz/local-time.ts";
import { compiledDemo } from "../../test/fakes/demo-policy.ts";
import { artifact, type Rules } from "./artifact.ts";
import { compileRules } from "./compile.ts";
import { readData } from "./data.ts";
import { decide } from "./decision.ts";
import { createEvaluator, UNWATCHED } from "./evaluator.ts";
import { findOpa } from "./opa.ts";

const DEMO = resolve(join(import.meta.dirname, "../../policies/demo"));
const demo = {
  rules: compiledDemo(),
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
function allower(rules: Rules, data: JsonValue): (asked: Call) => boolean {
  const evaluator = createEvaluator(artifact(rules, JSON.stringify(data)), null, UNWATCHED);
  return (asked) => {
    const decided = decide(evaluator, inputOf(asked));
    return decided.ok && decided.value.allow;
  };
}

/** Places where another number is another limit, and another text another pattern: no slip that anybody could tell. */
const isMeant = (before: JsonValue, after: JsonValue) => typeof before === typeof after && !isNode(before);

function neverMore(rules: Rules, data: JsonValue) {
  const before = allower(rules, data);
  return fc.property(slip, fc.nat(), caller, ([, change], at, one) => {
    let meant = false;
    const after = slipped(data, at, (value) => {
      const changed = change(value);
      // A single text in a list is the same patterns, and the reverse.
      meant = changed !== undefined && (isMeant(value, changed) || (typeof value === "string" && changed === ""));
      return changed;
    });
    if (meant) return true;
    const allows = allower(rules, after);
    return callsOf(one).every((each) => before(each) || !allows(each));
  });
}

describe("a slip in data", () => {
  it("allows nothing more with the demo's policy", () => fc.assert(neverMore(demo.rules, demo.data), { numRuns: 300 }));

  it.skipIf(findTool("opa") === null)("allows nothing more with the deny list of the page", async () => {
    const rules = await compileRules({ files: [{ path: "p.rego", text: RECIPE }], rego: "v1", findOpa });
    const fine: Call = { name: "echo", server: "demo", groups: [], scopes: ["admin"], amount: 1 };
    expect(allower(rules, RECIPE_DATA)(fine)).toBe(true);
    fc.assert(neverMore(rules, RECIPE_DATA), { numRuns: 250 });
  });

  it.skipIf(findTool("opa") === null)("would, with `not matches`: the property tells", async () => {
    const text = RECIPE.replace("mcp_authz.matches_none", "not mcp_authz.matches");
    const rules = await compileRules({ files: [{ path: "p.rego", text }], rego: "v1", findOpa });
    expect(fc.check(neverMore(rules, RECIPE_DATA), { numRuns: 2000 }).failed).toBe(true);
  });
});

const HOURS = `package mcp.authz

import data.mcp_authz

allow if {
	local := input.request.local["Europe/Berlin"]
	mcp_authz.within(local.clock, data.hours.from, data.hours.to)
	mcp_authz.weekday_in(local.weekday, data.hours.days)
	mcp_authz.date_within(local.date, data.season.first, data.season.last)
}
`;
const HOURS_DATA = {
  hours: { from: "22:00", to: "06:00", days: ["monday", "friday"] },
  season: { first: "2026-03-01", last: "2026-11-30" },
};
/** Spellings of people and of other systems. */
const TIME_SLIPS: typeof SLIPS = [
  ...SLIPS,
  ["without its first zero", (value) => (typeof value === "string" ? value.replace(/^0/, "") : value)],
  ["capital letters", (value) => (typeof value === "string" ? value.replace(/^[a-z]/, (a) => a.toUpperCase()) : value)],
  ["cut short", (value) => (typeof value === "string" ? value.slice(0, 3) : value)],
  ["with seconds", (value) => (typeof value === "string" ? `${value}:00` : value)],
  ["with spaces", (value) => (typeof value === "string" ? ` ${value}` : value)],
  ["with a line break", (value) => (typeof value === "string" ? `${value}\n` : value)],
  ["as minutes", (value) => (typeof value === "string" && value.includes(":") ? 1320 : value)],
];

describe.skipIf(findTool("opa") === null)("times in data", () => {
  const compiled = compileRules({
    files: [{ path: "p.rego", text: HOURS }],
    rego: "v1",
    zones: ["Europe/Berlin"],
    findOpa,
  });
  const localTimes = createLocalTimes(["Europe/Berlin"]);
  const inputAt = (time: number): PolicyInput => {
    const whole = inputOf({ name: "echo", server: "demo", groups: [], scopes: [], amount: 1 });
    return { ...whole, request: { ...whole.request, time, local: localTimes(time) ?? {} } };
  };
  const at = (data: JsonValue, rules: Rules) => {
    const evaluator = createEvaluator(artifact(rules, JSON.stringify(data)), null, UNWATCHED);
    return (time: string) => decide(evaluator, inputAt(Date.parse(time) / 1000));
  };
  const allows = (step: ReturnType<typeof decide>) => step.ok && step.value.allow;

  it("hold over midnight and on the days of change", async () => {
    const ask = at(HOURS_DATA, await compiled);
    const hours = ["2026-07-03T19:59:00Z", "2026-07-03T20:00:00Z", "2026-07-05T22:00:00Z", "2026-07-06T04:00:00Z"];
    expect(hours.map((time) => allows(ask(time)))).toEqual([false, true, true, false]);
    const everyDay = at({ ...HOURS_DATA, hours: { from: "02:00", to: "03:00", days: "sunday" } }, await compiled);
    // 02:30 comes twice in October, and not at all in March.
    const half = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z", "2026-03-29T01:00:00Z"];
    expect(half.map((time) => allows(everyDay(time)))).toEqual([true, true, false, false]);
  });

  it("with a slip allow at no time more", async () => {
    const rules = await compiled;
    const office = { ...HOURS_DATA, hours: { from: "09:00", to: "17:00", days: "tuesday" } };
    const [first, last] = ["2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z"].map((time) => Date.parse(time)) as [
      number,
      number,
    ];
    const time = fc.integer({ min: first, max: last }).map((ms) => new Date(ms).toISOString());
    const property = fc.property(
      fc.constantFrom(...TIME_SLIPS),
      fc.nat(),
      fc.constantFrom(HOURS_DATA, office),
      fc.array(time, { minLength: 5, maxLength: 5 }),
      (...[[, change], place, data, times]) => {
        const [before, after] = [at(data, rules), at(slipped(data, place, change), rules)];
        return times.every((one) => allows(before(one)) || !allows(after(one)));
      },
    );
    fc.assert(property, { numRuns: 150 });
  });

  it.each<[string, object, string]>([
    [
      "from",
      { hours: { ...HOURS_DATA.hours, from: "9:00" } },
      'data.hours.from is another text: mcp_authz.within takes times as "09:00"',
    ],
    [
      "to",
      { hours: { ...HOURS_DATA.hours, to: 17 } },
      'data.hours.to is a number: mcp_authz.within takes times as "09:00"',
    ],
    [
      "a day",
      { hours: { ...HOURS_DATA.hours, days: ["monday", "Fri"] } },
      "data.hours.days[1] is another text: mcp_authz.weekday_in takes days as monday, in lower case, or a list of them",
    ],
    [
      "days",
      { hours: { ...HOURS_DATA.hours, days: null } },
      "data.hours.days is null: mcp_authz.weekday_in takes days as monday, in lower case, or a list of them",
    ],
    [
      "a date",
      { season: { ...HOURS_DATA.season, last: "30.11.2026" } },
      'data.season.last is another text: mcp_authz.date_within takes dates as "2026-12-24"',
    ],
  ])("of another form refuse, and the detail names the place: %s", async (_, wrong, detail) => {
    const data = { ...HOURS_DATA, other: { name: "echo", days: 5 }, ...wrong } as JsonValue;
    const step = at(data, await compiled)("2026-07-03T21:00:00Z");
    expect(step).toEqual({ ok: false, reason: "policy_unavailable", detail });
  });
});

describe("patterns of another form", () => {
  const grants = (tool: JsonValue) => ({ grants: { engineering: { demo: { tool } } }, limits: { transfer: 1000 } });
  const asked = inputOf({ name: "echo", server: "demo", groups: ["engineering"], scopes: [], amount: 1 });
  const decided = (data: JsonValue) =>
    decide(createEvaluator(artifact(demo.rules, JSON.stringify(data)), null, UNWATCHED), asked);

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
    const evaluator = createEvaluator(artifact(demo.rules, JSON.stringify(grants([3]))), null, UNWATCHED);
    const details = Array.from({ length: 40 }, () => decide(evaluator, asked)).map((step) =>
      step.ok ? "" : step.detail,
    );
    expect(new Set(details).size).toBe(1);
    expect(details[39]).toContain("tool[0] is a number");
  });
});
