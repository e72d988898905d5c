// Rules of the credential kind `assertion`: who signs, and whom a server can tell apart.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { stringify } from "yaml";
import { ConfigError, loadConfig } from "../load.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-assertion-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const issuer = (name: string, more: object = {}) => ({
  ...{ issuer: `https://${name}.example.com`, audiences: ["a"], algorithms: ["ES256"], ...more },
});
const KEYS = { issuer: "https://gw.example.com", keys: [{ kid: "a1", file: "a.pem" }] };

/** What the file is refused with; empty when it is taken. */
function refusedWith(assertion: object, more: object = {}): string {
  const file = join(folder, "mcp-authz.yaml");
  const tree = {
    publicOrigin: "https://gw.example.com",
    identity: { issuers: [issuer("one")] },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "w.pem" }] },
    assertions: KEYS,
    servers: { s: { url: "https://s.example.com/mcp", credential: [{ assertion }] } },
    ...more,
  };
  writeFileSync(file, stringify(tree));
  try {
    loadConfig(file, {});
    return "";
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map((p) => `${p.key}: ${p.message}`).join("\n");
    throw error;
  }
}

const two = (more: object = {}) => ({ identity: { issuers: [issuer("one", { alias: "one" }), issuer("two", more)] } });
const at = "servers.s.credential[0].assertion";

it.each([
  [{}, {}],
  [
    { claims: { mail: "email", "https://acme.example/unit": "/org/unit" }, seconds: 5, header: "x-who", scheme: "" },
    {},
  ],
  [{ qualifySubject: true }, two({ alias: "two" })],
])("%j", (assertion, more) => expect(refusedWith(assertion, more)).toBe(""));

it.each<[object, object, string]>([
  [{}, { assertions: null }, `${at}: needs the key assertions`],
  [
    {},
    { assertions: { ...KEYS, keys: [{ kid: "a1", file: "w.pem" }] } },
    "assertions.keys[0].file: is a wristband's key",
  ],
  [{}, two(), `${at}.qualifySubject: must be true with several issuers, keys`],
  [{ qualifySubject: true }, two(), "identity.issuers[1].alias: is required"],
  [{ seconds: 61 }, {}, `${at}.seconds`],
  ...["sub", "aud", "iss", "exp", "jti", "act", "cnf", "azp", "_x", ""].map((name): [object, object, string] => [
    { claims: { [name]: "email" } },
    {},
    `${at}.claims`,
  ]),
])("%j with %j: %s", (assertion, more, says) => expect(refusedWith(assertion, more)).toContain(says));
