// The same decisions on /mcp as on a server's endpoint, over random names: what policy is asked, and what comes of it.
import fc from "fast-check";
import { expect, it } from "vitest";
import { ALICE, allowingPorts, checkSettings, requestOf } from "../../test/fakes/authz.ts";
import { createResolver } from "../mcp/resolver.ts";
import { createCheck } from "./check.ts";
import { newCheckFacts } from "./facts.ts";
import { Grant } from "./grant.ts";
import { pass } from "./step.ts";
import type { PolicyInput } from "./types.ts";

const PREFIXES = { s: "s_", t: "t.x-" };
const resolver = createResolver(PREFIXES);
const settings = checkSettings({ resolver, routing: { s: "broker", t: "broker" } });

interface Verdict {
  readonly outcome: string;
  /** What policy was asked. */
  readonly asked: PolicyInput["mcp"] | null;
  readonly named: unknown;
}

/** Policy allows every other name, by its length. */
async function decide(path: string, method: string, params: object): Promise<Verdict> {
  let asked: PolicyInput["mcp"] | null = null;
  let named: unknown = null;
  const ports = allowingPorts({
    decide({ mcp }) {
      asked = mcp;
      const allow = (mcp.name?.length ?? 0) % 2 === 0;
      return pass(
        allow ? { allow, revision: "r", note: null } : { allow, revision: "r", note: null, requiredScopes: null },
      );
    },
    signWristband(_, visible) {
      named = visible;
      return pass({ jws: "w", jti: "j", leftOut: [] });
    },
  });
  const message = { jsonrpc: "2.0", id: 1, method, params };
  const facts = newCheckFacts("r", 1_790_000_000_123);
  const { signal } = new AbortController();
  const done = await createCheck(settings, ports)(requestOf({ path, message }), facts, signal);
  if (!done.ok) return { outcome: done.reason, asked, named };
  return { outcome: Grant.is(done.value) ? `${done.value.route} ${ALICE.subject}` : "public", asked, named };
}

const server = fc.constantFrom<keyof typeof PREFIXES>("s", "t");
const word = fc.string({ unit: fc.constantFrom("a", "s", "t", "_", "-", ".", "/"), minLength: 1, maxLength: 6 });
const uri = fc
  .tuple(
    fc.constantFrom("docs://", "ui://", "ui://s/", "t+docs://", "git+https://h/", "file:///", "urn:x:", "https://h/"),
    fc.array(fc.constantFrom("a", "b/c", "é", "+", "s+", "%25", "?q=1", "#f", ":", "@"), {
      minLength: 1,
      maxLength: 4,
    }),
  )
  .map(([head, rest]) => head + rest.join(""));
const template = fc.constantFrom("docs://{id}", "ui://{id}/view", "ui://a/{+path}", "x+y://h/{?q}", "docs:{id}");

/** A request by its own name, and how the name is put into it. */
const use = fc.oneof(
  word.map((name) => ({ kind: "tool" as const, name, method: "tools/call", params: (it: string) => ({ name: it }) })),
  word.map((name) => ({
    kind: "prompt" as const,
    name,
    method: "prompts/get",
    params: (it: string) => ({ name: it }),
  })),
  fc
    .tuple(uri, fc.constantFrom("resources/read", "resources/subscribe", "resources/unsubscribe"))
    .map(([name, method]) => ({ kind: "resource" as const, name, method, params: (it: string) => ({ uri: it }) })),
  fc.oneof(uri, template).map((name) => ({
    kind: "resource" as const,
    name,
    method: "completion/complete",
    params: (it: string) => ({ ref: { type: "ref/resource", uri: it }, argument: { name: "a", value: "b" } }),
  })),
  word.map((name) => ({
    kind: "prompt" as const,
    name,
    method: "completion/complete",
    params: (it: string) => ({ ref: { type: "ref/prompt", name: it }, argument: { name: "a", value: "b" } }),
  })),
);

it("a merged name is decided as the own one: policy is asked the same, and the wristband names the same", async () => {
  const seen = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(server, use, async (name, { kind, name: own, method, params }) => {
      const merged = resolver.namesOf(name).publicName(kind, own);
      if (merged === null) return;
      const there = await decide(`/servers/${name}/mcp`, method, params(own));
      const here = await decide("/mcp", method, params(merged));
      // A URI that is no name at all is told so on its server's endpoint, and is nobody's on the merged one.
      if (there.outcome === "params_invalid") expect(here.outcome).toMatch(/policy_denied|params_invalid/);
      else expect([merged, here]).toEqual([merged, there]);
      seen.set(there.outcome, (seen.get(there.outcome) ?? 0) + 1);
    }),
    { numRuns: 1500 },
  );
  expect(Math.min(...["policy_denied", "broker alice-sub"].map((outcome) => seen.get(outcome) ?? 0))).toBeGreaterThan(
    100,
  );
});

it("no text reaches another name than policy was asked about, or another server than it names", async () => {
  const pieces = fc.array(
    fc.constantFrom(
      ...["s", "t", "+", "ui://", "UI://", "/", "//", "docs://", "docs:", "s+", "t+", "%2B", "%73", "%2F", "..", "."],
      ...["s_", "t.x-", "A", "é", "ſ", "ｓ", "\u200b", " ", "?", "#", "@", ":80", "{id}", "constructor", "__proto__"],
    ),
    { minLength: 1, maxLength: 6 },
  );
  const head = fc.constantFrom("", "", "s+docs://", "t+docs:a", "ui://s/", "s_", "t.x-");
  const odd = fc.tuple(head, pieces).map(([start, rest]) => start + rest.join(""));
  let reached = 0;
  await fc.assert(
    fc.asyncProperty(odd, fc.constantFrom("tools/call", "prompts/get", "resources/read"), async (text, method) => {
      const params = method === "resources/read" ? { uri: text } : { name: text };
      const { outcome, asked, named } = await decide("/mcp", method, params);
      if (asked === null) {
        expect(outcome).toMatch(/policy_denied|params_invalid/);
        return;
      }
      reached += 1;
      expect(resolver.namesOf(asked.server ?? "").publicName(asked.kind ?? "tool", asked.name ?? "")).toBe(text);
      if (named !== null)
        expect(JSON.stringify(named)).toContain(JSON.stringify({ [asked.server ?? ""]: [asked.name] }));
    }),
    { numRuns: 4000 },
  );
  expect(reached).toBeGreaterThan(50);
});
