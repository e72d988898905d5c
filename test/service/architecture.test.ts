// The floors of docs/architecture.md, held against the imports of src/ (types included), and the signs on its files and
// folders. Circles are for lint (import/no-cycle).
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const SRC = resolve(import.meta.dirname, "../../src");

/** Each folder imports from folders of lower lines only. */
const FLOORS: readonly (readonly string[])[] = [
  ["cli", "api"],
  ["explain"],
  ["app"],
  ["broker", "envoy-config"],
  ["config", "catalog"],
  ["envoy", "identity", "policy", "credential", "wristband", "ops"],
  ["authz"],
  ["mcp", "jose"],
  ["json"],
  ["http", "async", "files", "secret"],
];
const FLOOR_OF = new Map(FLOORS.flatMap((folders, floor) => folders.map((folder) => [folder, floor] as const)));

const MODULES = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((name) => /(?<!\.test)\.ts$/.test(name));

/** Paths below src/ (those outside begin with `..`) of what a text imports, statically, dynamically or as a thread. */
function importsIn(name: string, text: string): string[] {
  const specifiers = text.matchAll(/(?:\bfrom|\bimport|\bimport\(|\bnew URL\()\s*"(\.[^"]+|[\w-]+\.ts)"/g);
  return [...specifiers].map(([, specifier = ""]) => relative(SRC, resolve(SRC, dirname(name), specifier)));
}

const IMPORTS = new Map(MODULES.map((name) => [name, importsIn(name, readFileSync(join(SRC, name), "utf8"))]));
const folderOf = (name: string) => name.slice(0, name.indexOf("/"));

/** What is wrong with one import, or null. */
function faultOf(from: string, to: string): string | null {
  if (to.startsWith("..")) return to === "../package.json" || to.startsWith("../policies") ? null : "outside of src";
  const [above, below] = [FLOOR_OF.get(folderOf(from)), FLOOR_OF.get(folderOf(to))];
  if (above === undefined || below === undefined) return "a folder without a floor";
  return folderOf(from) === folderOf(to) || above < below ? null : "not to a lower floor";
}

/** Everything that a module loads, itself included. */
function reach(root: string): ReadonlySet<string> {
  const seen = new Set([root]);
  for (const name of seen) for (const to of IMPORTS.get(name) ?? []) if (to.endsWith(".ts")) seen.add(to);
  return seen;
}

describe("floors", () => {
  it("every import goes to a lower floor, and none leaves src", () => {
    expect(MODULES.length).toBeGreaterThan(200);
    const faults = [...IMPORTS].flatMap(([from, all]) =>
      all.flatMap((to) => {
        const fault = faultOf(from, to);
        return fault === null ? [] : [`${from} imports ${to}: ${fault}`];
      }),
    );
    expect(faults).toEqual([]);
  });

  it.each([
    ["authz/check.ts", "policy/store.ts"],
    ["identity/identity.ts", "policy/store.ts"],
    ["http/client.ts", "json/types.ts"],
    ["app/serve/serve.ts", "cli/serve.ts"],
    ["mcp/uri.ts", "../test/fakes/vault.ts"],
    ["new/thing.ts", "json/types.ts"],
  ])("%s may not import %s", (from, to) => expect(faultOf(from, to)).not.toBeNull());

  it.each([
    ['import type { A } from "../policy/store.ts";', "policy/store.ts"],
    ['const a = await import("../policy/store.ts");', "policy/store.ts"],
    ['new Worker(new URL("worker.ts", import.meta.url))', "authz/worker.ts"],
    ['import "../policy/store.ts";', "policy/store.ts"],
    ['export { a } from "./b.ts";', "authz/b.ts"],
  ])("%s is an import", (text, to) => expect(importsIn("authz/check.ts", text)).toEqual([to]));
});

it.each(["app/serve/thread.ts", "app/serve/serve.ts", "cli/serve.ts"])(
  "what %s loads holds nothing of the broker, of log-in or of the bridge",
  (root) => {
    const loaded = reach(root);
    expect(loaded.size).toBeGreaterThan(20);
    expect([...loaded].filter((name) => /(^|\/)(broker|login|bridge)\//.test(name))).toEqual([]);
  },
);

it("what the broker loads holds nothing of serve", () => {
  const serving = [...reach("app/broker/broker.ts")].filter((name) =>
    /^(envoy|identity|policy|explain|app\/serve)\//.test(name),
  );
  expect(serving).toEqual([]);
});

function isChecked(name: string): boolean {
  if (/^(broker|cli|config|envoy|envoy-config|files|http|ops|policy|secret|app\/broker)\//.test(name)) return false;
  return name.endsWith(".ts");
}

const TEXTS = new Map(MODULES.filter(isChecked).map((name) => [name, readFileSync(join(SRC, name), "utf8")]));
const modulesWhere = (isFaulty: (text: string) => boolean) =>
  [...TEXTS].flatMap(([name, text]) => (isFaulty(text) ? [name] : []));

describe("signs", () => {
  /** True for a text whose first line is a comment: on what the file is for. */
  const opensWithComment = (text: string) => /^(?:\/\/ |\/\*\*? |\/\*\*\n \* )\S/.test(text);

  it("every module opens with a comment", () => expect(modulesWhere((text) => !opensWithComment(text))).toEqual([]));

  it("every folder with modules has a README", () => {
    const folders = [...new Set(Array.from(TEXTS.keys(), dirname))];
    expect(folders.length).toBeGreaterThan(10);
    expect(folders.filter((folder) => !existsSync(join(SRC, folder, "README.md")))).toEqual([]);
  });

  it("no comment cites a document that is not here", () =>
    expect(modulesWhere((text) => /\bdesign \d|\bthreat row/i.test(text))).toEqual([]));

  it.each([
    ["// Reads a token. Pure.\n", true],
    ["/** Reads a token. */\n", true],
    ["/**\n * Reads a token.\n */\n", true],
    ['import { a } from "./b.ts";\n// Reads a token.\n', false],
    ["//\n", false],
    ["", false],
  ])("%j", (text, isSigned) => expect(opensWithComment(text)).toBe(isSigned));
});

describe("details", () => {
  /** Code that compares or searches a `detail`: that is for logs, and a fact that code needs has a type of its own. */
  const BRANCHES = [
    /\bdetail\)?\s*[!=]==(?!\s*(?:null|undefined)\b)/,
    /[!=]==\s*[\w.?]+\.detail\b/,
    /\bdetail\??\.(?:includes|startsWith|endsWith|match)\(/,
    /\.(?:test|exec|has|includes)\([\w.?]*\bdetail\b/,
  ];
  const branchesOnDetail = (text: string) => BRANCHES.some((pattern) => pattern.test(text));

  it("no code branches on a detail", () => expect(modulesWhere(branchesOnDetail)).toEqual([]));

  it.each([
    ['step.detail === "kid"', true],
    ['"kid" !== step.detail', true],
    ["LEFT === refused?.detail", true],
    ['detail.startsWith("kid")', true],
    ["/kid/.test(refused.detail)", true],
    ["FAULTS.has(detail)", true],
    ["detail === undefined ? reason : `${reason}: ${detail}`", false],
    ["refused.detail !== null", false],
    ['metrics.wristband(step.ok ? "ok" : step.fault)', false],
    ["`not JSON: ${json.detail}`", false],
  ])("%s", (text, expected) => expect(branchesOnDetail(text)).toBe(expected));
});
