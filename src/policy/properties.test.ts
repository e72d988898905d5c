import { POLICY_BY_TOKEN } from "../../test/fakes/identity.ts";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { PolicyInput, PolicyOperation, Visible } from "../authz/types.ts";
import { compiledDemo } from "../../test/fakes/demo-policy.ts";
import { artifact } from "./artifact.ts";
import { decide, visible } from "./decision.ts";
import { createEvaluator, UNWATCHED } from "./evaluator.ts";

// P8, E15: the demo's rules over random data, asked as WASM and as the sentences below say.
const rules = compiledDemo();
const KINDS = [
  ["tool", "tools", "tools/call"],
  ["prompt", "prompts", "prompts/get"],
  ["resource", "resources", "resources/read"],
] as const;
type Kind = (typeof KINDS)[number][0];
type Grants = Record<string, Record<string, Partial<Record<Kind, string[]>>>>;
type Catalog = Record<string, { tools: string[]; prompts: string[]; resources: string[] }>;

const group = fc.constantFrom("g", "h", "k");
const server = fc.constantFrom("s", "t", "s-t");
const name = fc.oneof(
  fc.constantFrom("transfer", "echo", "ab", "a.b/c", "ü"),
  fc.string({ unit: fc.constantFrom("a", "b", "ü", "."), minLength: 1, maxLength: 5 }),
);
const pattern = fc.oneof(
  name,
  fc.string({ unit: fc.constantFrom("a", "b", "*", "ü", ".", "?"), maxLength: 5 }),
  fc.constantFrom("*", "trans*", "*er", "t*n*r", "***"),
);
const patterns = fc.array(pattern, { maxLength: 4 });
const grants: fc.Arbitrary<Grants> = fc.dictionary(
  group,
  fc.dictionary(server, fc.record({ tool: patterns, prompt: patterns, resource: patterns }, { requiredKeys: [] })),
);
const names = fc.uniqueArray(name, { maxLength: 5 });
const catalog: fc.Arbitrary<Catalog> = fc.dictionary(
  server,
  fc.record({ tools: names, prompts: names, resources: names }),
);
const scopes = fc.uniqueArray(fc.constantFrom("mcp:read", "mcp:write"));
const caller = fc.record({ groups: fc.uniqueArray(group), scopes });
const world = fc.record({ grants, catalog, caller, limit: fc.integer({ min: 0, max: 3 }) });

interface World {
  readonly grants: Grants;
  readonly catalog: Catalog;
  readonly caller: { readonly groups: string[]; readonly scopes: string[] };
  readonly limit: number;
}

/** Stars, each any run of characters; all else as it stands. */
function fits(pattern: string, text: string): boolean {
  const parts = pattern.split("*");
  const literal = parts.map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`^${literal.join(".*")}$`, "su").test(text);
}

function expected({ grants, caller, limit }: World, mcp: PolicyOperation, listing: boolean): string {
  const { kind, server, name, arguments: args } = mcp;
  if (kind === null || server === null || name === null) return "deny";
  const granted = caller.groups.some((one) => {
    const list = Object.hasOwn(grants, one) ? grants[one]?.[server]?.[kind] : undefined;
    return list?.some((pattern) => fits(pattern, name)) ?? false;
  });
  const amount = args["amount"];
  const small = listing || (typeof amount === "number" && amount > 0 && amount <= limit);
  if (!granted || (name === "transfer" && !small)) return "deny";
  return name === "transfer" && !caller.scopes.includes("mcp:write") ? "scope" : "allow";
}

function asked({ caller }: World, mcp: PolicyOperation): PolicyInput {
  return {
    identity: { issuer: "i", subject: "u", username: null, ...caller, ...POLICY_BY_TOKEN, claims: {} },
    mcp,
    request: { host: "h", path: "/mcp", sourceIp: "192.0.2.1", time: 1, headers: {} },
  };
}

const evaluatorOf = ({ grants, catalog, limit }: World) =>
  createEvaluator(
    artifact(rules, JSON.stringify({ grants, limits: { transfer: limit } })),
    { servers: catalog },
    UNWATCHED,
  );

function verdict(step: ReturnType<typeof decide>): string {
  if (!step.ok) return step.reason;
  if (step.value.allow) return "allow";
  return step.value.requiredScopes === null ? "deny" : "scope";
}

const listOf = (at: string | null): PolicyOperation => {
  return { method: "tools/list", server: at, kind: null, name: null, arguments: {}, version: "1" };
};

