// The floors of docs/architecture.md, held against the imports of src/ (types included), and the signs on its files and
// folders. Circles are for lint (import/no-cycle).
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const SRC = resolve(import.meta.dirname, "../../src");

/** Each folder imports from folders of lower lines only. */
const FLOORS: readonly (readonly string[])[] = [
  ["cli", "api"],
  ["explain", "import"],
  ["app"],
  ["broker", "envoy-config"],
  ["config", "catalog"],
  ["extmcp"],
  ["envoy", "authzen", "identity", "policy", "credential", "wristband", "ops"],
  ["authz"],
  ["mcp", "jose"],
  ["json"],
  ["http2"],
  ["http", "async", "files", "secret"],
  ["telemetry"],
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
    ["telemetry/span.ts", "http/client.ts"],
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

it("CF-36: one module opens connections to others, behind the guard of their addresses; a socket of ours is no other", () => {
  const opens =
    /from "(?:undici|node:(?:dns|dgram|inspector)[^"]*)"|\b(?:connect|createConnection|request|get|Agent|fetch)\b[^;\n]*\} from "node:(?:net|tls|https?|http2)"|\bglobalThis\.fetch\b|(?<![.\w])fetch\(["`]/;
  expect(modulesWhere((text) => opens.test(text)).toSorted()).toEqual([
    "http/client.ts",
    "http/listen.ts", // asks whether a Unix socket of ours is stale
    "http/outgoing.ts", // resolves names for the client
  ]);
});

const TEXTS = new Map(MODULES.map((name) => [name, readFileSync(join(SRC, name), "utf8")]));
const modulesWhere = (isFaulty: (text: string) => boolean) =>
  [...TEXTS].flatMap(([name, text]) => (isFaulty(text) ? [name] : []));

/** Modules that a page names as code. */
function modulesNamedIn(page: string): string[] {
  return [...page.matchAll(/`([\w./-]+\.ts)`/g)].map(([, name = ""]) => name);
}

describe("signs", () => {
  /** True for a text whose first line is a comment: on what the file is for. */
  const opensWithComment = (text: string) => /^(?:#!.*\n)?(?:\/\/ |\/\*\*? |\/\*\*\n \* )\S/.test(text);

  it("every module opens with a comment", () => expect(modulesWhere((text) => !opensWithComment(text))).toEqual([]));

  it("every folder with modules has a README", () => {
    const folders = [...new Set(Array.from(TEXTS.keys(), dirname))];
    expect(folders.length).toBeGreaterThan(10);
    expect(folders.filter((folder) => !existsSync(join(SRC, folder, "README.md")))).toEqual([]);
  });

  it("a README names only modules that are there", () => {
    const all = readdirSync(SRC, { recursive: true, encoding: "utf8" });
    const known = new Set(all.map((name) => basename(name)));
    const isThere = (named: string) => known.has(basename(named)) || existsSync(resolve(SRC, "..", named));
    const missing = all
      .filter((name) => basename(name) === "README.md")
      .flatMap((name) => modulesNamedIn(readFileSync(join(SRC, name), "utf8")).map((named) => [name, named] as const))
      .filter(([, named]) => !isThere(named));
    expect(missing).toEqual([]);
  });

  it("the names of modules are found in a text", () =>
    expect(modulesNamedIn("- `a.ts` on `jose/b-c.ts` and `../d.test.ts`; `e`, f.ts")).toEqual([
      "a.ts",
      "jose/b-c.ts",
      "../d.test.ts",
    ]));

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
