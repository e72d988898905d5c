import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { findTool } from "../files/program.ts";
import { noOpa } from "../../test/fakes/opa.ts";
import { readBundle } from "./artifact.ts";
import { buildBundle } from "./build.ts";
import { packBundle } from "./bundle.ts";
import { compileRules } from "./compile.ts";
import { openPlace, readsCaller, refuseHiddenData, ruleFindings } from "./findings.ts";
import { loadPolicy } from "./load.ts";
import { findOpa } from "./opa.ts";
import { testPolicy } from "./test-policy.ts";

const root = mkdtempSync(join(tmpdir(), "mcp-authz-findings-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const rego = (text: string, path = "p.rego") => ({ path, text });
const found = (text: string) => ruleFindings([rego(text)], "v1");

describe("M9: a policy that can allow nobody", () => {
  it.each([
    ["package mcp.authz\n\nalow if true\n", /^p\.rego:3: the policy allows nobody/],
    ["package mcp.authz\n\ndefault allow := false\n\nx if true\n", /^p\.rego:3: .*but its default$/],
    ["package mcp.authz\n", /^the policy allows nobody/],
    ['package mcp.authz\n\n# allow if true\nx := `\nallow if true\n`\ny := "allow if true"\n', /^p\.rego:4: /],
    ["package mcp.authz\n\nx if {\n\tallow\n}\n", /^p\.rego:3: /],
  ])("%j", (text, line) => expect(found(text)).toEqual([expect.stringMatching(line)]));

  it.each([
    "package mcp.authz\nallow if input.x\n",
    'package mcp["authz"]\nallow = true { input.x }\n',
    "package mcp.authz\n\ndefault allow := true\n",
    "package mcp.authz # allow\n\n  allow if {\n input.x\n}\n",
  ])("no finding: %j", (text) => expect(found(text)).toEqual([]));

  it("rules without a package are of mcp.authz in v0", () =>
    expect(ruleFindings([rego("allow = true { input.x }\n")], "v0")).toEqual([]));
});

const lib = (imports: string, body: string) => `package mcp.authz\n${imports}\nallow if {\n\t${body}\n}\n`;
it.each([
  ["import data.mcp_authz as lib", 'not lib.matches(data.d, "a")', "matches"],
  ["import data.mcp_authz", 'not mcp_authz["matches"](data.d, "a")', "matches"],
  ['import data["mcp_authz"] as m', 'not m . matches (data.d, "a")', "matches"],
  ["import data.mcp_authz.matches", 'not matches(data.d, "a")', "matches"],
  ["import data.mcp_authz.matches as fits", 'not fits(data.d, "a")', "matches"],
  ["", 'not data.mcp_authz.matches(data.d, "a")', "matches"],
  ["", 'not data["mcp_authz"]["matches"](data.d, "a")', "matches"],
  ["import data.mcp_authz", 'not\n\tmcp_authz.matches(data.d, "a")', "matches"],
  ["import data.mcp_authz as t", 'not t.within(input.c, data.from, "17:00")', "within"],
  ["import data.mcp_authz", "not mcp_authz.weekday_in(input.d, data.days)", "weekday_in"],
  ["import data.mcp_authz.date_within", "not date_within(input.d, data.first, data.last)", "date_within"],
])("a call of the library under `not`, by whatever name: %s, %s", (imports, body, called) =>
  expect(found(lib(imports, body))).toEqual([
    expect.stringMatching(new RegExp(`^p\\.rego:4: \`not mcp_authz\\.${called}\` holds where`)) as string,
  ]),
);

it.each([
  ["import data.mcp_authz", 'mcp_authz.matches(data.d, "a") # not mcp_authz.matches(b)'],
  ["import data.other as lib", "not lib.matches(data.d)"],
  ["import data.mcp_authz", "not mcp_authz.matches_none(data.d, input.x)"],
  ["import data.mcp_authz_more as m", "not m.matches(data.d)"],
  ["", "not matches(data.d)"],
  ["import data.mcp_authz", "cannot := mcp_authz.matches(data.d, input.x)"],
])("no finding: %s, %s", (imports, body) => expect(found(lib(imports, body))).toEqual([]));

it("`not mcp_authz.matches` is a finding with its line, not in comments, texts and tests", () => {
  const text =
    'package mcp.authz\n# not mcp_authz.matches(a)\nx := "not mcp_authz.matches(b)"\nallow if not mcp_authz.matches(data.d, "a")\n';
  expect(found(text)).toEqual([expect.stringMatching(/^p\.rego:4: .*matches_none$/)]);
  expect(ruleFindings([rego("package mcp.authz\nallow if 1 == 1\n"), rego(text, "p_test.rego")], "v1")).toEqual([]);
});

describe("data at the path of a rule", () => {
  const policy = rego("package mcp.authz\nallow if true\n");
  const acl = rego('package acl\n\ngrants := {}\n\nby["a b"] := 1\n', "lib/acl.rego");
  const data = (text: string, path = "data.yaml") => ({ path, text });
  const refused = (...files: Parameters<typeof refuseHiddenData>[0]) => {
    try {
      refuseHiddenData([policy, acl, ...files], "v1");
      return "";
    } catch (error) {
      return error instanceof Error ? error.message : "?";
    }
  };
  it.each([
    [
      data("acl:\n  grants: {x: 1}\n"),
      /^data\.yaml: data\.acl\.grants .*lib\/acl\.rego:3 has the rule data\.acl\.grants/,
    ],
    [data("grants: 1\n", "acl/data.yaml"), /^acl\/data\.yaml: data\.acl\.grants/],
    [data('{"acl": 5}', "data.json"), /^data\.json: data\.acl stands where/],
    [data("acl: {by: {'a b': 2}}\n"), /data\.acl\.by\.a b/],
    [data("acl: null\n"), /data\.acl stands/],
  ])("%j is refused with both places", (file, words) => expect(refused(file)).toMatch(words));
  it.each(["acl: {other: 1}\n", "grants: 1\n", "acl: {by: {c: 2}}\n", "acl: {}\n"])("%j stands beside", (text) =>
    expect(refused(data(text))).toBe(""),
  );
});

it.each([
  ["package mcp.authz\nx := 1\nallow := true\n", "p.rego:3: "],
  ["package mcp.authz\nallow if input.x\ndefault allow := true\n", "p.rego:3: "],
  ["package mcp.authz\nallow if input.x\nallow if true\n", "p.rego:3: "],
  ["package mcp.authz\nallow = true # all\n", "p.rego:2: "],
  ["package mcp.authz\n\nallow if {\n\ttrue\n}\n", "p.rego:3: "],
  ["package mcp.authz\nallow if input.mcp\n", "p.rego:2: "],
  ["package other\n", ""],
])("where a policy lets everybody in: %j", (text, place) => expect(openPlace([rego(text)], "v1")).toBe(place));

it("a rule that reads the caller is found, comments aside", () => {
  expect(readsCaller([rego("allow = true\n# input.auth\nnames = x { x := input.auth.identity }\n")])).toBe("p.rego:3");
  expect(readsCaller([rego('allow = true\nx { input["identity"] }\n')])).toBe("p.rego:2");
  expect(readsCaller([rego("allow = true\nx { input.mcp }\n")])).toBeNull();
});

describe.skipIf(findTool("opa") === null)("faults of the compiler", () => {
  const faults = async (dialect: "v0" | "v1", ...files: ReturnType<typeof rego>[]) => {
    const error: unknown = await compileRules({ files, rego: dialect, findOpa }).catch((thrown: unknown) => thrown);
    return error instanceof Error ? error.message.split("\n") : [];
  };
  it("the right line where a file has no package", async () =>
    expect(await faults("v0", rego("allow = true\nx = to_lower(1)\n"))).toEqual([
      expect.stringMatching(/^p\.rego:2: rego_type_error: undefined function to_lower/),
    ]));
  it.each([
    ['allow := {"allowed": true}', /^p\.rego:3: rego_type_error: allow .* true or false$/],
    ["allow if true\n\nrequired_scopes := 5", /^p\.rego:5: .*required_scopes .* a set of texts$/],
    ['allow if true\n\nscope_covers := "x"', /^p\.rego:5: .*scope_covers .* an object of lists/],
  ])("%j is a fault of the author's file", async (text, line) =>
    expect(await faults("v1", rego(`package mcp.authz\n\n${text}\n`))).toEqual([expect.stringMatching(line)]),
  );
  it("all at once, one line a fault", async () => {
    const a = rego("package mcp.authz\nallow if time.clock(1)\nallow if sprintf(1)\n");
    const other = rego("package mcp.authz\nx if io.jwt.decode(2)\n", "q/b.rego");
    expect((await faults("v1", a, other)).toSorted()).toEqual([
      expect.stringMatching(/^p\.rego:2: .*time\.clock.*input\.request\.time/),
      expect.stringMatching(/^p\.rego:3: .*sprintf.*format_int/),
      expect.stringMatching(/^q\/b\.rego:2: .*io\.jwt\.decode.*input\.identity\.claims/),
    ]);
    const broken = [rego("package mcp.authz\nallow if {\n"), rego('package mcp.authz\nx := "\n', "c.rego")];
    const files = (await faults("v1", ...broken)).map((line) => line.split(":")[0]);
    expect([files.length, new Set(files)]).toEqual([2, new Set(["c.rego", "p.rego"])]);
  });
});

describe.skipIf(findTool("opa") === null)("test-policy", () => {
  const test = async (text: string) => {
    const dir = mkdtempSync(join(root, "t-"));
    writeFileSync(join(dir, "p.rego"), "package mcp.authz\n\nallow if data.x == 1\n");
    writeFileSync(join(dir, "data.yaml"), "x: 1\n");
    writeFileSync(join(dir, "more.yaml"), "y: 1\n");
    writeFileSync(join(dir, "p_test.rego"), `package mcp.authz_test\n\n${text}\n`);
    return testPolicy({ dir, rego: "v1", findOpa, only: null, verbose: false });
  };
  it("sees the data that serve loads, and no other", async () => {
    expect(await test("test_a if data.mcp.authz.allow")).toEqual({ passed: true, output: "PASS: 1/1\n" });
    expect(await test("test_a if data.y == 1")).toMatchObject({
      passed: false,
      output: expect.stringContaining("p_test.rego"),
    });
  });
  it("M5: has no built-in that WASM lacks", async () =>
    expect(await test("test_a if time.now_ns() > 0")).toMatchObject({ passed: false }));
});

/** The findings of a folder, or the message with which it is refused. */
async function loaded(files: Readonly<Record<string, string>>, more: object = {}): Promise<readonly string[] | string> {
  const path = mkdtempSync(join(root, "p-"));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  try {
    return (await loadPolicy({ path, rego: "v1", findOpa, ...more })).findings;
  } catch (error) {
    return error instanceof Error ? error.message : "?";
  }
}

describe.skipIf(findTool("opa") === null)("a folder", () => {
  it("findings with file and line: input that never is, data that is not loaded", async () => {
    const found = await loaded({
      "p.rego":
        'package mcp.authz\n\nallow if {\n\t"a" in input.identity.group\n\tinput.request.tme > 1\n}\n\nallow if input.mcp.listing\n',
      "q.rego": "package mcp.authz\n\nreason := input.identity.claims.x.y if input.mcp.arguments.z.q\n",
      "teams.yaml": "a: 1\n",
      "sub/x.json": "{}",
    });
    expect(found).toEqual([
      "sub/x.json: not loaded, only files named data.yaml and data.json are: as sub/x/data.json it would be data.sub.x",
      "teams.yaml: not loaded, only files named data.yaml and data.json are: as teams/data.yaml it would be data.teams",
      expect.stringMatching(/^p\.rego:4: there is no input\.identity\.group$/),
      expect.stringMatching(/^p\.rego:5: there is no input\.request\.tme$/),
    ]);
  });

  const authorino = "allow = true\n\nnames[server] = list { list := input.auth.identity.resource_access[server] }\n";
  it("a constant allow beside a rule that reads the caller is refused with compat, unless that is said", async () => {
    const source = { rego: "v0", compat: "authorino" };
    expect(await loaded({ "p.rego": authorino }, source)).toMatch(/^p\.rego:3: a rule reads the caller/);
    expect(await loaded({ "p.rego": authorino }, { ...source, openToAll: true })).toEqual([]);
    expect(await loaded({ "p.rego": "allow = true\n" }, source)).toEqual([]);
    const asks = 'allow { input.auth.identity.sub == "a" }\n\nx = input.auth.identity.y\n';
    expect(await loaded({ "p.rego": asks }, source)).toEqual([]);
    const constant = "default allow = true\n\nn = input.identity.groups\n";
    expect(await loaded({ "p.rego": constant }, source)).toMatch(/^p\.rego:3: /);
  });

  it("B06: the same in a bundle, by the rules in it; one that does not hold them is taken for such a policy", async () => {
    const dir = mkdtempSync(join(root, "b-"));
    writeFileSync(join(dir, "p.rego"), authorino);
    const out = join(root, "b06.tar.gz");
    await buildBundle({ dir, out, rego: "v0", findOpa });
    const load = async (path: string, more: object = {}) => {
      const source = { path, rego: "v1" as const, findOpa: noOpa, compat: "authorino" as const, ...more };
      return loadPolicy(source).catch((error: unknown) => (error instanceof Error ? error.message : "?"));
    };
    expect(await load(out)).toMatch(/^p\.rego:3: a rule reads the caller/);
    expect(await load(out, { openToAll: true })).toMatchObject({ rules: { rego: "v0" } });
    const bare = join(root, "bare.tar.gz");
    writeFileSync(bare, await packBundle({ artifact: readBundle(readFileSync(out)), rules: null }));
    expect(await load(bare)).toMatch(/^the bundle does not hold its rules, so maybe a rule reads the caller/);
    expect(await load(bare, { openToAll: true })).toMatchObject({ rules: null });
  });

  it("a bundle has the findings of its rules, and names them", async () => {
    const dir = mkdtempSync(join(root, "c-"));
    writeFileSync(
      join(dir, "p.rego"),
      'package mcp.authz\nallow if not mcp_authz.matches(data.d, "a")\nimport data.mcp_authz\n',
    );
    writeFileSync(join(dir, "p_test.rego"), "package mcp.authz_test\n");
    const out = join(root, "found.tar.gz");
    await buildBundle({ dir, out, rego: "v1", findOpa });
    const { findings, rules } = await loadPolicy({ path: out, rego: "v1", findOpa: noOpa });
    expect(findings).toEqual([expect.stringMatching(/^p\.rego:2: .*matches_none$/)]);
    expect(rules?.files.map(({ path }) => path)).toEqual(["p.rego"]);
  });
});
