// The pieces of docs/policy.md make one policy, which compiles, passes its tests and says what the page shows.
import { POLICY_BY_TOKEN } from "../fakes/identity.ts";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, expect, it } from "vitest";
import { findTool } from "../../src/files/program.ts";
import type { PolicyInput } from "../../src/authz/types.ts";
import { decideBounded } from "../../src/policy/bounded.ts";
import { readData } from "../../src/policy/data.ts";
import { decide } from "../../src/policy/decision.ts";
import { createEvaluator, UNWATCHED } from "../../src/policy/evaluator.ts";
import { findOpa } from "../../src/policy/opa.ts";
import { explain } from "../../src/policy/explain.ts";
import { readSources } from "../../src/policy/sources.ts";
import { loadPolicy } from "../../src/policy/load.ts";
import { createLocalTimes } from "../../src/authz/local-time.ts";
import { testPolicy } from "../../src/policy/test-policy.ts";

const root = resolve(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/policy.md"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-page-"));
const opaPath = findTool("opa");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a piece that is no whole policy stands below. */
const PACKAGE = "package mcp.authz\n\nimport data.mcp_authz\n\n";
const WITHIN = "package mcp.authz\n\nallow if within_limits\n\n";
const BEFORE: Readonly<Record<string, string>> = {
  deny: `${PACKAGE}granted if input.mcp.name != "secret"\n\n`,
  wrong: WITHIN,
  right: WITHIN,
};

/** By folder: "" for the policy that the page builds, another for a piece that stands alone. */
const pieces = Map.groupBy(page.matchAll(/^<!-- (\S+) -->\n```\w+\n((?:[^`]|`(?!``))*)```/gm), ([, name = ""]) => name);
/** The policy that the page builds stands in a folder of its own, for data is read in subfolders too. */
const main = join(folder, "page");
const folders = [...new Set([...pieces.keys()].map((name) => dirname(name)))].filter((name) => name !== ".").toSorted();
for (const [name, blocks] of pieces) {
  const target = join(name.includes("/") ? folder : main, name);
  mkdirSync(dirname(target), { recursive: true });
  const head = BEFORE[dirname(name)] ?? "";
  const text = blocks.map(([, , block]) => block).join("\n");
  writeFileSync(target, name.endsWith(".rego") ? `${head}${text}` : text);
}

const input: PolicyInput = {
  identity: {
    issuer: "i",
    subject: "alice",
    username: null,
    groups: ["engineering"],
    scopes: [],
    ...POLICY_BY_TOKEN,
    claims: {},
  },
  mcp: {
    method: "tools/call",
    server: "demo",
    kind: "tool",
    name: "transfer",
    arguments: { amount: 5000 },
    version: "1",
  },
  request: { host: "h", path: "/servers/demo/mcp", sourceIp: "", time: 0, headers: {} },
};

it("the page has all of a policy", () =>
  expect([...pieces.keys()].filter((name) => !name.includes("/")).toSorted()).toEqual([
    "data.yaml",
    "policy.rego",
    "policy_test.rego",
  ]));

it("the page runs each of its rules", () => {
  const blocks = [...page.matchAll(/^(.*)\n```(?:rego|yaml)\n/gm)].map(([, before]) => before);
  expect(blocks.filter((before) => before?.startsWith("<!-- ") !== true)).toEqual([]);
});

it.skipIf(opaPath === null)("its policy passes its tests", async () => {
  const { passed, output } = await testPolicy({ dir: main, rego: "v1", findOpa, only: null, verbose: false });
  expect([passed, output]).toEqual([true, expect.stringMatching(/PASS: \d+\/\d+/)]);
});

it.skipIf(opaPath === null)("its policy compiles, is formatted, and refuses with its reason", async () => {
  expect(execFileSync(opaPath ?? "", ["fmt", "--list", folder], { encoding: "utf8" })).toBe("");
  const { artifact } = await loadPolicy({ path: main, rego: "v1", findOpa });
  expect(await decideBounded(artifact, input, 20_000)).toMatchObject({
    ok: true,
    value: { allow: false, note: "above the limit" },
  });
});

/** Each piece that stands alone: calls and what becomes of them. */
const ALONE: Readonly<Record<string, readonly (readonly [object, boolean])[]>> = {
  deny: [
    [{ name: "echo" }, true],
    [{ name: "drop_table" }, false],
    [{ name: "delete_repo" }, false],
    [{ name: "secret" }, false],
    [{ name: "delete_repo", server: "tickets" }, true],
    // Neither is there a list for it, nor would `not matches` see that.
    [{ name: "echo", server: "other" }, false],
  ],
  wrong: [
    [{ arguments: { Force: true } }, true],
    [{ arguments: { forced: true } }, true],
    [{ arguments: { force: true } }, false],
  ],
  right: [
    [{ arguments: { force: false, path: "/a" } }, true],
    [{ arguments: { Force: true, force: false } }, false],
    [{ arguments: { force: "no" } }, false],
    [{ arguments: {} }, false],
  ],
  hours: [
    [{ name: "refund", time: "2026-11-30T07:00:00Z" }, true],
    [{ name: "refund", time: "2026-11-30T17:00:00Z" }, false],
    [{ name: "refund", time: "2026-11-29T12:00:00Z" }, false],
    [{ name: "night_report", time: "2026-11-30T17:00:00Z" }, true],
    [{ name: "night_report", time: "2026-11-30T07:00:00Z" }, false],
    [{ name: "close_books", time: "2026-12-31T22:59:00Z" }, true],
    [{ name: "close_books", time: "2026-12-31T23:00:00Z" }, false],
  ],
};
const localTimes = createLocalTimes(["Europe/Berlin"]);

it("each piece that stands alone has its calls", () => expect(folders).toEqual(Object.keys(ALONE).toSorted()));

it.skipIf(opaPath === null).each(folders)("the piece %s does what the page says", async (name) => {
  const zones = ["Europe/Berlin"];
  const { artifact, findings } = await loadPolicy({ path: join(folder, name), rego: "v1", findOpa, zones });
  expect(findings).toEqual([]);
  const evaluator = createEvaluator(artifact, null, UNWATCHED);
  for (const [{ time = "2026-11-30T12:00:00Z", ...mcp }, allowed] of (ALONE[name] ?? []) as [
    { time?: string },
    boolean,
  ][]) {
    const seconds = Date.parse(time) / 1000;
    const request = { ...input.request, time: seconds, local: localTimes(seconds) ?? {} };
    const step = decide(evaluator, { ...input, mcp: { ...input.mcp, arguments: {}, ...mcp }, request });
    expect([mcp, time, step.ok && step.value.allow]).toEqual([mcp, time, allowed]);
  }
});

it.skipIf(opaPath === null)("what it shows of why is what the demo's policy gives", async () => {
  const files = readSources(join(root, "policies/demo"));
  const told = await explain({ files, data: readData(files), rego: "v1", findOpa }, input);
  if ("unknown" in told) throw new Error(told.unknown);
  for (const { file, line, rule, text, holds } of told.rules) {
    expect(page).toMatch(new RegExp(`${file}:${line} +${rule} ${holds ? "holds" : "fails"}`));
    if (!holds) expect(page).toContain(`: ${text}`);
  }
});
