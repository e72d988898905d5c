// P8, P9, B37, E15 over the whole way: policy → wristband → the broker's pages, against calls and against sentences.
import { POLICY_BY_TOKEN } from "../fakes/identity.ts";
import { createPublicKey } from "node:crypto";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { findTool } from "../../src/files/program.ts";
import type { PolicyInput, PolicyOperation, Visible } from "../../src/authz/types.ts";
import { housekeeping } from "../../src/broker/housekeeping.ts";
import { createCatalog, type Snapshot } from "../../src/broker/catalog/snapshot.ts";
import { LISTS, type ListKind } from "../../src/mcp/lists.ts";
import type { Operation } from "../../src/mcp/operation.ts";
import { createResolver } from "../../src/mcp/resolver.ts";
import { artifact, type Rules } from "../../src/policy/artifact.ts";
import { findOpa } from "../../src/policy/opa.ts";
import { compilePolicy } from "../../src/policy/compile.ts";
import { decide, visible } from "../../src/policy/decision.ts";
import { createEvaluator, UNWATCHED, type Evaluator } from "../../src/policy/evaluator.ts";
import { createSigner } from "../../src/wristband/sign.ts";
import { createVerifier } from "../../src/wristband/verify.ts";
import { listingOf, tool } from "../fakes/listing.ts";
import { WRISTBAND } from "../fakes/wristband.ts";
import { ALICE } from "../fakes/authz.ts";
import { makeKey } from "../fakes/issuer.ts";
import {
  GROUPS,
  randomPolicy,
  SCOPES,
  SERVERS,
  type Caller,
  type Grants,
  type RandomPolicy,
  type Use,
} from "../fakes/random-policy.ts";

const opa = findTool("opa");
const POLICIES = 12;
const WORLDS = 25; // each of every policy: 300
const SEED = 20_260_728;

interface Offer {
  readonly tools: string[];
  readonly prompts: string[];
  readonly resources: string[];
  readonly templates: string[];
}
interface World {
  readonly grants: Grants;
  readonly offers: Record<string, Offer>;
  readonly callers: Caller[];
}
interface Compiled extends RandomPolicy {
  readonly rules: Rules;
}

const names = (...list: string[]) => fc.subarray(list);
const offer = fc.record({
  tools: names("read", "rename", "reset", "write", "a.b/c", "e"),
  prompts: names("read", "sum", "e"),
  resources: names("docs://a", "docs://e", "file:///a", "xy:e", "ui://a/e", "a+docs://e"),
  templates: names("docs://{id}", "xy:{id}", "docs://a", "ui://a/{id}"),
});
const patterns = fc.subarray(["*", "re*", "*e", "write", "docs://*", "*{id}*", "read"], { maxLength: 3 });
const grants: fc.Arbitrary<Grants> = fc.dictionary(
  fc.constantFrom(...GROUPS),
  fc.dictionary(
    fc.constantFrom(...SERVERS),
    fc.record({ tool: patterns, prompt: patterns, resource: patterns }, { requiredKeys: [] }),
  ),
);
const caller: fc.Arbitrary<Caller> = fc.record({
  subject: fc.constantFrom("u1", "u2", "u3"),
  groups: fc.subarray(GROUPS),
  scopes: fc.subarray(SCOPES),
  dept: fc.constantFrom("x", "y", "z"),
});
const world: fc.Arbitrary<World> = fc.record({
  grants,
  offers: fc.dictionary(fc.constantFrom(...SERVERS), offer),
  callers: fc.array(caller, { minLength: 1, maxLength: 2 }),
});

async function compiled(positive: boolean, count: number): Promise<Compiled[]> {
  const policies = fc.sample(randomPolicy({ positive }), { numRuns: count, seed: SEED });
  const made: Compiled[] = [];
  for (const policy of policies) {
    const files = [{ path: "policy.rego", text: policy.rego }];
    made.push({ ...policy, rules: await compilePolicy({ files, rego: "v1", findOpa }) });
  }
  return made;
}

/** What the broker has of these servers. */
async function snapshotOf(offers: World["offers"]): Promise<Snapshot> {
  const servers = Object.entries(offers).map(([server, { tools, prompts, resources, templates }]) => {
    const offered = {
      tools: tools.map((name) => tool(name)),
      prompts: prompts.map((name) => ({ name })),
      resources: resources.map((uri) => ({ uri, name: "n" })),
      templates: templates.map((uriTemplate) => ({ uriTemplate, name: "n" })),
    };
    return [server, async () => listingOf(server, offered)] as const;
  });
  const catalog = createCatalog({ servers: new Map(servers), monotonic: () => 0, onListed: () => {} });
  await catalog.start();
  catalog.close();
  return catalog.current();
}

