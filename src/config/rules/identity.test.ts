// Rules of issuers, and of the names of endpoints.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { ConfigError, loadConfig } from "../load.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-identity-rules-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The keys of all warnings, or of all problems behind `!`. */
function told(more: { challenge?: object; server?: object; issuer?: object }): string[] {
  const file = join(folder, "mcp-authz.yaml");
  const tree = {
    publicOrigin: "https://gw.example.com",
    identity: {
      issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"], ...more.issuer }],
    },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "wristband.pem" }] },
    challenge: more.challenge ?? {},
    servers: { s: { url: "https://s.example.com/mcp", credential: [{ none: {} }], ...more.server } },
  };
  writeFileSync(file, stringify(tree));
  try {
    return loadConfig(file, {}).warnings.map(({ key }) => key);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ key }) => `!${key}`);
    throw error;
  }
}

it.each([
  ["sub", []],
  ["oid", []],
  ["/ids/person", []],
  ...["client_id", "azp", "email", "preferred_username"].map(
    (name) => [name, ["identity.issuers[0].claims.subject"]] as const,
  ),
] as const)("B13: the subject is %s: warnings", (subject, expected) => {
  expect(told({ issuer: { claims: { subject } } })).toEqual(expected);
});

describe("B13: names of endpoints", () => {
  it.each<[string, string[], string[]]>([
    ["https://gw.example.com", [], []],
    ["https://gw.example.com/", [], []],
    ["https://gw.example.com/mcp", ["challenge.resource"], ["servers.s.resource"]],
    ["https://gw.example.com/servers", ["challenge.resource"], []],
    ["https://gw.example.com/servers/s/mcp", ["challenge.resource"], []],
    ["https://gw.example.com/serv", ["challenge.resource"], ["servers.s.resource"]],
    ["https://gw.example.com.evil.example", ["challenge.resource"], ["servers.s.resource"]],
    ["https://gw.example.com/?a=b", ["challenge.resource"], ["servers.s.resource"]],
    ["api://5a2b6c7d-0000-4000-8000-000000000001", ["challenge.resource"], ["servers.s.resource"]],
    ["urn:gw", ["challenge.resource"], ["servers.s.resource"]],
    ...["gw", "5a2b6c7d-0000-4000-8000-000000000001", "https://gw.example.com/#a", "https://a b", 'api://"', ""].map(
      (odd): [string, string[], string[]] => [odd, ["!challenge.resource"], ["!servers.s.resource"]],
    ),
  ])("%s", (resource, forAll, forOne) => {
    expect(told({ challenge: { resource } })).toEqual(forAll);
    expect(told({ server: { resource } })).toEqual(forOne);
  });
});
