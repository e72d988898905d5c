import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import type { LoadedPolicy } from "@open-policy-agent/opa-wasm";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { PolicyInput } from "../authz/types.ts";
import { readData } from "./data.ts";
import { createEngine } from "./engine.ts";
import type { Entrypoint } from "./entrypoints.ts";
import { createInputText } from "./input-text.ts";
import { readSources } from "./sources.ts";

const { loadPolicySync } = createRequire(import.meta.url)("@open-policy-agent/opa-wasm") as {
  loadPolicySync: (wasm: WebAssembly.Module, memory: number) => LoadedPolicy;
};
const DEMO = resolve(import.meta.dirname, "../../policies/demo");
const wasm = new WebAssembly.Module(new Uint8Array(readFileSync(`${DEMO}/.compiled/policy.wasm`)));
const data = { ...(JSON.parse(readData(readSources(DEMO))) as object), catalog: { servers: { demo: servers() } } };
const bytes = () => new Uint8Array(Buffer.from(JSON.stringify(data))).buffer;

function servers() {
  return { tools: ["echo", "transfer", "search_docs", "other"], prompts: ["p"], resources: ["docs://ü"] };
}

const text = fc.oneof(fc.string({ unit: "grapheme", maxLength: 20 }), fc.constantFrom("demo", "echo", "transfer"));
const group = fc.constantFrom("engineering", "finance", "x");
const inputs: fc.Arbitrary<PolicyInput> = fc.record({
  identity: fc.record({
    issuer: text,
    subject: text,
    username: fc.option(text),
    groups: fc.array(group, { maxLength: 3 }),
    scopes: fc.array(fc.constantFrom("mcp:read", "mcp:write"), { maxLength: 2 }),
    method: fc.constant("jwt" as const),
    kind: fc.constantFrom("user", "machine"),
    amr: fc.array(text, { maxLength: 2 }),
    acr: fc.option(text),
    auth_time: fc.option(fc.nat()),
    claims: fc.dictionary(text, fc.jsonValue() as fc.Arbitrary<never>, { maxKeys: 3 }),
  }),
  mcp: fc.record({
    method: fc.constantFrom("tools/call", "tools/list", "x"),
    server: fc.option(fc.constantFrom("demo", "other")),
    kind: fc.option(fc.constantFrom("tool", "prompt", "resource")),
    name: fc.option(text),
    arguments: fc.dictionary(fc.constantFrom("amount", "to"), fc.jsonValue() as fc.Arbitrary<never>),
    version: text,
  }),
  request: fc.record({
    host: text,
    path: text,
    sourceIp: text,
    time: fc.integer({ min: 0 }),
    headers: fc.dictionary(text, text, { maxKeys: 2 }),
  }),
});
const entrypoints = fc.constantFrom<Entrypoint>("mcp_authz/decision", "mcp_authz/visible");

/** Sets come out of the engine in no order. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, ordered(item)]));
}

describe("the engine, against opa-wasm's own evaluate", () => {
  it("says the same of every input, one after the other in one instance", () => {
    const reference = loadPolicySync(wasm, 16);
    reference.setData(data);
    const engine = createEngine(wasm, bytes());
    const inputText = createInputText(null);
    fc.assert(
      fc.property(inputs, entrypoints, (input, entrypoint) => {
        const expected: unknown = reference.evaluate(input, entrypoint);
        expect(ordered(JSON.parse(engine.evaluate(entrypoint, inputText(input).text())))).toEqual(ordered(expected));
      }),
      { numRuns: 500 },
    );
  });

  it("holds inputs that are larger than its memory was, and small ones after them", () => {
    const reference = loadPolicySync(wasm, 16);
    reference.setData(data);
    const engine = createEngine(wasm, bytes());
    for (const size of [1, 3_000_000, 1, 8_000_000, 1]) {
      const input = { identity: { issuer: "ü".repeat(size) } };
      const expected: unknown = reference.evaluate(input, "mcp_authz/decision");
      expect(JSON.parse(engine.evaluate("mcp_authz/decision", JSON.stringify(input)))).toEqual(expected);
    }
  });
});

describe("the text of an input", () => {
  it("means what JSON.stringify means, the second time too", () => {
    const inputText = createInputText(null);
    fc.assert(
      fc.property(inputs, fc.boolean(), (input, compat) => {
        const whole = compat ? { ...input, auth: { identity: input.identity.claims } } : input;
        for (let i = 0; i < 2; i += 1) expect(inputText(whole).text()).toBe(JSON.stringify(whole));
      }),
    );
  });

  it.each([undefined, null, 0, "", false, {}, [], { identity: {} }, { identity: null, mcp: {}, request: {} }])(
    "less than a whole input, %j, is written as it is",
    (input) => expect(createInputText(null)(input as never).text()).toBe(JSON.stringify(input ?? null)),
  );
});