const evaluatorOf = ({ rules }: Compiled, granted: Grants, snapshot: Snapshot): Evaluator =>
  createEvaluator(artifact(rules, JSON.stringify({ grants: granted })), snapshot.names, UNWATCHED);

function inputOf({ dept, ...who }: Caller, mcp: PolicyOperation): PolicyInput {
  return {
    identity: { issuer: "https://idp.example.com", username: null, ...who, ...POLICY_BY_TOKEN, claims: { dept } },
    mcp,
    request: { host: "h", path: "/mcp", sourceIp: "192.0.2.1", time: 1, headers: {} },
  };
}

const key = makeKey("k");
const publicKey = createPublicKey({ key: key.jwk as never, format: "jwk" });
const sign = createSigner({
  ...WRISTBAND,
  ttlSeconds: 300,
  keys: () => [{ kid: "k", privateKey: key.privateKey, jwk: {} }],
  now: () => 1_790_000_000_000,
});
const verify = createVerifier({ ...WRISTBAND, findKey: () => publicKey, now: () => 1_790_000_000_000 });

const KIND = { tools: "tool", prompts: "prompt", resources: "resource", templates: "resource" } as const;

/** The names of a list, as a client who turns every page sees them. */
function listed(
  evaluator: Evaluator,
  snapshot: Snapshot,
  who: Caller,
  server: string | null,
  kind: ListKind,
): string[] {
  const { method, member, key: nameKey } = LISTS[kind];
  const mcp = { method, server, kind: KIND[kind], name: null, arguments: {}, version: "2026-07-28" };
  const seen = show(evaluator, inputOf(who, mcp));
  if (!seen.ok) throw new Error(seen.reason);
  const wristband = sign({ ...ALICE, subject: who.subject, expiresAt: 1_790_003_600 }, seen.value, {
    use: "list",
    merged: false,
  });
  if (!wristband.ok) throw new Error(wristband.reason);
  const claims = verify(wristband.value.jws);
  if (!claims.ok) throw new Error(claims.fault);
  const operation: Operation = {
    id: 1,
    method,
    class: "list",
    kind: KIND[kind],
    name: null,
    arguments: {},
    version: "2026-07-28",
  };
  const view = {
    ...{ snapshot, offers: null, server, virtualServer: null, search: false, sessions: false, pageEntries: 200 },
    ...{ wristband: claims.value, now: 1_790_000_000_000 },
  };
  const found: string[] = [];
  let cursor: string | undefined;
  do {
    const page = housekeeping(operation, cursor === undefined ? {} : { cursor }, view);
    if (!page.ok) throw new Error(page.reason);
    const result = JSON.parse(page.value) as Record<string, Record<string, string>[]> & { nextCursor?: string };
    found.push(...(result[member] ?? []).map((item) => item[nameKey] ?? ""));
    cursor = result.nextCursor;
  } while (cursor !== undefined);
  return found;
}

let show: typeof visible = visible;

function callable(evaluator: Evaluator, who: Caller, { server, kind, name }: Use): boolean {
  const method = { tool: "tools/call", prompt: "prompts/get", resource: "resources/read" }[kind];
  const mcp = { method, server, kind, name, arguments: { amount: 5 }, version: "2025-11-25" };
  const decision = decide(evaluator, inputOf(who, mcp));
  if (!decision.ok) throw new Error(decision.reason);
  return decision.value.allow;
}

const resolver = createResolver(Object.fromEntries(SERVERS.map((server) => [server, `${server}_`])));

/** Every name that may be used, of all kinds and servers. */
function usesOf(offers: World["offers"]): (Use & { readonly list: ListKind })[] {
  return Object.entries(offers).flatMap(([server, offered]) =>
    (Object.keys(LISTS) as ListKind[]).flatMap((list) =>
      offered[list].map((name) => ({ server, kind: KIND[list], name, list })),
    ),
  );
}

/** What each list shows, by endpoint and kind. */
function allLists(
  evaluator: Evaluator,
  snapshot: Snapshot,
  who: Caller,
  offers: World["offers"],
): Map<string, Set<string>> {
  const shown = new Map<string, Set<string>>();
  for (const list of Object.keys(LISTS) as ListKind[])
    shown.set(`merged ${list}`, new Set(listed(evaluator, snapshot, who, null, list)));
  for (const server of Object.keys(offers))
    for (const list of Object.keys(LISTS) as ListKind[])
      shown.set(`${server} ${list}`, new Set(listed(evaluator, snapshot, who, server, list)));
  return shown;
}

const mergedOf = ({ server, kind, name }: Use) => resolver.namesOf(server).publicName(kind, name) ?? "";

function resolves(use: Use): boolean {
  const target = resolver.resolve(use.kind, mergedOf(use));
  return target?.server === use.server && target.name === use.name;
}

