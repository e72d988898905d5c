// What the pages, the demo and the commands tell people to type: no name that somebody else's package could answer to.
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { clientLines, composePlace, inspectorLine } from "../../demo/demo-steps.ts";

const root = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-commands-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What fetches a package and runs it, or puts it on everybody's PATH, and the name that it is given. */
const RUNNERS =
  /\b(?:npx|npm (?:exec|x|create|init|(?:install|i) (?:-g|--global))|bunx|pnpm dlx|yarn dlx|uvx|pipx run)((?: +-{1,2}[\w=-]+)*) +["'`]?([@\w$][^\s"'`)|]*)/g;

/** What is code in a page, and what is no comment in a source: prose may speak of npx. */
function codeOf(page: string): string {
  const text = readFileSync(join(root, page), "utf8");
  if (page.endsWith(".md")) return [...text.matchAll(/```[^]*?```|`[^`\n]+`/g)].map(([code]) => code).join("\n");
  return text.replaceAll(/^\s*(?:\/\/|\/?\*|#).*$/gm, "");
}

const commandsIn = (text: string) => [...text.matchAll(RUNNERS)].map(([, , name = ""]) => name);
const isOwned = (name: string) => /^@[a-z\d-]+\/[a-z\d.-]+@\d+\.\d+\.\d+$/.test(name);

const pages = execFileSync("git", ["ls-files", "*.md", "*.yml", "*.yaml", "demo", "src", "tools", "deploy", ".ci"], {
  cwd: root,
  encoding: "utf8",
})
  .trim()
  .split("\n")
  .filter((name) => !/\.test\.ts$|\.wasm$/.test(name));

it("pages and sources name packages by scope and version only", () => {
  expect(pages.length).toBeGreaterThan(200);
  const found = pages.flatMap((page) => commandsIn(codeOf(page)).map((name) => [page, name]));
  // A name that the source puts together is read where it is printed, below.
  expect(found.filter(([, name = ""]) => !name.startsWith("$") && !isOwned(name))).toEqual([]);
});

it.each([
  ["npx mcp-inspector --cli", "mcp-inspector"],
  ["`npx -y mcp-authz@0.1.0 serve`", "mcp-authz@0.1.0"],
  ["npm exec -- x", "x"],
  ["npm install -g mcp-authz", "mcp-authz"],
  ["run uvx fastmcp", "fastmcp"],
  ["npx @modelcontextprotocol/inspector --cli", "@modelcontextprotocol/inspector"],
])("the test would see: %s", (text, name) => {
  expect(commandsIn(text)).toEqual([name]);
  expect(isOwned(name)).toBe(false);
});

it("the Inspector is printed with its scope and the version of package.json", () => {
  const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    devDependencies: Readonly<Record<string, string>>;
  };
  const place = composePlace("http://127.0.0.1:8080");
  const printed = [clientLines("http://127.0.0.1:8080"), inspectorLine(place, "alice", "--method tools/list")];
  const name = `@modelcontextprotocol/inspector@${devDependencies["@modelcontextprotocol/inspector"]}`;
  expect(printed.flatMap(commandsIn)).toEqual([name, name]);
  expect(isOwned(name)).toBe(true);
});

it("npm says nothing of its own around a task: no newer npm, no Node that is not the one used", () => {
  const npm = { ...process.env, HOME: folder };
  const { stderr } = spawnSync("npm", ["run", "tools", "no-such"], { cwd: root, encoding: "utf8", env: npm });
  expect(stderr).not.toMatch(/^npm (?:warn|notice)/m);
  expect(stderr).toContain('"no-such"');
  expect(readFileSync(join(root, ".npmrc"), "utf8")).toContain("update-notifier=false\n");
});

describe("./mcp-authz", () => {
  it("is the command, from everywhere and through a link", () => {
    const link = join(folder, "linked");
    symlinkSync(join(root, "mcp-authz"), link);
    const { stdout, stderr, status } = spawnSync(link, ["--version"], { cwd: folder, encoding: "utf8" });
    expect([stdout, stderr, status]).toEqual([expect.stringMatching(/^\d+\.\d+\.\d+\n$/), "", 0]);
  });

  it("says in one sentence what to do where the packages are missing", () => {
    const copy = join(folder, "mcp-authz");
    copyFileSync(join(root, "mcp-authz"), copy);
    const { stdout, stderr, status } = spawnSync(copy, ["--version"], { encoding: "utf8" });
    expect([stdout, status]).toEqual(["", 1]);
    expect(stderr).toMatch(
      /^mcp-authz: the packages are not installed yet\. Run: \(cd '\/.+' && npm ci\), then .+\.\n$/,
    );
  });
});
