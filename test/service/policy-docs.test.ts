// The pieces of docs/policy.md make one policy, which compiles, passes its tests and says what the page shows.
import { POLICY_BY_TOKEN } from "../fakes/identity.ts";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, it } from "vitest";
import { findTool } from "../../src/files/program.ts";
import type { PolicyInput } from "../../src/authz/types.ts";
import { decideBounded } from "../../src/policy/bounded.ts";
import { readData } from "../../src/policy/data.ts";
import { findOpa } from "../../src/policy/opa.ts";
import { explain } from "../../src/policy/explain.ts";
import { readSources } from "../../src/policy/sources.ts";
import { loadPolicy } from "../../src/policy/load.ts";

const root = resolve(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/policy.md"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-page-"));
const opaPath = findTool("opa");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const pieces = Map.groupBy(page.matchAll(/^<!-- (\S+) -->\n```\w+\n([^`]*)```/gm), ([, name = ""]) => name);
for (const [name, blocks] of pieces) writeFileSync(join(folder, name), blocks.map(([, , text]) => text).join("\n"));

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
  expect([...pieces.keys()].toSorted()).toEqual(["data.yaml", "policy.rego", "policy_test.rego"]));

it.skipIf(opaPath === null)("its policy passes its tests", () => {
  const out = execFileSync(opaPath ?? "", ["test", join(root, "policies/mcp_authz"), folder], { encoding: "utf8" });
  expect(out).toMatch(/PASS: \d+\/\d+/);
});

it.skipIf(opaPath === null)("its policy compiles, is formatted, and refuses with its reason", async () => {
  expect(execFileSync(opaPath ?? "", ["fmt", "--list", folder], { encoding: "utf8" })).toBe("");
  const { artifact } = await loadPolicy({ path: folder, rego: "v1", findOpa });
  expect(await decideBounded(artifact, input, 20_000)).toMatchObject({
    ok: true,
    value: { allow: false, note: "above the limit" },
  });
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
