// The files around the code say what is there: licence, guides, decisions, workflows. None of it can be run here but read.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";

const root = resolve(import.meta.dirname, "../..");
const read = (name: string) => readFileSync(join(root, name), "utf8");
const namesIn = (folder: string) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`);

it("LICENSE is the text of the Apache License 2.0, byte for byte", () =>
  // The sum of https://www.apache.org/licenses/LICENSE-2.0.txt, as in each package that carries it unchanged.
  expect(createHash("sha256").update(read("LICENSE")).digest("hex")).toBe(
    "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
  ));

const GUIDES = ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", ...namesIn("docs/decisions")];

it.each(GUIDES)("the links of %s lead somewhere", (page) => {
  const targets = [...read(page).matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, target = ""]) => target);
  expect(targets.filter((target) => !existsSync(join(root, dirname(page), target)))).toEqual([]);
});

it("CONTRIBUTING.md names paths and commands that are there", () => {
  const page = read("CONTRIBUTING.md");
  const paths = [
    ...page.matchAll(/`((?:src|test|tools|demo|bench|docs|policies|protos|envoy|deploy|\.ci)\/[\w./-]+)`/g),
  ];
  expect(paths.length).toBeGreaterThan(10);
  expect(paths.map(([, path = ""]) => path).filter((path) => !existsSync(join(root, path)))).toEqual([]);
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Readonly<Record<string, string>> };
  const commands = [...page.matchAll(/\bnpm run ([\w:-]+)/g)].map(([, name = ""]) => name);
  expect(commands.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
});

it("docs/architecture.md names modules and tests that are there", () => {
  const page = read("docs/architecture.md");
  const named = [...page.matchAll(/`((?:\w[\w-]*\/)+[\w.-]+\.(?:test\.)?(?:ts|rego))`/g)].map(([, name = ""]) => name);
  expect(named.length).toBeGreaterThan(40);
  const isThere = (name: string) => existsSync(join(root, name)) || existsSync(join(root, "src", name));
  expect(named.filter((name) => !isThere(name))).toEqual([]);
});

it("docs/decisions/README.md lists every record by its number and title", () => {
  const records = namesIn("docs/decisions").filter((name) => /\/\d{3}-/.test(name));
  const lines = records.map((name) => {
    const [, number = "", title = ""] = /^# (\d{3}): (.+)$/m.exec(read(name)) ?? [];
    expect(name).toContain(`/${number}-`);
    return `- [${number}: ${title}](${name.slice("docs/decisions/".length)})`;
  });
  expect(read("docs/decisions/README.md").split("\n").slice(4, -1)).toEqual(lines.toSorted());
});

it("CHANGELOG.md has a section of this version, and room for the next", () => {
  const { version } = JSON.parse(read("package.json")) as { version: string };
  const headings = [...read("CHANGELOG.md").matchAll(/^## \[(.+?)\](?: - \d{4}-\d\d-\d\d)?$/gm)].map(
    ([, name]) => name,
  );
  expect(headings[0]).toBe("Unreleased");
  expect(headings).toContain(version);
});

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}
interface Job {
  readonly uses?: string;
  readonly needs?: string | readonly string[];
  readonly environment?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly "timeout-minutes"?: number;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly steps?: readonly Step[];
}
interface Workflow {
  readonly on: Readonly<Record<string, unknown>>;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly jobs: Readonly<Record<string, Job>>;
}

describe.each(namesIn(".github/workflows"))("%s", (name) => {
  const { permissions, jobs } = parse(read(name)) as Workflow;
  const steps = Object.values(jobs).flatMap((job) => job.steps ?? []);

  it("names each action by its commit, and keeps no credentials of the checkout", () => {
    const used = steps.flatMap(({ uses }) => (uses === undefined ? [] : [uses]));
    expect(used.filter((action) => !/^[\w-]+\/[\w-]+@[0-9a-f]{40}$/.test(action))).toEqual([]);
    const checkouts = steps.filter(({ uses }) => uses?.startsWith("actions/checkout@") === true);
    expect(checkouts.filter((step) => step.with?.["persist-credentials"] !== false)).toEqual([]);
  });

  it("gives no job more than reading unless the job says so, and an end to each", () => {
    const granted = Object.entries(permissions ?? { everything: "write" });
    expect(granted.filter(([scope, access]) => scope !== "contents" || access !== "read")).toEqual([]);
    const own = Object.values(jobs).filter((job) => job.uses === undefined);
    expect(own.filter((job) => job["timeout-minutes"] === undefined)).toEqual([]);
  });

  it("puts no expression of an event into a script", () =>
    expect(steps.filter(({ run }) => run?.includes("${{") === true)).toEqual([]));
});

it("CI is .ci/run", () => {
  const { jobs } = parse(read(".github/workflows/ci.yml")) as Workflow;
  expect(Object.values(jobs).flatMap((job) => (job.steps ?? []).map(({ run }) => run))).toContain(".ci/run");
});

describe("a release", () => {
  const { on, jobs } = parse(read(".github/workflows/release.yml")) as Workflow;
  const job = (name: string) => jobs[name] ?? expect.fail(`no job ${name}`);
  const scriptOf = (name: string) => (job(name).steps ?? []).flatMap(({ run }) => run ?? []).join("\n");
  const needs = (name: string): string[] =>
    [job(name).needs ?? []].flat().flatMap((before) => [before, ...needs(before)]);

  it("begins with a tag, and nothing leaves before the tests have passed and somebody has agreed", () => {
    expect(on).toEqual({ push: { tags: ["v[0-9]+.[0-9]+.[0-9]+*"] } });
    expect(job("ci").uses).toBe("./.github/workflows/ci.yml");
    for (const name of ["image", "package"]) {
      expect(needs(name)).toEqual(expect.arrayContaining(["version", "ci"]));
      expect(job(name).environment).toBe("release");
    }
    expect(needs("notes")).toEqual(expect.arrayContaining(["image", "package"]));
  });

  it("the image goes by digest to the registry that a variable names, signed, with SBOM and provenance", () => {
    expect(job("image").env?.["REGISTRY"]).toBe("${{ vars.IMAGE_REGISTRY }}");
    const script = scriptOf("image");
    for (const part of ["--sbom=true --provenance=mode=max", "tools/release-check.ts", "cosign sign", "cosign verify"])
      expect(script).toContain(part);
    expect(script).toContain("image=$repository@$digest");
  });

  it("the package goes with provenance by trusted publishing, without a token", () => {
    expect(scriptOf("package")).toContain("npm publish --provenance --access public");
    expect(job("package").permissions).toEqual({ contents: "read", "id-token": "write" });
    expect(scriptOf("notes")).toContain("npm sbom");
  });

  it("its scripts are shell that bash can read, and name files that are there", () => {
    const scripts = Object.keys(jobs).map(scriptOf);
    expect(scripts.filter((script) => spawnSync("bash", ["-n"], { input: script }).status !== 0)).toEqual([]);
    const files = scripts.flatMap((script) => script.match(/\btools\/[\w./-]+/g) ?? []);
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  });
});

it.each(namesIn(".github/ISSUE_TEMPLATE"))("%s is YAML", (name) => expect(parse(read(name))).toBeTypeOf("object"));
