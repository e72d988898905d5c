// Rules of the gateway's clients at IdPs.
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { ConfigError, loadConfig } from "../load.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-client-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const pem = (key: KeyObject) => key.export({ type: "pkcs8", format: "pem" }).toString();
const put = (name: string, text: string) => writeFileSync(join(folder, name), text, { mode: 0o600 });
put("long", "k9QmT2vX8bN4rW7yZ1cF5hJ3pL6sD0gA");
put("ec", pem(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey));
put("p384", pem(generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey));
put("rsa", pem(generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey));
put("weak", pem(generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey));

function told(client: object, kind = "client_credentials", more: object = {}): string {
  const file = join(folder, "mcp-authz.yaml");
  const target = kind === "exchange" ? { audience: "a", scope: "a" } : {};
  const entry = { tokenEndpoint: "https://idp.example.com/token", client: { id: "gw", ...client }, ...target, ...more };
  const tree = {
    publicOrigin: "https://gw.example.com",
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "wristband.pem" }] },
    servers: {
      s: {
        url: "https://s.example.com/mcp",
        credential: [{ [kind]: entry }],
        discovery: [{ static: { file: "long" } }],
      },
    },
  };
  writeFileSync(file, stringify(tree));
  const lines = (all: readonly { key: string; message: string }[]) =>
    all.map((p) => `${p.key}: ${p.message}`).join("\n");
  try {
    const { warnings } = loadConfig(file, {});
    return lines(warnings);
  } catch (error) {
    if (error instanceof ConfigError) return `refused\n${lines(error.problems)}`;
    throw error;
  }
}

describe.each(["client_credentials", "exchange"])("the client of %s", (kind) => {
  const at = `servers.s.credential[0].${kind}.client`;
  it.each([
    [{ secret: { file: "long" } }],
    [{ secret: { file: "long" }, auth: "client_secret_post" }],
    [{ clientAssertion: { file: "long" } }],
    [{ privateKey: { key: { file: "ec" }, kid: "k" } }],
    [{ privateKey: { key: { file: "rsa" }, algorithm: "RS256", audience: "https://idp.example.com" } }],
    [{ privateKey: { key: { file: "rsa" }, algorithm: "PS256" } }],
  ])("%j", (client) => expect(told(client, kind)).toBe(""));

  it.each([
    [{}, "exactly one of"],
    [{ secret: { file: "long" }, clientAssertion: { file: "long" } }, "exactly one of"],
    [{ secret: { file: "long" }, privateKey: { key: { file: "ec" } } }, "exactly one of"],
    [{ secret: "in-the-file-itself-1234567890123456" }, "never the value itself"],
    [{ secret: { file: "long" }, auth: "client_secret_jwt" }, "auth"],
    [{ privateKey: { key: { file: "p384" } } }, "is not a P-256 key"],
    [{ privateKey: { key: { file: "rsa" } } }, "is not a P-256 key"],
    [{ privateKey: { key: { file: "ec" }, algorithm: "PS256" } }, "is not an RSA key"],
    [{ privateKey: { key: { file: "weak" }, algorithm: "RS256" } }, "less than 2048 bits"],
    [{ privateKey: { key: { file: "long" } } }, "is no private key"],
    [{ privateKey: { key: { file: "ec" }, algorithm: "none" } }, "algorithm"],
    [{ privateKey: { key: { file: "ec" }, algorithm: "HS256" } }, "algorithm"],
  ])("%j is refused", (client, why) => {
    const said = told(client, kind);
    expect(said).toMatch(/^refused/);
    expect(said).toContain(at);
    expect(said).toContain(why);
    expect(said).not.toContain("PRIVATE");
  });

  it.each(["secret", "changeme", "CHANGE-ME", "password", "xxxx"])("CF-35: the secret %j is refused", (word) => {
    put("word", word);
    expect(told({ secret: { file: "word" } }, kind)).toContain(`refused\n${at}.secret: is a word that anybody`);
  });
  it("CF-35: a short secret is a warning that names the key", () => {
    put("short", "k9QmT2vX8bN4rW7yZ1cF5hJ3pL6sD0g");
    expect(told({ secret: { file: "short" } }, kind)).toContain(`${at}.secret: has less than 32 characters`);
  });
  it("a time that is not below the Check's", () => {
    expect(told({ secret: { file: "long" } }, kind, { timeoutMs: 60_000 })).toContain(
      "must be smaller than checkTimeoutMs",
    );
  });
});
