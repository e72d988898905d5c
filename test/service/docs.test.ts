import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { GATEWAY_POLICY } from "../../demo/vault.ts";
import { parse } from "yaml";
import { withTable } from "../../tools/lib/page-tables.ts";
import { limitsTable } from "../../tools/lib/limits.ts";
import { planesTable } from "../../tools/lib/planes.ts";
import { refusalsPage } from "../../tools/lib/refusals.ts";
import { UPSTREAM_STATES } from "../../src/broker/catalog/listed-server.ts";
import { CHANGE_REASONS, DROP_REASONS } from "../../src/broker/catalog/remarks.ts";
import { configSchema } from "../../src/config/schema.ts";
import { envoyConfigYaml } from "../../src/envoy-config/envoy-config.ts";

const root = resolve(import.meta.dirname, "../..");
const read = (name: string) => readFileSync(join(root, name), "utf8");

it("docs/refusals.md is what the tables say: npm run docs", () =>
  expect(read("docs/refusals.md")).toBe(refusalsPage()));

it("docs/credentials.md gives the Vault policy that the tests run with", () =>
  expect(read("docs/credentials.md")).toContain(GATEWAY_POLICY.trim()));

it("the README has at most 150 lines", () => expect(read("README.md").split("\n").length).toBeLessThanOrEqual(150));

const PAGES = [
  "README.md",
  ...["docs", "docs/mesh"].flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`)),
].filter((name) => name.endsWith(".md"));

/** Headings as GitHub's anchors. */
function anchors(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, "")
      .replaceAll(" ", "-"),
  );
}

it.each(PAGES)("the links of %s lead somewhere", (page) => {
  for (const [, target = "", anchor] of read(page).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)) {
    const path = target === "" ? page : join(dirname(page), target);
    expect(existsSync(join(root, path)), target).toBe(true);
    if (anchor !== undefined) expect(anchors(read(path)), `${target}#${anchor}`).toContain(anchor);
  }
});

it.each(PAGES)("the commands of %s need only npm, and are there", (page) => {
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Readonly<Record<string, string>> };
  const named = [...read(page).matchAll(/\bnpm run ([\w:-]+)/g)].map(([, name = ""]) => name);
  expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
  expect(read(page)).not.toMatch(/\bnode (?:scripts|src|test)\//);
});

it("docs/limits.md has the limits of the code: npm run docs", () => {
  const page = read("docs/limits.md");
  expect(withTable(page, "limits", limitsTable())).toBe(page);
});

it("docs/mesh/README.md has what the data planes answered: npm run docs", () => {
  const page = read("docs/mesh/README.md");
  expect(withTable(page, "planes", planesTable())).toBe(page);
});

describe("docs/adopt.md", () => {
  const page = read("docs/adopt.md");

  it("its origins for browsers are ones that the configuration takes", () => {
    const [, block = ""] = /<!-- cors -->\n```yaml\n([^]*?)```/.exec(page) ?? [];
    const { cors } = parse(block) as { cors: unknown };
    const shape = configSchema(
      () => "x",
      (path) => path,
    ).shape.cors;
    expect(shape.parse(cors)).toEqual({ origins: ["https://chat.example.com"] });
  });

  it("names parts that the printed Envoy configuration has", () => {
    const config = configSchema(
      () => "x",
      (path) => path,
    ).parse({
      publicOrigin: "https://gw.example.com",
      identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
      policy: { path: "policies" },
      wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k", file: "k" }] },
      servers: { demo: { url: "https://mcp.example.com/mcp", credential: [{ none: {} }] } },
    });
    const yaml = envoyConfigYaml(config);
    const [table = ""] = /\| part of the printed file [^]*?\n\n/.exec(page) ?? [];
    const parts = table
      .split("\n")
      .slice(2)
      .map((row) => row.split("|")[1] ?? "");
    const names = parts.flatMap((part) =>
      [...part.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name.replace(/…$/, "")),
    );
    expect(names.length).toBeGreaterThan(8);
    for (const name of names) {
      if (name === "mcp.route") expect(yaml).toMatch(/- key: mcp\n +- key: route\n/);
      else expect(yaml).toContain(name);
    }
  });
});

it("docs/lists.md knows every state of a server, and every reason why an entry is left out or changed", () => {
  const text = read("docs/lists.md");
  for (const word of [...UPSTREAM_STATES, ...DROP_REASONS, ...CHANGE_REASONS])
    expect(text, word).toContain(`\`${word}\``);
});
