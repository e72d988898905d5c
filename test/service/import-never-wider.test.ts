// Whatever is put into a policy, takes the place of a part of it or stands in it twice: an import carries it, names it, or
// has no result; and what it makes lets nobody in whom it kept out before. Every place of good policies is tried.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { findTool } from "../../src/files/program.ts";
import { importAuthPolicy, type Imported } from "../../src/import/authpolicy.ts";
import { SourceError } from "../../src/import/source.ts";
import { CALLS, POLICIES } from "../fakes/auth-policies.ts";

const OPTIONS = {
  file: "p.yaml",
  policy: null,
  origin: "https://gw.example.com",
  servers: [{ name: "mcp-test/github", url: "https://gh.example.com/mcp" }],
  audiences: ["a"],
  issuer: null,
};

type Path = readonly (string | number)[];

interface Mutant {
  readonly what: string;
  readonly place: Path;
  readonly text: string;
}

const nameOf = (path: Path) =>
  path.map((one, i) => (typeof one === "number" ? `[${one}]` : i === 0 ? one : `.${one}`)).join("");

/** Every place of a value, the whole first. */
function placesOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [path];
  const members = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [path, ...members.flatMap(([key, one]) => placesOf(one, [...path, key]))];
}

const NEVER = [{ predicate: "false" }];
/** None of them says whom to let in; some say whom not. */
const VALUES: readonly unknown[] = [
  "x",
  7,
  true,
  null,
  [],
  {},
  ["x"],
  [{}],
  { x: "y" },
  { x: { y: ["z"] } },
  NEVER,
  { patterns: NEVER },
  { x: { patternMatching: { patterns: NEVER } } },
];
const kindOf = (value: unknown) => (value === null ? "null" : Array.isArray(value) ? "list" : typeof value);

/** Keys that some place knows. */
const KNOWN =
  "metadata spec rules defaults overrides strategy when patterns authentication authorization response callbacks jwt anonymous apiKey credentials patternMatching opa allOf any all predicate selector operator value patternRef expression rego version externalPolicy http url headers body scope contentType sharedSecretRef success unauthorized plain wristband key priority".split(
    " ",
  );
let turn = 0;
/** Of what a place could hold, the next: each run tries the same, and all of it somewhere. */
const STEP = 5;
const nextOf = <T>(of: readonly T[]) => {
  turn += STEP;
  return of.slice(turn % of.length, (turn % of.length) + 1);
};

/** Where another value is as good: who is let in is what the source says. */
function isFree(path: Path): boolean {
  const [last, before] = [path.at(-1), path.at(-2)];
  if (last === "key" || last === "jwksUrl" || last === "issuerUrl" || last === "audiences") return true;
  // A condition that does not hold leaves its rule out; a value of a claim is any value.
  return last === "when" || (last === "value" && ["tier", "www-authenticate", "body"].includes(String(before)));
}

/** Stands behind a key that is there already, until the text is made. */
const TWICE = "\u0001";

type Tree = Record<string | number, unknown>;

/** The document with a value at a place. JSON is YAML. */
function withValue(document: unknown, place: Path, value: unknown): string {
  const copy: unknown = structuredClone(document);
  const owner = place.slice(0, -1).reduce((of, key) => (of as Tree)[key], copy) as Tree;
  Object.defineProperty(owner, place.at(-1) ?? "", { value, enumerable: true, configurable: true, writable: true });
  return JSON.stringify(copy, null, 1).replaceAll(String.raw`\u0001`, "");
}

/** Keys that a map does not have, and one that it has. */
function additionsTo(map: Tree, path: Path): { readonly place: Path; readonly value: unknown }[] {
  const keys = [...nextOf(KNOWN), ...nextOf(KNOWN), ...nextOf(KNOWN), "x-unknown"].filter(
    (key) => !Object.hasOwn(map, key) && !isFree([...path, key]),
  );
  return [
    ...keys.flatMap((key) => nextOf(VALUES).map((value) => ({ place: [...path, key], value }))),
    ...nextOf(Object.keys(map)).map((key) => ({ place: [...path, `${key}${TWICE}`], value: { x: "y" } })),
  ];
}

function mutantsOf(text: string): Mutant[] {
  const document: unknown = parse(text);
  const mutants: Mutant[] = [];
  const add = (what: string, place: Path, value: unknown) =>
    mutants.push({
      what: `${JSON.stringify(value)} ${what} at ${nameOf(place)}`,
      place,
      text: withValue(document, place, value),
    });
  for (const path of placesOf(document)) {
    const here = path.reduce((of, key) => (of as Tree)[key], document);
    const others = path.length === 0 || isFree(path) ? [] : VALUES.filter((value) => kindOf(value) !== kindOf(here));
    for (const value of others) add("instead", path, value);
    for (const { place, value } of kindOf(here) === "object" ? additionsTo(here as Tree, path) : [])
      add("put in", place, value);
  }
  return mutants;
}

