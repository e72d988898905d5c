import { requestOf } from "../../test/fakes/authz.ts";
import { POLICY_BY_TOKEN } from "../../test/fakes/identity.ts";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { findTool } from "../files/program.ts";
import type { PolicyInput, Visible } from "../authz/types.ts";
import { newCheckFacts, type CheckFacts } from "../authz/facts.ts";
import { noOpa } from "../../test/fakes/opa.ts";
import { readBundle } from "./artifact.ts";
import { buildBundle, buildCompiled } from "./build.ts";
import { UNWATCHED } from "./evaluator.ts";
import { findOpa } from "./opa.ts";
import { createPolicyStore, type PolicyOptions, type PolicyStore } from "./store.ts";

const DEMO = resolve(import.meta.dirname, "../../policies/demo");
const opa = findTool("opa");
const withOpa = it.skipIf(opa === null);
const never = new AbortController().signal;
const root = mkdtempSync(join(tmpdir(), "mcp-authz-policy-test-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let counter = 0;

/** A policy folder with these files. */
function folderOf(files: Readonly<Record<string, string>>): string {
  counter += 1;
  const folder = join(root, `p${counter}`);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

interface Opened {
  store: PolicyStore;
  reloads: string[];
}

async function open(path: string, more: Partial<PolicyOptions> = {}): Promise<Opened> {
  const reloads: string[] = [];
  const store = await createPolicyStore({
    path,
    rego: "v1",
    findOpa,
    guard: UNWATCHED,
    quarantined: null,
    kept: null,
    onReload: (result, message) => reloads.push(`${result}: ${message}`),
    ...more,
  });
  return { store, reloads };
}

function inputOf(mcp: Partial<PolicyInput["mcp"]> = {}, identity: Partial<PolicyInput["identity"]> = {}): PolicyInput {
  return {
    identity: {
      issuer: "i",
      subject: "alice",
      username: "alice",
      groups: ["engineering"],
      scopes: ["mcp:read"],
      ...POLICY_BY_TOKEN,
      claims: {},
      ...identity,
    },
    mcp: {
      method: "tools/call",
      server: "demo",
      kind: "tool",
      name: "echo",
      arguments: {},
      version: "2025-11-25",
      ...mcp,
    },
    request: { host: "gw", path: "/servers/demo/mcp", sourceIp: "192.0.2.1", time: 1, headers: {} },
  };
}

const policy = (body: string) => ({ "policy.rego": `package mcp.authz\n${body}\n` });

/** allow, or the reason of the refusal. */
function verdict(store: PolicyStore, input = inputOf()): string {
  const step = store.decide(input);
  if (!step.ok) return step.reason;
  return step.value.allow
    ? "allow"
    : step.value.requiredScopes === null
      ? "deny"
      : `scopes ${step.value.requiredScopes.join(" ")}`;
}

describe("the demo's policy", () => {
  it("starts without opa, from its compiled form", async () => {
    const { store } = await open(DEMO, { findOpa: noOpa });
    expect(verdict(store)).toBe("allow");
    expect(verdict(store, inputOf({ name: "delete_repo" }))).toBe("deny");
    expect(verdict(store, inputOf({}, { groups: ["finance"] }))).toBe("deny");
    expect(verdict(store, inputOf({ name: "transfer", arguments: { amount: 5 } }))).toBe("scopes mcp:write");
    expect(verdict(store, inputOf({ name: "transfer", arguments: { amount: 5 } }, { scopes: ["mcp:write"] }))).toBe(
      "allow",
    );
  });

  withOpa("its compiled form is what opa makes of its sources, byte for byte", async () => {
    const copy = join(root, "demo");
    cpSync(DEMO, copy, { recursive: true });
    rmSync(join(copy, ".compiled"), { recursive: true });
    await buildCompiled({ dir: copy, rego: "v1", findOpa });
    const sum = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex");
    for (const name of ["policy.wasm", "manifest.json"]) {
      expect(sum(join(copy, ".compiled", name))).toBe(sum(join(DEMO, ".compiled", name)));
    }
  });

  it.skipIf(opa === null).each<[string, string, boolean]>([
    ["everybody everything", "allow := true", true],
    ["everybody with a name", 'allow if input.identity.subject != ""', true],
    ["everybody what is read-only", 'allow if input.mcp.kind == "tool"', true],
    ["everybody one server", 'allow if input.mcp.server == "demo"', false],
    ["everybody one tool", 'allow if input.mcp.name == "echo"', false],
    ["a group everything", 'allow if "finance" in input.identity.groups', false],
  ])("the self-test tells whether it allows strangers: %s", async (_, rule, allowsStrangers) => {
    const { store } = await open(folderOf(policy(rule)));
    expect(store.live().tried).toEqual({ allowsStrangers });
  });

  it("the demo's allows no stranger", async () => {
    expect((await open(DEMO)).store.live().tried).toEqual({ allowsStrangers: false });
  });

  it("an edit without opa says in one sentence what to install", async () => {
    const copy = join(root, "edited");
    cpSync(DEMO, copy, { recursive: true });
    const { store, reloads } = await open(copy, { findOpa: noOpa });
    appendFileSync(join(copy, "policy.rego"), "# edited\n");
    await store.poll();
    expect(reloads).toEqual([expect.stringMatching(/^failed: compiling a policy needs opa .*`npm run tools opa`/)]);
    expect(verdict(store)).toBe("allow");
  });
});

describe("E01, E02: only true allows", () => {
  it.skipIf(opa === null).each<[string, string, string]>([
    ["true", "allow := true", "allow"],
    ["a name", 'allow if input.mcp.name == "echo"', "allow"],
    ["undefined", 'allow if input.mcp.name == "other"', "deny"],
    ["a text", 'allow := "true" if input.mcp.name == "echo"', "rego_type_error"],
    ["a number", 'allow := 1 if input.mcp.name == "echo"', "rego_type_error"],
    ["an object", 'allow := {"allow": true} if input.mcp.name == "echo"', "rego_type_error"],
    ["a set", 'allow contains true if input.mcp.name == "echo"', "rego_type_error"],
    ["E12: a text that the compiler cannot foresee", "allow := input.mcp.name", "deny"],
    ["an object that it cannot foresee", 'allow := input.mcp.arguments if input.mcp.name == "echo"', "deny"],
    ["scopes that it cannot foresee", 'allow if input.mcp.name == "echo"\nrequired_scopes := input.mcp.name', "deny"],
    ["null", 'allow := null if input.mcp.name == "echo"', "rego_type_error"],
    ["false", 'allow := false if input.mcp.name == "echo"', "deny"],
    ["no allow at all", "other := 1", "deny"],
    [
      "E03: a conflict",
      'allow := true if input.mcp.name == "echo"\nallow := false if input.mcp.kind == "tool"',
      "policy_unavailable",
    ],
    [
      "E06: a failing built-in in an allow",
      "allow if net.cidr_contains(input.mcp.name, input.request.sourceIp)",
      "deny",
    ],
    ["malformed scopes", 'allow if input.mcp.name == "echo"\nrequired_scopes := "admin"', "rego_type_error"],
    [
      "a scope that cannot be in a header",
      'allow if input.mcp.name == "echo"\nrequired_scopes := {"a\\"b"} if input.mcp.name == "echo"',
      "policy_unavailable",
    ],
    ["reason of another type", 'allow if input.mcp.name == "echo"\nreason := {"a": 1}', "allow"],
  ])("%s", async (_, body, expected) => {
    const opened = await open(folderOf(policy(body))).catch((error: Error) => error.message);
    if (typeof opened === "string") expect(opened).toContain(expected);
    else expect(verdict(opened.store)).toBe(expected);
  });
});

describe("E08, E10, E17: what is refused at the start, with what to do", () => {
  it.skipIf(opa === null).each<[string, Record<string, string>, RegExp]>([
    ["a syntax error, with its place", policy("allow if {"), /policy\.rego:\d+/],
    ["http.send", policy('allow if http.send({"url": "http://x", "method": "get"}).status_code == 200'), /http\.send/],
    ["time.now_ns, which WASM has not", policy("allow if time.now_ns() > 0"), /time\.now_ns/],
    [
      "the library's package",
      { ...policy("allow if input.a"), "evil.rego": "package mcp_authz\nallowed := true\n" },
      /evil\.rego: the package mcp_authz is reserved/,
    ],
    [
      "a package below the library",
      { ...policy("allow if input.a"), "evil.rego": "package mcp_authz.x\na := true\n" },
      /reserved/,
    ],
    [
      "the catalogue's package",
      { ...policy("allow if input.a"), "evil.rego": "package catalog.servers\na := true\n" },
      /the package catalog is reserved/,
    ],
    [
      "the catalogue in the data",
      { ...policy("allow if input.a"), "data.yaml": "catalog: {servers: {}}\n" },
      /the key catalog is reserved/,
    ],
    [
      "the library in the data",
      { ...policy("allow if input.a"), "data.json": '{"mcp_authz": {"allowed": true}}' },
      /the key mcp_authz is reserved/,
    ],
    [
      "the library by YAML's merge key",
      { ...policy("allow if input.a"), "data.yaml": "a: &a {mcp_authz: {x: 1}}\n<<: *a\n" },
      /data\.yaml:1: the anchor &a/,
    ],
    [
      "data in the place of a rule that is not there",
      { ...policy('required_scopes := {"x"}'), "data.yaml": "mcp: {authz: {allow: true}}\n" },
      /the key mcp is reserved/,
    ],
    [
      "a further entrypoint",
      policy("# METADATA\n# entrypoint: true\nallow if input.a"),
      /was not built for mcp-authz: it answers mcp\/authz/,
    ],
    [
      "data in a folder of that name",
      { ...policy("allow if input.a"), "mcp_authz/data.yaml": "allowed: true\n" },
      /reserved/,
    ],
    ["no package mcp.authz", { "policy.rego": "package other\nallow := true\n" }, /no file has `package mcp\.authz`/],
    [
      "rules that always disagree",
      policy("allow := true\nallow := false"),
      /self-test failed: .*conflict|rego_type_error/,
    ],
    [
      "rules that disagree about everybody",
      policy("allow if input.mcp.name\nallow := false if input.mcp.kind"),
      /the self-test failed: .*var assignment conflict/,
    ],
    ["no Rego", { "data.yaml": "a: 1\n" }, /holds no \.rego file/],
    ["broken data", { ...policy("allow if input.a"), "data.yaml": "a: [\n" }, /data\.yaml/],
  ])("%s", async (_, files, expected) => {
    await expect(open(folderOf(files))).rejects.toThrow(expected);
  });

  it("a path that does not exist", async () => {
    await expect(open(join(root, "nowhere"))).rejects.toThrow(/policy\.path: .*nowhere does not exist/);
  });

  it("E09: a bundle that is none, is cut or was tampered with in its compiled folder", async () => {
    const file = join(root, "garbage.tar.gz");
    writeFileSync(file, "garbage");
    await expect(open(file)).rejects.toThrow();
    const copy = join(root, "tampered");
    cpSync(DEMO, copy, { recursive: true });
    appendFileSync(join(copy, ".compiled/policy.wasm"), "x");
    await expect(open(copy, { findOpa: noOpa })).rejects.toThrow(/does not match its manifest/);
  });
});

describe("reload", () => {
  withOpa("a good edit goes live; a broken one keeps the last good policy and says so once", async () => {
    const folder = folderOf(policy('allow if input.mcp.name == "echo"'));
    const { store, reloads } = await open(folder);
    const first = store.revision();
    writeFileSync(join(folder, "policy.rego"), 'package mcp.authz\nallow if input.mcp.name == "other"\n');
    await store.poll();
    expect([verdict(store), reloads.length, store.stale()]).toEqual(["deny", 1, null]);
    expect(store.revision()).not.toBe(first);
    writeFileSync(join(folder, "policy.rego"), "package mcp.authz\nallow if {\n");
    await store.poll();
    await store.poll();
    expect([verdict(store), reloads.length]).toEqual(["deny", 2]);
    expect(store.stale()).toMatch(/policy\.rego/);
    rmSync(folder, { recursive: true });
    await store.poll();
    expect(verdict(store, inputOf({ name: "other" }))).toBe("allow");
    expect(store.stale()).toMatch(/does not exist/);
  });

  withOpa("a folder that was away and is back as it was is told once each", async () => {
    const folder = folderOf(policy('allow if input.mcp.name == "echo"'));
    const { store, reloads } = await open(folder);
    renameSync(folder, `${folder}.away`);
    await store.poll();
    await store.poll();
    expect([reloads.length, store.stale()]).toEqual([1, expect.stringContaining("does not exist")]);
    renameSync(`${folder}.away`, folder);
    await store.poll();
    await store.poll();
    expect([reloads.slice(1), store.stale(), verdict(store)]).toEqual([
      ["ok: the policy is there again"],
      null,
      "allow",
    ]);
  });

  withOpa("E13: under load, each decision is that of exactly one revision", async () => {
    const folder = folderOf(policy('allow if input.mcp.name == "echo"'));
    const { store } = await open(folder);
    const meaning = new Map([[store.revision(), "allow"]]);
    let asked = 0;
    const seen = new Set<string>();
    const load = setInterval(() => {
      const step = store.decide(inputOf());
      if (!step.ok) throw new Error(step.detail);
      const expected = meaning.get(step.value.revision) ?? "new";
      const actual = step.value.allow ? "allow" : "deny";
      if (expected !== "new" && expected !== actual) throw new Error("mixed revisions");
      meaning.set(step.value.revision, actual);
      seen.add(step.value.revision);
      asked += 1;
    }, 1);
    for (const name of ["other", "echo", "third", "other"]) {
      writeFileSync(join(folder, "policy.rego"), `package mcp.authz\nallow if input.mcp.name == "${name}"\n`);
      await store.poll();
      const step = store.decide(inputOf());
      expect(step.ok && step.value.allow).toBe(name === "echo");
    }
    clearInterval(load);
    expect([seen.size > 1, asked > 20]).toEqual([true, true]);
  });

  withOpa("after close nothing goes live any more", async () => {
    const folder = folderOf(policy('allow if input.mcp.name == "echo"'));
    const { store, reloads } = await open(folder);
    writeFileSync(join(folder, "policy.rego"), 'package mcp.authz\nallow if input.mcp.name == "other"\n');
    const polled = store.poll();
    store.close();
    await polled;
    expect([verdict(store), reloads.length]).toEqual(["allow", 0]);
  });

  withOpa("a bundle starts without opa and reloads when it is replaced", async () => {
    const out = join(root, "bundle.tar.gz");
    await buildBundle({ dir: folderOf(policy('allow if input.mcp.name == "echo"')), out, rego: "v1", findOpa });
    const { store, reloads } = await open(out, { findOpa: noOpa });
    expect(verdict(store)).toBe("allow");
    await buildBundle({ dir: folderOf(policy('allow if input.mcp.name == "other"')), out, rego: "v1", findOpa });
    await store.poll();
    expect([verdict(store), reloads.length]).toEqual(["deny", 1]);
    writeFileSync(out, readFileSync(out).subarray(0, 1000));
    await store.poll();
    expect([verdict(store), store.stale() === null]).toEqual(["deny", false]);
    expect(() => readBundle(readFileSync(out))).toThrow();
  });

  withOpa("F1: a quarantine ends with any change of the files, a comment too, and when it is released", async () => {
    const folder = folderOf(policy('allow if input.mcp.name == "echo"'));
    const { store } = await open(folder);
    const quarantined = store.revision();
    const again = await open(folder, { quarantined });
    expect([verdict(again.store), again.store.quarantined()]).toEqual(["policy_unavailable", true]);
    writeFileSync(
      join(folder, "policy.rego"),
      `${policy('allow if input.mcp.name == "echo"')["policy.rego"]}# a comment\n`,
    );
    await again.store.poll();
    expect([verdict(again.store), again.store.quarantined()]).toEqual(["allow", false]);
    const third = await open(folder, { quarantined: again.store.revision() });
    third.store.release();
    expect([verdict(third.store), third.store.quarantined()]).toEqual(["allow", false]);
  });

  withOpa("F1: what was live is live in the next thread without opa, also while the files are broken", async () => {
    const folder = folderOf(policy('allow if input.mcp.name == "echo"'));
    const { store } = await open(folder);
    const kept = store.live();
    writeFileSync(join(folder, "policy.rego"), "package mcp.authz\nallow if {");
    const next = await open(folder, { kept, findOpa: noOpa });
    expect([verdict(next.store), next.store.revision()]).toEqual(["allow", store.revision()]);
    await next.store.poll();
    expect([verdict(next.store), next.store.stale() === null]).toEqual(["allow", false]);
    const healed = await open(folder, { kept });
    writeFileSync(join(folder, "policy.rego"), 'package mcp.authz\nallow if input.mcp.name == "other"\n');
    await healed.store.poll();
    expect([verdict(healed.store), healed.store.stale()]).toEqual(["deny", null]);
  });

  withOpa("F1: an evaluation is for the Check that it is asked for, and for no other one after it", async () => {
    const folder = folderOf(policy('allow if input.mcp.name == "echo"'));
    const slots: (number | null)[] = [];
    let attributed: number | null = null;
    const guard = {
      attribute: ({ slot }: CheckFacts) => void (attributed = slot),
      enter: () => void slots.push(attributed),
      leave: () => void (attributed = null),
    };
    const { store } = await open(folder, { guard });
    const check = (slot: number) => ({ ...newCheckFacts("r", 0), slot });
    const call = inputOf();
    store.decide(call, check(1));
    store.decide(call, check(4)); // remembered: nothing that could run away
    store.decide(inputOf({ name: "other" }));
    const names = Array.from({ length: 400 }, (_, i) => `t${i}`);
    const servers = Object.fromEntries(["a", "b"].map((name) => [name, { tools: names, prompts: [], resources: [] }]));
    store.setCatalog({ servers });
    const list = inputOf({ method: "tools/list", server: null, name: null });
    const another = inputOf({ method: "tools/list", server: null, name: null });
    await Promise.all([store.visible(list, never, check(2)), store.visible(another, never, check(3))]);
    expect([slots.slice(0, 2), slots.slice(2).toSorted((a, b) => Number(a) - Number(b))]).toEqual([
      [1, null],
      [2, 2, 3, 3],
    ]);
  });

  withOpa("a quarantined revision decides nothing", async () => {
    const folder = folderOf(policy('allow if input.mcp.name == "echo"'));
    const { store } = await open(folder);
    const again = await open(folder, { quarantined: store.revision() });
    expect([verdict(again.store), (await again.store.visible(inputOf(), never)).ok]).toEqual([
      "policy_unavailable",
      false,
    ]);
  });

  withOpa("rules of the host's other paths are quarantined apart, until a release", async () => {
    const folder = folderOf(policy('allow if input.mcp.name == "echo"'));
    const { store } = await open(folder);
    const again = await open(folder, { hostQuarantined: store.revision() });
    const { request: described } = inputOf();
    const asked = { request: requestOf(), caller: null, described, hidden: new Set<string>() };
    const detail = () => (again.store.decideHost(asked) as { detail?: string }).detail?.startsWith("quarantined");
    expect([verdict(again.store), detail(), again.store.quarantined(), again.store.hostQuarantined()]).toEqual([
      "allow",
      true,
      false,
      true,
    ]);
    again.store.release();
    expect([detail(), again.store.hostQuarantined()]).toEqual([false, false]);
    const mcp = await open(folder, { quarantined: store.revision() });
    expect(mcp.store.hostQuarantined()).toBe(false);
  });
});

describe("lists", () => {
  const catalog = {
    servers: {
      demo: { tools: ["transfer", "echo", "delete_repo"], prompts: ["p"], resources: ["docs://a", "file:///x"] },
      other: { tools: ["echo"], prompts: [], resources: [] },
    },
  };

  it("are refused without a catalogue, while calls go on", async () => {
    const { store } = await open(DEMO, { findOpa: noOpa });
    expect(await store.visible(inputOf({ server: null }), never)).toMatchObject({
      ok: false,
      reason: "catalog_unavailable",
    });
    expect(verdict(store)).toBe("allow");
  });

  it("P8, B37: name what may be called, sorted, and nothing else", async () => {
    const { store } = await open(DEMO, { findOpa: noOpa });
    store.setCatalog(catalog);
    const listed = (names: Visible) => ({ revision: store.revision(), names });
    const list = (server: string | null, groups: string[], kind: "tool" | "prompt" | "resource" | null = null) =>
      store.visible(
        inputOf({ method: "tools/list", server, kind, name: null }, { groups, scopes: ["mcp:write"] }),
        never,
      );
    expect(await list(null, ["engineering"])).toEqual({
      ok: true,
      value: listed({
        tools: { demo: ["echo", "transfer"] },
        prompts: { demo: ["p"] },
        resources: { demo: ["docs://a"] },
      }),
    });
    expect(await list("other", ["engineering"])).toEqual({
      ok: true,
      value: listed({ tools: {}, prompts: {}, resources: {} }),
    });
    expect(await list(null, ["finance"])).toEqual({
      ok: true,
      value: listed({ tools: {}, prompts: {}, resources: {} }),
    });
    expect(await list(null, ["engineering"], "prompt")).toEqual({
      ok: true,
      value: listed({ tools: {}, prompts: { demo: ["p"] }, resources: {} }),
    });
  });

  it("P14: a large catalogue is asked server by server, with the same result, and others get their turn", async () => {
    const { store } = await open(DEMO, { findOpa: noOpa });
    const names = Array.from({ length: 400 }, (_, i) => `${i % 3 === 0 ? "search_" : "other_"}${i}`);
    const servers = Object.fromEntries(
      ["demo", "b", "a"].map((name) => [name, { tools: names, prompts: ["p"], resources: ["docs://a"] }]),
    );
    const input = inputOf({ method: "tools/list", server: null, kind: null, name: null }, { groups: ["engineering"] });
    store.setCatalog({ servers });
    const asked = store.visible(input, never);
    expect(asked).toBeInstanceOf(Promise);
    let turns = 0;
    const others = setInterval(() => (turns += 1), 0);
    const step = await asked;
    clearInterval(others);
    const shown = names.filter((name) => name.startsWith("search_")).toSorted();
    expect(step).toEqual({
      ok: true,
      value: {
        revision: store.revision(),
        names: { tools: { demo: shown }, prompts: { demo: ["p"] }, resources: { demo: ["docs://a"] } },
      },
    });
    expect(turns).toBeGreaterThan(0);
    expect(await store.visible(input, AbortSignal.abort())).toMatchObject({ ok: false, reason: "deadline" });
  });

  it.each([
    ["of one server", "demo", 1],
    ["of all servers", null, 1],
    ["of all servers of a large catalogue", null, 400],
  ])("P14: one caller's lists %s keep others waiting for one evaluation, not for all", async (_, server, size) => {
    let evaluations = 0;
    const guard = { ...UNWATCHED, enter: () => void (evaluations += 1) };
    const { store } = await open(DEMO, { findOpa: noOpa, guard });
    const names = Array.from({ length: size }, (__, i) => `t${i}`);
    store.setCatalog({
      servers: Object.fromEntries(["demo", "b"].map((name) => [name, { tools: names, prompts: [], resources: [] }])),
    });
    const listOf = (subject: string) =>
      store.visible(inputOf({ method: "tools/list", server, name: null }, { subject }), never);
    const flooding = Array.from({ length: 300 }, () => listOf("mallory"));
    const before = evaluations;
    await listOf("alice");
    expect(evaluations - before, "one of each caller for each part").toBeLessThan(8);
    const steps = await Promise.all(flooding);
    expect(steps.filter((step) => !step.ok).map((step) => step.ok || step.reason)).toEqual(
      Array.from({ length: 300 - 256 }, () => "rate_limited"),
    );
  });
});

withOpa("P9.1-1: a rule written for Authorino works as it is", async () => {
  const folder = folderOf({ "policy.rego": 'allow { input.auth.identity.groups[_] == "mcp.engineer" }\n' });
  const { store } = await open(folder, { rego: "v0" });
  const asked = (groups: string[]) => verdict(store, { ...inputOf(), auth: { identity: { groups } } });
  expect([asked(["mcp.engineer"]), asked(["other"]), asked([])]).toEqual(["allow", "deny", "deny"]);
});

it("the compiled demo is in place", () => expect(existsSync(join(DEMO, ".compiled/policy.wasm"))).toBe(true));