/** Every disagreement between a list, its calls and the sentences; none for a policy that is served right. */
async function disagreements(policy: Compiled, { grants: granted, offers, callers }: World): Promise<string[]> {
  const snapshot = await snapshotOf(offers);
  const evaluator = evaluatorOf(policy, granted, snapshot);
  return callers.flatMap((who) => {
    const shown = allLists(evaluator, snapshot, who, offers);
    const wrong = usesOf(offers).filter((use) => {
      const may = callable(evaluator, who, use);
      // Taken out where they belong: what is left over at the end should not have been shown.
      const onServer = shown.get(`${use.server} ${use.list}`)?.delete(use.name);
      const onMerged = shown.get(`merged ${use.list}`)?.delete(mergedOf(use));
      return !(onServer === may && onMerged === may && resolves(use) && policy.allows(who, use, granted) === may);
    });
    const rest = [...shown].filter(([, names]) => names.size > 0);
    return [
      ...wrong.map((use) => JSON.stringify(use)),
      ...rest.map(([list, names]) => `${list}: ${[...names].join()}`),
    ];
  });
}

describe.skipIf(opa === null)("lists and calls agree", () => {
  let policies: Compiled[];
  let positive: Compiled[];
  beforeAll(async () => {
    policies = await compiled(false, POLICIES);
    positive = await compiled(true, 6);
  }, 120_000);

  it(`P8: over ${POLICIES * WORLDS} random policies, in every kind and on both endpoints, and both as the sentences say`, async () => {
    const worlds = fc.sample(world, { numRuns: POLICIES * WORLDS, seed: SEED });
    let allowed = 0;
    for (const [i, each] of worlds.entries()) {
      const policy = policies[i % POLICIES] as Compiled;
      expect([policy.rego, each, await disagreements(policy, each)]).toEqual([policy.rego, each, []]);
      const uses = usesOf(each.offers);
      const some = each.callers.some((who) => uses.some((use) => policy.allows(who, use, each.grants)));
      const all = each.callers.every((who) => uses.every((use) => policy.allows(who, use, each.grants)));
      if (some && !all) allowed += 1;
    }
    expect(allowed).toBeGreaterThan(50); // not vacuous
  }, 120_000);

  it.each<[string, (seen: Visible) => Visible]>([
    ["shows nothing", () => ({ tools: {}, prompts: {}, resources: {} })],
    ["takes prompts for tools", ({ tools, prompts, resources }) => ({ tools: prompts, prompts: tools, resources })],
    ["gives each server the names of another", (seen) => ({ ...seen, tools: turned(seen.tools) })],
  ])("the test of the test: a list that %s is found out", async (_, change) => {
    show = (evaluator, input) => {
      const step = visible(evaluator, input);
      return step.ok ? { ok: true, value: change(step.value) } : step;
    };
    try {
      const worlds = fc.sample(world, { numRuns: 60, seed: SEED });
      const found = await Promise.all(
        worlds.map((each, i) => disagreements(policies[i % POLICIES] ?? (policies[0] as Compiled), each)),
      );
      expect(found.flat().length).toBeGreaterThan(0);
    } finally {
      show = visible;
    }
  });

  it("P9: taking a group or a grant away never shows more", async () => {
    const worlds = fc.sample(fc.tuple(world, fc.constantFrom(...GROUPS)), { numRuns: 90, seed: SEED });
    let shown = 0;
    const lists = [
      ["tools", null],
      ["resources", null],
      ...(Object.keys(LISTS) as ListKind[]).map((list) => [list, "a"]),
    ] as const;
    for (const [i, [{ grants: granted, offers, callers }, gone]] of worlds.entries()) {
      const policy = positive[i % positive.length] as Compiled;
      const snapshot = await snapshotOf(offers);
      const { [gone]: _, ...fewer } = granted;
      const now = evaluatorOf(policy, granted, snapshot);
      const less = evaluatorOf(policy, fewer, snapshot);
      const more = callers.flatMap((who) => {
        const out = { ...who, groups: who.groups.filter((group) => group !== gone) };
        return lists.flatMap(([list, server]) => {
          const before = listed(now, snapshot, who, server, list as ListKind);
          const after = [
            ...listed(less, snapshot, who, server, list as ListKind),
            ...listed(now, snapshot, out, server, list as ListKind),
          ];
          shown += before.length;
          return after.filter((name) => !before.includes(name));
        });
      });
      expect(more).toEqual([]);
    }
    expect(shown).toBeGreaterThan(100); // not vacuous
  }, 60_000);
});

function turned(lists: Visible["tools"]): Visible["tools"] {
  const servers = Object.keys(lists);
  return Object.fromEntries(servers.map((server, i) => [server, lists[servers[(i + 1) % servers.length] ?? ""] ?? []]));
}
