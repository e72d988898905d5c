// Rules and data change apart: data needs no compiler, and rules wait for one.
import { POLICY_BY_TOKEN } from "../../test/fakes/identity.ts";
import { appendFileSync, chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import type { PolicyInput } from "../authz/types.ts";
import { findTool } from "../files/program.ts";
import { noOpa } from "../../test/fakes/opa.ts";
import { readBundle } from "./artifact.ts";
import { buildBundle } from "./build.ts";
import { writeCompiled } from "./compiled-folder.ts";
import { UNWATCHED } from "./evaluator.ts";
import { loadPolicy, type LoadedPolicy } from "./load.ts";
import { createOpaFinder, findOpa, type FindOpa, type FoundOpa } from "./opa.ts";
import { readSources, rulesHash } from "./sources.ts";
import { createPolicyStore, type PolicyStore } from "./store.ts";

const DEMO = resolve(import.meta.dirname, "../../policies/demo");
const withOpa = it.skipIf(findTool("opa") === null);
const root = mkdtempSync(join(tmpdir(), "mcp-authz-policy-data-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A machine whose opa comes and goes, and who asked how often. */
class Machine {
  asked = 0;
  says: FoundOpa | null = { kind: "missing" };

  readonly findOpa: FindOpa = async () => {
    this.asked += 1;
    return this.says ?? findOpa();
  };
}

function demoCopy(): string {
  const folder = join(mkdtempSync(join(root, "p-")), "demo");
  cpSync(DEMO, folder, { recursive: true });
  return folder;
}

interface Opened {
  readonly store: PolicyStore;
  readonly reloads: readonly string[];
}

async function open(path: string, machine: Machine, kept: LoadedPolicy | null = null): Promise<Opened> {
  const reloads: string[] = [];
  const onReload = (result: string, message: string) => void reloads.push(`${result}: ${message}`);
  const options = { path, rego: "v1", findOpa: machine.findOpa, guard: UNWATCHED, quarantined: null } as const;
  return { store: await createPolicyStore({ ...options, kept, onReload }), reloads };
}

function verdict(store: PolicyStore, group: string, name = "echo"): string {
  const input: PolicyInput = {
    identity: {
      issuer: "i",
      subject: "s",
      username: null,
      groups: [group],
      scopes: [],
      ...POLICY_BY_TOKEN,
      claims: {},
    },
    mcp: { method: "tools/call", server: "demo", kind: "tool", name, arguments: {}, version: "1" },
    request: { host: "h", path: "/servers/demo/mcp", sourceIp: "", time: 0, headers: {} },
  };
  const step = store.decide(input);
  return step.ok ? (step.value.allow ? "allow" : "deny") : step.reason;
}

const GRANT_FINANCE = "grants: {finance: {demo: {tool: [echo]}}}\n";
/** Rules that allow what the demo's never do. */
const OTHER_RULES = 'package mcp.authz\nallow if input.mcp.name == "delete_repo"\n';

describe("an edit of data", () => {
  it("is live without opa, with a revision of its own, and back with the first one", async () => {
    const folder = demoCopy();
    const machine = new Machine();
    const { store, reloads } = await open(folder, machine);
    const first = store.revision();
    const before = readFileSync(join(folder, "data.yaml"));
    writeFileSync(join(folder, "data.yaml"), GRANT_FINANCE);
    await store.poll();
    expect([verdict(store, "finance"), verdict(store, "engineering"), store.stale()]).toEqual(["allow", "deny", null]);
    const second = store.revision();
    writeFileSync(join(folder, "data.yaml"), before);
    await store.poll();
    expect([verdict(store, "finance"), verdict(store, "engineering")]).toEqual(["deny", "allow"]);
    expect([store.revision() === first, second === first, reloads.length, machine.asked]).toEqual([true, false, 2, 0]);
  });

  it("serves at a start without opa, from the compiled rules", async () => {
    const folder = demoCopy();
    writeFileSync(join(folder, "data.yaml"), GRANT_FINANCE);
    const machine = new Machine();
    const { store } = await open(folder, machine);
    expect([verdict(store, "finance"), verdict(store, "engineering"), machine.asked]).toEqual(["allow", "deny", 0]);
  });

  it("is taken by the next thread too, which has no compiled folder, only what was live", async () => {
    const folder = demoCopy();
    const { store } = await open(folder, new Machine());
    rmSync(join(folder, ".compiled"), { recursive: true });
    const next = await open(folder, new Machine(), structuredClone(store.live()));
    writeFileSync(join(folder, "data.yaml"), GRANT_FINANCE);
    await next.store.poll();
    expect([verdict(next.store, "finance"), next.store.stale()]).toEqual(["allow", null]);
  });

  it("that is broken, or stands where rules do, changes nothing, and says where", async () => {
    const folder = demoCopy();
    const { store, reloads } = await open(folder, new Machine());
    for (const text of ["grants:\n  finance: on\n", "mcp: {authz: {allow: true}}\n", "grants: [\n"]) {
      writeFileSync(join(folder, "data.yaml"), text);
      await store.poll();
    }
    expect(reloads).toEqual([
      expect.stringMatching(/^failed: data\.yaml:2: on is one thing/),
      expect.stringMatching(/^failed: the policy's data: the key mcp is reserved/),
      expect.stringMatching(/^failed: data\.yaml:\d: /),
    ]);
    expect([verdict(store, "engineering"), store.stale() === null]).toEqual(["allow", false]);
  });

  withOpa("has one revision, whoever compiled: opa, the compiled folder or a bundle", async () => {
    const folder = demoCopy();
    writeFileSync(join(folder, "data.yaml"), GRANT_FINANCE);
    const source = { path: folder, rego: "v1" } as const;
    const committed = await loadPolicy({ ...source, findOpa: noOpa });
    rmSync(join(folder, ".compiled"), { recursive: true });
    const compiled = await loadPolicy({ ...source, findOpa });
    const out = join(folder, "../bundle.tar.gz");
    const bundle = await buildBundle({ dir: folder, rego: "v1", findOpa, out });
    const revisions = [compiled.artifact.revision, bundle.revision, readBundle(readFileSync(out)).revision];
    expect(new Set(revisions)).toEqual(new Set([committed.artifact.revision]));
  });
});

describe("an edit of rules without opa", () => {
  it("never serves with the old rules' module at a start, and says what differs and the ways out", async () => {
    const folder = demoCopy();
    writeFileSync(join(folder, "policy.rego"), OTHER_RULES);
    const failed = await open(folder, new Machine()).catch((error: Error) => error.message.split("\n"));
    expect(failed).toEqual([
      expect.stringMatching(/^compiling a policy needs opa .* `npm run tools opa`, or name one with the variable OPA/),
      expect.stringMatching(/bundle made by `mcp-authz build-policy`/),
      expect.stringMatching(/undo the change: policy\.rego differs/),
    ]);
  });

  it("never serves the new data by the old rules either", async () => {
    const folder = demoCopy();
    const { store } = await open(folder, new Machine());
    appendFileSync(join(folder, "policy.rego"), "# edited\n");
    writeFileSync(join(folder, "data.yaml"), GRANT_FINANCE);
    await store.poll();
    expect([verdict(store, "finance"), verdict(store, "engineering")]).toEqual(["deny", "allow"]);
  });

  it("is undone without opa", async () => {
    const folder = demoCopy();
    const { store, reloads } = await open(folder, new Machine());
    const before = readFileSync(join(folder, "policy.rego"));
    writeFileSync(join(folder, "policy.rego"), OTHER_RULES);
    await store.poll();
    writeFileSync(join(folder, "policy.rego"), before);
    await store.poll();
    expect([reloads.length, store.stale(), verdict(store, "engineering")]).toEqual([2, null, "allow"]);
  });

  it("goes live once its compiled form is whole, without a further edit, in whatever order its files come", async () => {
    const folder = demoCopy();
    const { store, reloads } = await open(folder, new Machine());
    const [wasm, manifest] = ["policy.wasm", "manifest.json"].map((name) => join(folder, ".compiled", name));
    const demo = readFileSync(wasm ?? "");
    writeFileSync(join(folder, "policy.rego"), OTHER_RULES);
    await store.poll();
    // What opa would make of the new rules does not matter here.
    writeCompiled(folder, { wasm: demo, reads: null }, { files: readSources(folder), rego: "v1" });
    const whole = readFileSync(manifest ?? "");
    for (const content of [whole.subarray(0, 40), whole]) {
      writeFileSync(wasm ?? "", demo.subarray(0, 1000));
      writeFileSync(manifest ?? "", content);
      for (let i = 0; i < 2; i += 1) await store.poll();
      expect(store.stale()).not.toBe(null);
    }
    expect(reloads.length).toBe(3);
    writeFileSync(wasm ?? "", demo);
    await store.poll();
    expect([store.stale(), store.live().artifact.rules]).toEqual([null, rulesHash(readSources(folder), "v1")]);
  });

  withOpa("goes live once opa is there, without a further edit; it is told once what is lacking", async () => {
    const folder = demoCopy();
    const machine = new Machine();
    const { store, reloads } = await open(folder, machine);
    writeFileSync(join(folder, "policy.rego"), OTHER_RULES);
    for (let i = 0; i < 3; i += 1) await store.poll();
    expect([reloads.length, store.stale()]).toEqual([1, expect.stringContaining("which is not here")]);
    machine.says = { kind: "refused", path: "/usr/bin/opa", version: "1.21.0", why: "faults" };
    for (let i = 0; i < 3; i += 1) await store.poll();
    expect([reloads.length, store.stale()]).toEqual([2, expect.stringContaining("/usr/bin/opa")]);
    machine.says = null;
    await store.poll();
    expect([verdict(store, "engineering", "delete_repo"), store.stale(), reloads.length]).toEqual(["allow", null, 3]);
    const { asked } = machine;
    await store.poll();
    expect(machine.asked).toBe(asked);
  });

  withOpa("is tried again when the program that was found could not be run", async () => {
    const folder = demoCopy();
    const machine = new Machine();
    const { store } = await open(folder, machine);
    machine.says = { kind: "found", path: "/nowhere/opa" };
    writeFileSync(join(folder, "policy.rego"), OTHER_RULES);
    await store.poll();
    expect(store.stale()).toContain("which is not here");
    machine.says = null;
    await store.poll();
    expect([verdict(store, "engineering", "delete_repo"), store.stale()]).toEqual(["allow", null]);
  });

  withOpa("is tried again by SIGHUP where something else was in the way", async () => {
    const folder = demoCopy();
    const machine = new Machine();
    machine.says = null;
    const { store } = await open(folder, machine);
    writeFileSync(join(folder, "policy.rego"), OTHER_RULES);
    vi.stubEnv("TMPDIR", join(folder, "nowhere"));
    await store.poll();
    vi.unstubAllEnvs();
    await store.poll();
    expect(store.stale()).toContain("ENOENT");
    store.release();
    await store.poll();
    expect([verdict(store, "engineering", "delete_repo"), store.stale()]).toEqual(["allow", null]);
  });

  withOpa("that opa refuses is not tried again", async () => {
    const folder = demoCopy();
    const machine = new Machine();
    machine.says = null;
    const { store, reloads } = await open(folder, machine);
    writeFileSync(join(folder, "policy.rego"), "package mcp.authz\nallow if {\n");
    for (let i = 0; i < 3; i += 1) await store.poll();
    expect([reloads.length, machine.asked]).toEqual([1, 1]);
    expect(reloads[0]).toMatch(/^failed: policy\.rego:\d+: rego_parse_error/);
  });
});

describe("which opa is taken", () => {
  const folder = mkdtempSync(join(root, "bin-"));
  /** A program that says this. */
  const program = (name: string, says: string) => {
    const path = join(folder, name);
    writeFileSync(path, `#!/bin/sh\n${says}\n`);
    chmodSync(path, 0o755);
    return path;
  };
  const opaOf = (version: string) => program(`opa-${version}`, `echo "Version: ${version}"`);

  it.each<[string, FoundOpa["kind"]]>([
    ["1.22.2", "found"],
    ["1.22.4", "found"],
    ["1.30.0", "found"],
    ["2.0.0", "found"],
    ["1.22.1", "refused"],
    ["1.22.0", "refused"],
    ["1.21.0", "refused"],
    ["1.20.9", "refused"],
    ["0.70.0", "refused"],
  ])("%s is %s", async (version, kind) => {
    const path = opaOf(version);
    expect(await createOpaFinder(() => [path])()).toMatchObject({ kind, path });
  });

  it("a refused one hides none after it, and is what is told when there is no other", async () => {
    const bad = opaOf("1.21.0");
    const broken = program("broken", "exit 1");
    const good = opaOf("1.22.2");
    const nowhere = join(folder, "nowhere");
    expect(await createOpaFinder(() => [nowhere, broken, bad, good])()).toEqual({ kind: "found", path: good });
    expect(await createOpaFinder(() => [nowhere, bad])()).toMatchObject({
      kind: "refused",
      path: bad,
      version: "1.21.0",
    });
    const findBroken = createOpaFinder(() => [broken]);
    expect(await findBroken()).toMatchObject({ kind: "refused", version: null });
    rmSync(join(folder, "asked-broken"), { force: true });
    program(
      "broken",
      `if [ -e ${join(folder, "asked-broken")} ]; then echo "Version: 1.22.2"; fi; : > ${join(folder, "asked-broken")}; exit 0`,
    );
    expect([(await findBroken()).kind, (await findBroken()).kind], "no answer is not remembered").toEqual([
      "refused",
      "found",
    ]);
    expect(await createOpaFinder(() => [nowhere])()).toEqual({ kind: "missing" });
  });

  it("one that is put into place later is found, and one is asked for its version once", async () => {
    const path = join(folder, "later");
    const log = join(folder, "asked");
    const find = createOpaFinder(() => [path]);
    expect(await find()).toEqual({ kind: "missing" });
    program("later", `echo x >> ${log}; echo "Version: 1.21.0"`);
    expect((await find()).kind).toBe("refused");
    expect((await find()).kind).toBe("refused");
    expect(readFileSync(log, "utf8")).toBe("x\n");
    program("later", `echo "Version: 1.22.2"`);
    expect((await find()).kind).toBe("found");
  });
});
