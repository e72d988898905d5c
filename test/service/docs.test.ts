import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";
import { GATEWAY_POLICY } from "../lab/vault.ts";
import { refusalsPage } from "../../scripts/refusals.ts";
import { UPSTREAM_STATES } from "../../src/broker/catalog.ts";
import { DROP_REASONS } from "../../src/broker/definitions.ts";

const root = resolve(import.meta.dirname, "../..");
const read = (name: string) => readFileSync(join(root, name), "utf8");

it("docs/refusals.md is what the table says", () => expect(read("docs/refusals.md")).toBe(refusalsPage()));

it("docs/credentials.md gives the Vault policy that the tests run with", () =>
  expect(read("docs/credentials.md")).toContain(GATEWAY_POLICY.trim()));

it("the README has at most 150 lines, and its links lead somewhere", () => {
  const text = read("README.md");
  expect(text.split("\n").length).toBeLessThanOrEqual(150);
  for (const [, target = ""] of text.matchAll(/\]\((?!http)([^)#]+)/g))
    expect(existsSync(join(root, target)), target).toBe(true);
});

it("docs/lists.md knows every state of a server, and every reason why an entry is left out", () => {
  const text = read("docs/lists.md");
  for (const word of [...UPSTREAM_STATES, ...DROP_REASONS]) expect(text, word).toContain(`\`${word}\``);
});