/** What may be seen, by the sentences: every name of the catalogue that may be called, arguments aside. */
function expectedVisible(all: World, at: string | null): Visible {
  const listed = (kind: Kind, list: (typeof KINDS)[number][1]) => {
    const servers = Object.keys(all.catalog).filter((one) => at === null || one === at);
    const entries = servers.sort().map((one) => {
      const may = (all.catalog[one]?.[list] ?? []).filter((each) => {
        const mcp = { method: "", server: one, kind, name: each, arguments: {}, version: "1" };
        return expected(all, mcp, true) === "allow";
      });
      return [one, may.toSorted()] as const;
    });
    return Object.fromEntries(entries.filter(([, may]) => may.length > 0));
  };
  return {
    tools: listed("tool", "tools"),
    prompts: listed("prompt", "prompts"),
    resources: listed("resource", "resources"),
  };
}

describe("P8: the demo policy over random grants, catalogues and callers", () => {
  it("decides as its sentences say", () => {
    const amount = fc.constantFrom<unknown>(1, 2, 3, 4, 0, -1, 0.5, "1", null, true, [1]);
    const call = fc.record({
      server,
      kind: fc.constantFrom(...KINDS.map(([kind]) => kind)),
      name,
      args: fc.oneof(fc.constant({}), fc.record({ amount })),
    });
    const property = fc.property(world, fc.array(call, { minLength: 1, maxLength: 8 }), (all, calls) => {
      const evaluator = evaluatorOf(all);
      for (const { server, kind, name, args } of calls) {
        const mcp = { method: "x", server, kind, name, arguments: args as PolicyOperation["arguments"], version: "1" };
        expect([mcp, verdict(decide(evaluator, asked(all, mcp)))]).toEqual([mcp, expected(all, mcp, false)]);
      }
    });
    fc.assert(property, { numRuns: 300 });
  });

  it("lists as its sentences say", () => {
    const property = fc.property(world, fc.option(server), (all, at) => {
      expect(visible(evaluatorOf(all), asked(all, listOf(at)))).toEqual({ ok: true, value: expectedVisible(all, at) });
    });
    fc.assert(property, { numRuns: 300 });
  });
});

/** Listed if and only if a call without arguments is allowed; `transfer` alone has a rule on arguments. */
function agreement(list: typeof visible): fc.IPropertyWithHooks<[World]> {
  return fc.property(world, (all) => {
    const evaluator = evaluatorOf(all);
    const seen = list(evaluator, asked(all, listOf(null)));
    if (!seen.ok) return false;
    return KINDS.every(([kind, lists, method]) =>
      Object.entries(all.catalog).every(([at, entry]) =>
        entry[lists].every((each) => {
          if (each === "transfer") return true;
          const mcp = { method, server: at, kind, name: each, arguments: {}, version: "1" };
          const callable = verdict(decide(evaluator, asked(all, mcp))) === "allow";
          return (seen.value[lists][at] ?? []).includes(each) === callable;
        }),
      ),
    );
  });
}

describe("E15: listing and calling agree", () => {
  it("for every name", () => fc.assert(agreement(visible), { numRuns: 300 }));

  it.each<[string, (seen: Visible) => Visible]>([
    ["lists nothing", () => ({ tools: {}, prompts: {}, resources: {} })],
    ["mixes up two kinds", ({ tools, prompts, resources }) => ({ tools: prompts, prompts: tools, resources })],
    ["forgets the last name", (seen) => ({ ...seen, tools: mapped(seen.tools, (list) => list.slice(1)) })],
  ])("the property fails on a list that %s", (_, change) => {
    const broken: typeof visible = (evaluator, input) => {
      const step = visible(evaluator, input);
      return step.ok ? { ok: true, value: change(step.value) } : step;
    };
    expect(fc.check(agreement(broken), { numRuns: 1000 }).failed).toBe(true);
  });
});

function mapped(lists: Visible["tools"], change: (list: readonly string[]) => readonly string[]): Visible["tools"] {
  return Object.fromEntries(Object.entries(lists).map(([key, list]) => [key, change(list)]));
}

it("P9: taking a group or a grant away never allows more", () => {
  const property = fc.property(world, server, name, group, (all, at, each, gone) => {
    const mcp = { method: "x", server: at, kind: "tool" as const, name: each, arguments: {}, version: "1" };
    const { [gone]: _, ...fewer } = all.grants;
    const less = { ...all, grants: fewer };
    const out = { ...all, caller: { ...all.caller, groups: all.caller.groups.filter((one) => one !== gone) } };
    const now = verdict(decide(evaluatorOf(all), asked(all, mcp)));
    return [less, out].every(
      (one) => now === "allow" || verdict(decide(evaluatorOf(one), asked(one, mcp))) !== "allow",
    );
  });
  fc.assert(property, { numRuns: 200 });
});
