import { resolve } from "node:path";
import { expect, it } from "vitest";
import { noOpa } from "../../test/fakes/opa.ts";
import { artifact, withSettings } from "./artifact.ts";
import { UNWATCHED } from "./evaluator.ts";
import { loadPolicy, type PolicySource } from "./load.ts";
import type { PolicySettings } from "./settings.ts";
import { createPolicyStore } from "./store.ts";

const DEMO = resolve(import.meta.dirname, "../../policies/demo");
const source = (more: Partial<PolicySource> = {}): PolicySource => ({
  path: DEMO,
  rego: "v1",
  findOpa: noOpa,
  ...more,
});
const revision = (settings: PolicySettings) =>
  withSettings(artifact({ wasm: new Uint8Array([1]), reads: null }, "{}"), settings).revision;

it("what changes answers changes the revision", () => {
  const differing = [
    revision({}),
    revision({ compat: "authorino" }),
    revision({ headers: ["x-tenant"] }),
    revision({ headers: ["x-a", "x-tenant"] }),
    revision({ headers: ["x-tenant"], compat: "authorino" }),
    revision({ zones: ["UTC"] }),
    revision({ headers: ["UTC"] }),
  ];
  expect(new Set(differing).size).toBe(differing.length);
  expect(revision({ compat: null, headers: [] })).toBe(
    artifact({ wasm: new Uint8Array([1]), reads: null }, "{}").revision,
  );
  expect(revision({ headers: ["x-tenant", "x-a", "x-a"] })).toBe(differing[3]);
});

it("a policy of an earlier thread goes by the settings of now, and its files are looked at again", async () => {
  const kept = await loadPolicy(source());
  const reloads: string[] = [];
  const options = { guard: UNWATCHED, quarantined: null, onReload: (result: string) => void reloads.push(result) };
  const compat = await createPolicyStore({ ...source({ compat: "authorino" }), ...options, kept });
  expect(compat.revision()).not.toBe(kept.artifact.revision);
  const open = await createPolicyStore({ ...source({ openToAll: true }), ...options, kept });
  const same = await createPolicyStore({ ...source(), ...options, kept });
  // openToAll changes no answer.
  expect([open.revision(), same.revision()]).toEqual([kept.artifact.revision, kept.artifact.revision]);
  for (const [store, looked] of [
    [compat, ["ok"]],
    [open, ["ok"]],
    [same, []],
  ] as const) {
    reloads.length = 0;
    await store.poll();
    expect(reloads).toEqual(looked);
    store.close();
  }
});