/** What restricts nobody, whatever stands there. */
const WITHOUT_MEANING =
  /^(?:metadata|status|spec\.(?:targetRef|hosts|patterns))\b|\.(?:priority|cache|metrics|ttl|timeout|allValues|customClaims|unauthenticated|unauthorized)\b/;

type Tried = Imported & { readonly mutant: Mutant };

function tryImport(mutant: Mutant): Tried | null {
  try {
    return { ...importAuthPolicy(mutant.text, OPTIONS), mutant };
  } catch (error) {
    if (error instanceof SourceError) return null;
    throw new Error(mutant.what, { cause: error });
  }
}

const textOf = ({ policy }: Imported) => JSON.stringify([...policy()]);
const isPartOf = (one: string, other: string) =>
  one === other || (other.startsWith(one) && /[.[]/.test(other.charAt(one.length)));

/** What is wrong with a result, apart from whom it lets in. */
function faultOf({ report, config, mutant: { place } }: Tried, good: Imported): string | null {
  const name = nameOf(place);
  const isNamed = report.faults.some(({ key }) => isPartOf(key, name) || isPartOf(name, key));
  if (isNamed) return null;
  if (report.faults.length > 0) return `is not named, but ${report.faults.map(({ key }) => key).join(", ")}`;
  if (!isDeepStrictEqual(config.tree, good.config.tree) && !WITHOUT_MEANING.test(name))
    return "is another configuration";
  return null;
}

/** The calls that each policy lets in, by one run of opa. */
function allowed(policies: readonly Imported[], dir: string): readonly (readonly number[])[] {
  const opa = findTool("opa");
  if (opa === null) throw new Error("no opa");
  for (const [i, { policy }] of policies.entries())
    for (const [name, text] of policy()) {
      if (name === "cel.rego") writeFileSync(join(dir, name), text);
      else
        writeFileSync(
          join(dir, `${i}-${name}`),
          text.replaceAll(/\bmcp\.authz\b/g, `m${i}.authz`).replaceAll(/\bauthpolicy\.(?!cel\b)/g, `m${i}.`),
        );
    }
  const rules = policies.map(
    (_, i) => `out["${i}"] := [n | some n, call in calls; data.m${i}.authz.allow == true with input as call]`,
  );
  writeFileSync(
    join(dir, "q.rego"),
    `package q\nimport rego.v1\ncalls := json.unmarshal(\`${JSON.stringify(CALLS)}\`)\n${rules.join("\n")}\n`,
  );
  const printed = execFileSync(opa, ["eval", "--v0-compatible", "--format", "raw", "--data", dir, "data.q.out"], {
    encoding: "utf8",
    maxBuffer: 1e8,
  });
  const out = JSON.parse(printed) as Record<string, number[]>;
  return policies.map((_, i) => out[String(i)] ?? []);
}

describe.skipIf(findTool("opa") === null)("an import is never wider than its source", { timeout: 180_000 }, () => {
  it.each(Object.entries(POLICIES))("%s", (_, text) => {
    const good = importAuthPolicy(text, OPTIONS);
    expect(good.report.faults).toEqual([]);
    const results = mutantsOf(text).map(tryImport);
    const tried = results.filter((one) => one !== null);

    expect([tried.length > 200, results.length > tried.length]).toEqual([true, true]);
    expect(
      tried.flatMap((one) => {
        const fault = faultOf(one, good);
        return fault === null ? [] : [`${one.mutant.what} ${fault}`];
      }),
    ).toEqual([]);
    const byText = Map.groupBy([{ ...good, mutant: null }, ...tried], textOf);
    const groups = [...byText.values()];
    const dir = mkdtempSync(join(tmpdir(), "never-wider-"));
    try {
      const [before = [], ...after] = allowed(
        groups.map(([first = good]) => first),
        dir,
      );
      expect(before.length).toBeGreaterThan(1);
      expect(before.length).toBeLessThan(CALLS.length);
      const wider = after.flatMap((calls, i) =>
        calls.some((call) => !before.includes(call)) ? (groups[i + 1] ?? []).map(({ mutant }) => mutant?.what) : [],
      );
      expect(wider).toEqual([]);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
