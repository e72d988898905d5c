import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { ConfigError, loadConfig } from "../load.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-config-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(join(folder, "secret"), "s3cret-canary-of-thirty-two-characters\n", { mode: 0o600 });

const EXCHANGE = {
  tokenEndpoint: "https://idp.example.com/token",
  client: { id: "https://gw.example.com", secret: { file: "secret" } },
  audience: "https://backend.example.com",
  scope: "mcp:tools mcp:read",
};

function load(changes: Record<string, unknown>, top: Record<string, unknown> = {}) {
  const file = join(folder, "mcp-authz.yaml");
  const tree = {
    publicOrigin: "https://gw.example.com",
    callRouting: "direct",
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "wristband.pem" }] },
    servers: {
      s: {
        url: "https://s.example.com/mcp",
        credential: [{ exchange: { ...EXCHANGE, ...changes } }],
        discovery: [{ static: { file: "secret" } }],
      },
    },
    ...top,
  };
  writeFileSync(file, stringify(tree));
  return loadConfig(file, {});
}

function problems(changes: Record<string, unknown>, top: Record<string, unknown> = {}): string {
  try {
    load(changes, top);
    return "";
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map((p) => `${p.key}: ${p.message}`).join("\n");
    throw error;
  }
}

describe("exchange", () => {
  it("gets its defaults, and hides its secret", () => {
    const { config, warnings } = load({});
    expect(warnings).toEqual([]);
    const entry = config.servers["s"]?.credential[0];
    expect(entry).toMatchObject({
      ...{ kind: "exchange", profile: "rfc8693", mode: "impersonation", allowScopes: [] },
      ...{ timeoutMs: 500, caFile: null },
      ...{ header: "authorization", scheme: "Bearer" },
    });
    expect(inspect(entry, { depth: 9 })).not.toContain("s3cret-canary");
  });

  const at = /^servers\.s\.credential\[0\]\.exchange\./;
  it.each<[string, Record<string, unknown>, RegExp]>([
    ["H07: plain http", { tokenEndpoint: "http://idp.example.com/token" }, /tokenEndpoint: plain http/],
    ["H07: another protocol", { tokenEndpoint: "file:///etc/passwd" }, /tokenEndpoint: must be an absolute/],
    [
      "H09: user info",
      { tokenEndpoint: "https://a:b@idp.example.com/token" },
      /tokenEndpoint: must not hold user info/,
    ],
    ["dot segments", { tokenEndpoint: "https://idp.example.com/a/../token" }, /tokenEndpoint: must have a path/],
    ["a space", { tokenEndpoint: "https://idp.example.com/a b" }, /tokenEndpoint: must have a path/],
    ["not ASCII", { tokenEndpoint: "https://idp.example.com/ü" }, /tokenEndpoint: must have a path/],
    ["no path", { tokenEndpoint: "https://idp.example.com" }, /tokenEndpoint: must have a path/],
    ["an empty scope", { scope: "" }, /scope: names scopes with one space/],
    ["two spaces", { scope: "a  b" }, /scope: names scopes with one space/],
    ["a scope with a quote", { scope: 'a"' }, /scope: names scopes with one space/],
    ["a scope with a space", { allowScopes: ["a b"] }, /allowScopes\[0\]: a scope is visible ASCII/],
    ["no audience", { audience: "" }, /audience/],
    ["an unknown profile", { profile: "entra" }, /profile/],
    ["a misspelt key", { allowScope: [] }, /allowScope: is not a key/],
    [
      "P2.3-6: delegation at Keycloak",
      { mode: "delegation", profile: "keycloak" },
      /mode: delegation is not to be had: Keycloak's standard token exchange \(V2\) ignores actor_token/,
    ],
    ["an unknown mode", { mode: "both" }, /mode/],
    ["no time", { timeoutMs: 0 }, /timeoutMs/],
    ["as much time as the Check", { timeoutMs: 800 }, /timeoutMs: 800 must be smaller than checkTimeoutMs \(800\)/],
  ])("%s", (_, changes, message) => {
    expect(problems(changes)).toMatch(message);
    expect(problems(changes)).toMatch(at);
  });

  it("C21: with several issuers an exchange is for the tokens of one", () => {
    const issuer = { audiences: ["a"], algorithms: ["ES256"] };
    const issuers = ["https://idp.example.com", "https://other.example.com"].map((name) => ({
      ...issuer,
      issuer: name,
    }));
    const top = { identity: { issuers } };
    expect(problems({}, top)).toMatch(/exchange\.issuer: is required with several issuers/);
    expect(problems({ issuer: "https://third.example.com" }, top)).toMatch(/exchange\.issuer: .* none of identity/);
    expect(problems({ issuer: "https://other.example.com" }, top)).toBe("");
  });

  it("the default time must fit a shorter Check too", () => {
    expect(problems({}, { checkTimeoutMs: 400 })).toMatch(/timeoutMs: 500 must be smaller than checkTimeoutMs \(400\)/);
  });

  it("loopback, allowHttp, a query and escapes are accepted as written", () => {
    const urls = [
      "http://127.0.0.1:1/t",
      "http://idp/t",
      "https://idp.example.com/t?x=%2F",
      "https://IDP.example.com/",
    ];
    for (const tokenEndpoint of urls) expect(problems({ tokenEndpoint }, { allowHttp: ["idp"] })).toBe("");
  });

  it("5.7: warns where no scope is named at all", () => {
    const warned = (changes: Record<string, unknown>) => load(changes).warnings.map(({ key }) => key);
    expect(warned({ scope: null })).toEqual(["servers.s.credential[0].exchange.scope"]);
    expect(warned({ scope: null, allowScopes: ["profile"] })).toEqual([]);
  });
});
