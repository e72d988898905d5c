// The recipe of docs/policy.md for roles, owners and privileged tools.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { PolicyInput } from "../../src/authz/types.ts";
import { findTool } from "../../src/files/program.ts";
import { decideBounded } from "../../src/policy/bounded.ts";
import { loadPolicy } from "../../src/policy/load.ts";
import { findOpa } from "../../src/policy/opa.ts";
import { POLICY_BY_TOKEN } from "../fakes/identity.ts";

const page = readFileSync(resolve(import.meta.dirname, "../../docs/policy.md"), "utf8");
const pieces = new Map(
  [...page.matchAll(/^<!-- recipe: (\S+) -->\n```\w+\n([^`]*)```/gm)].map(([, name = "", text = ""]) => [name, text]),
);
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-recipe-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Answers for a caller by subject and roles, on the recipe with other data in place of its own. */
async function policyWith(data = pieces.get("data.yaml") ?? "") {
  writeFileSync(join(folder, "policy.rego"), pieces.get("policy.rego") ?? "");
  writeFileSync(join(folder, "data.yaml"), data);
  const { artifact } = await loadPolicy({ path: folder, rego: "v1", findOpa });
  return async (who: string, groups: readonly string[], [server, name]: readonly [string, string]) => {
    const [subject = "", issuer = "https://idp.example.com"] = who.split(" of ");
    const input: PolicyInput = {
      identity: { issuer, subject, username: null, groups, scopes: [], ...POLICY_BY_TOKEN, claims: {} },
      mcp: { method: "tools/call", server, kind: "tool", name, arguments: {}, version: "1" },
      request: { host: "h", path: `/servers/${server}/mcp`, sourceIp: "", time: 0, headers: {} },
    };
    const step = await decideBounded(artifact, input, 20_000);
    return step.ok && step.value.allow;
  };
}

const READ = ["github", "read"] as const;
const DELETE = ["github", "delete_repository"] as const;
const ROTATE = ["github", "rotate_key"] as const;
const WIKI = ["wiki", "read"] as const;

describe.skipIf(findTool("opa") === null)("MS-04, MS-07: roles, owners and privileged tools", () => {
  const allows = policyWith();
  it.each<[string, readonly string[], readonly [string, string], boolean]>([
    ["carol", [], READ, true],
    ["dave", ["mcp.admin"], READ, true],
    ["dave", ["MCP.Engineer"], READ, true],
    ["dave", [], READ, false],
    ["dave", ["mcp.engineers"], READ, false],
    ["carol of https://other.example", [], READ, false],
    ["carol", [], WIKI, true],
    ["dave", ["mcp.admin"], WIKI, true],
    ["dave", ["mcp.engineer"], WIKI, false],
    ["carol", ["mcp.admin", "mcp.engineer"], DELETE, false],
    ["carol", ["mcp.admin"], ROTATE, false],
    ["dave", ["MCP.Security"], ROTATE, true],
    ["carol", ["mcp.admin"], ["unknown", "read"], false],
  ])("%s with %j, %j: %s", async (who, roles, at, allowed) =>
    expect(await (await allows)(who, roles, at)).toBe(allowed),
  );

  it.each(["privileged", "owner", "roles"])(
    "a server without %s opens nothing by that",
    async (key) => {
      const data = (pieces.get("data.yaml") ?? "").replaceAll(`${key}:`, "misspelt:");
      const ask = await policyWith(data);
      expect(await ask("carol", ["mcp.admin", "mcp.engineer"], DELETE)).toBe(false);
      expect(await ask("dave", [], READ)).toBe(false);
      if (key === "privileged") expect(await ask("dave", ["mcp.admin"], READ)).toBe(false);
    },
    30_000,
  );
});
