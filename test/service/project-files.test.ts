// The files around the code say what is there: licence, guides, decisions, workflows. None of it can be run here but read.
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
  readonly "timeout-minutes"?: number;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly steps?: readonly Step[];
}
interface Workflow {
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

it.each(namesIn(".github/ISSUE_TEMPLATE"))("%s is YAML", (name) => expect(parse(read(name))).toBeTypeOf("object"));
