// `check-config` reads every file that the configuration names: one that is missing, empty or of another kind is a sentence
// with its key, its path and what to do. `serve` and `broker` say the same of theirs before they start.
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { findTool } from "../../src/files/program.ts";
import { runMain } from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { makeCa, makeLeaf } from "../fakes/certificates.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-check-config-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

beforeAll(() => {
  const ca = makeCa(folder, "ca");
  makeLeaf(folder, { name: "leaf", san: "DNS:gw", ca });
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(at("wristband.pem"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  writeFileSync(at("secret"), "s3cret", { mode: 0o600 });
  writeFileSync(at("revoked.jsonl"), "");
  writeFileSync(at("empty"), "");
  symlinkSync("loop", at("loop"));
  writeFileSync(at("text"), "not what you think\n");
  writeFileSync(
    at("cut.pem"),
    ca.cert
      .toString()
      .replace(/^.{30}$/m, "")
      .replace(/^([A-Za-z0-9+/]{64})$/m, "AAAA"),
  );
  mkdirSync(at("policies"));
  writeFileSync(at("policies/policy.rego"), 'package mcp.authz\n\nallow if input.mcp.name == "echo"\n');
  mkdirSync(at("broken"));
  writeFileSync(at("broken/policy.rego"), "package mcp.authz\n\nallow if {\n");
  mkdirSync(at("no-rego"));
});

const NOBODY = 65_534;

/** Root reads everything, and is nobody meanwhile; any other user is nobody special already. */
async function asNobody<T>(work: () => Promise<T>): Promise<T> {
  if (process.getuid?.() !== 0) return work();
  process.seteuid?.(NOBODY);
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
  }
}

type Tree = Record<string, unknown>;

function good(): Tree {
  const tls = { certFile: "leaf.pem", keyFile: "leaf.key", clientCaFile: "ca.pem" };
  const client = { caFile: "ca.pem", serverName: "gw", certFile: "leaf.pem", keyFile: "leaf.key" };
  return {
    publicOrigin: "https://gw.example.com",
    tls: { authz: tls, ops: tls, broker: tls, brokerOps: tls },
    envoy: { tls: { listen: { certFile: "leaf.pem", keyFile: "leaf.key" }, authz: client, broker: client } },
    audit: { file: "audit.jsonl" },
    catalog: { url: "https://broker.example.com:9004/catalog", caFile: "ca.pem" },
    identity: {
      issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }],
      revocationFile: "revoked.jsonl",
    },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "wristband.pem" }] },
    vault: { address: "https://vault.example.com", caFile: "ca.pem", auth: { token: { file: "secret" } } },
    servers: {
      demo: {
        url: "https://mcp.example.com/mcp",
        caFile: "ca.pem",
        credential: [
          {
            exchange: {
              tokenEndpoint: "https://idp.example.com/token",
              client: { id: "gw", secret: { file: "secret" } },
              audience: "demo",
              scope: "a",
              caFile: "ca.pem",
            },
          },
        ],
        discovery: [{ static: { file: "secret" } }],
      },
    },
  };
}

/** The good file with one value put at a path like "servers.demo.credential[0].exchange.caFile". */
function withValue(path: string, value: unknown): Tree {
  const tree = JSON.parse(JSON.stringify(good())) as Tree; // nothing shared
  const parts = path.split(/[.[\]]+/);
  let node: Record<string, unknown> = tree;
  for (const part of parts.slice(0, -1)) node = node[part] as Tree;
  node[parts.at(-1) ?? ""] = value;
  return tree;
}

let said: string[];
beforeEach(() => {
  said = [];
  for (const stream of ["log", "error"] as const)
    vi.spyOn(console, stream).mockImplementation((text) => void said.push(String(text)));
});
afterEach(() => vi.restoreAllMocks());

async function run(tree: Tree, ...command: readonly string[]): Promise<{ code: number; text: string }> {
  writeFileSync(at("mcp-authz.yaml"), stringify(tree));
  const [name = "check-config", ...rest] = command;
  const file = name === "check-config" ? [at("mcp-authz.yaml")] : ["--config", at("mcp-authz.yaml")];
  const code = await runMain(COMMANDS, [name, ...file, ...rest]);
  return { code, text: said.join("\n") };
}

it("good files are ok, and nothing is written", async () => {
  const { code, text } = await run(good());
  expect([code, text.split("\n").at(-1)]).toEqual([0, "ok"]);
  expect(text).not.toMatch(/warning: (?:envoy|policy|tls)/);
  expect(() => rmSync(at("audit.jsonl"))).toThrow("ENOENT");
});

const CAS = ["catalog.caFile", "vault.caFile", "servers.demo.caFile", "servers.demo.credential[0].exchange.caFile"];
const PAIRS = ["tls.authz", "tls.ops", "tls.broker", "tls.brokerOps"];

describe("one sentence with the key, the path and what to do", () => {
  it.each<[string, string, string, RegExp]>([
    ...CAS.flatMap((key): [string, string, string, RegExp][] => [
      [key, "none", key, /none cannot be read \(ENOENT\): create it, or correct the path/],
      [key, "policies", key, /policies cannot be read \(EISDIR\): it is a folder; name a file/],
      [key, "ca.pem/x", key, /x cannot be read \(ENOTDIR\): a part of the path is no folder/],
      [key, "empty", key, /empty is empty: put the CA's certificate there/],
      [key, "text", key, /text holds no certificate in PEM form: put the CA's certificate there/],
      [key, "leaf.key", key, /leaf\.key holds no certificate in PEM form/],
      [key, "cut.pem", key, /cut\.pem is broken: certificate 1 in it cannot be read/],
    ]),
    ...PAIRS.flatMap((key): [string, string, string, RegExp][] => [
      [`${key}.certFile`, "none", `${key}.certFile`, /none cannot be read: does it exist/],
      [`${key}.keyFile`, "text", `${key}.keyFile`, /text holds no private key in PEM form/],
      [`${key}.clientCaFile`, "empty", `${key}.clientCaFile`, /empty holds no certificate in PEM form/],
    ]),
    ["wristband.keys[0].file", "none", "wristband.keys[0]", /none does not exist\. Make one: openssl ecparam/],
    ["wristband.keys[0].file", "empty", "wristband.keys[0]", /empty is no private key in PEM form/],
    ["identity.revocationFile", "none", "identity.revocationFile", /none: cannot be read \(ENOENT\): create it, empty/],
    ["identity.revocationFile", "text", "identity.revocationFile", /text: line 1: not JSON/],
    ["audit.file", "none/audit.jsonl", "audit.file", /audit\.jsonl cannot be written: create the folder .*none/],
    ["audit.file", "policies", "audit.file", /policies cannot be written: it is a folder; name a file/],
    ["audit.file", "n".repeat(300), "audit.file", /n cannot be read \(ENAMETOOLONG\)/],
    ["audit.file", "loop", "audit.file", /loop cannot be read \(ELOOP\)/],
    ["audit.file", "loop/audit.jsonl", "audit.file", /audit\.jsonl cannot be read \(ELOOP\)/],
    ["policy.path", "none", "policy.path", /none does not exist/],
    ["policy.path", "no-rego", "policy.path", /no-rego holds no \.rego file/],
    ["policy.path", "text", "policy.path", /text: the bundle is cut off, too large, or not a \.tar\.gz file/],
    ["policy.path", "broken", "policy.path", /broken: .*policy\.rego:\d+: rego_parse_error/],
    ["vault.auth.token.file", "none", "vault.auth.token", /none cannot be read \(ENOENT\): create it/],
    ["vault.auth.token.file", "empty", "vault.auth.token", /empty is empty: write the secret into it/],
  ])("%s: %s", async (path, value, key, says) => {
    const { code, text } = await run(withValue(path, value));
    const lines = text.split("\n").filter((line) => !line.startsWith("warning: "));
    expect([code, lines[0]]).toEqual([2, `${at("mcp-authz.yaml")}: 1 problem(s)`]);
    expect(lines[1]).toMatch(new RegExp(`^  ${key.replaceAll(/[.[\]]/g, "\\$&")}: `));
    expect(lines[1]).toMatch(says);
    expect(
      lines.slice(2).filter((line) => !line.startsWith("    ")),
      "further lines of the same fault",
    ).toEqual([]);
  });

  it("all of them at once", async () => {
    const tree = withValue("vault.caFile", "none");
    tree["audit"] = { file: "none/audit.jsonl" };
    const { text } = await run(tree);
    expect(text).toMatch(/2 problem\(s\)[^]*audit\.file: [^]*vault\.caFile: /);
  });

  it("a file that this user may not read", async () => {
    writeFileSync(at("secluded"), "x");
    for (const name of ["secret", "leaf.key", "wristband.pem"]) chmodSync(at(name), 0o644); // a warning at most
    chmodSync(at("secluded"), 0);
    chmodSync(folder, 0o777);
    rmSync(at("mcp-authz.yaml"), { force: true }); // nobody writes its own
    const { text } = await asNobody(() => run(withValue("vault.caFile", "secluded")));
    for (const name of ["secret", "leaf.key", "wristband.pem"]) chmodSync(at(name), 0o600);
    expect(text).toMatch(/vault\.caFile: .*secluded cannot be read \(EACCES\): let this user read it/);
  });
});

it.skipIf(findTool("opa") === null)("a policy that lets everybody do everything is a warning", async () => {
  mkdirSync(at("open"), { recursive: true });
  writeFileSync(at("open/policy.rego"), "package mcp.authz\n\nallow := true\n");
  const { code, text } = await run(withValue("policy.path", "open"));
  expect([code, text]).toEqual([
    0,
    expect.stringMatching(/^warning: policy\.path: [\w.]+:\d+: the policy allows every caller/m),
  ]);
});

it.each([
  ["none", null, /policy\.path: .*needs opa 1\.22\.2 or newer, which is not here/],
  ["one that is refused", "1.21.0", /policy\.path: .*old-opa is not used \(1\.21\.0: /],
])("rules that no opa judges are a warning, no fault: %s", async (_, version, says) => {
  if (version !== null) writeFileSync(at("old-opa"), `#!/bin/sh\necho "Version: ${version}"\n`, { mode: 0o755 });
  vi.stubEnv("OPA", version === null ? "/nowhere/opa" : at("old-opa"));
  try {
    expect(await run(good())).toMatchObject({ code: 0, text: expect.stringMatching(says) as string });
  } finally {
    vi.unstubAllEnvs();
  }
});

describe("whose files", () => {
  it("Envoy's are a warning: they may be on its machine", async () => {
    const { code, text } = await run(withValue("envoy.tls.listen.certFile", "none"));
    expect(code).toBe(0);
    expect(text).toMatch(
      /^warning: envoy\.tls\.listen\.certFile: .*none cannot be read.*\(no fault if it is there where/m,
    );
    said.length = 0;
    expect((await run(withValue("envoy.tls.broker.caFile", "text"))).text).toMatch(
      /^warning: envoy\.tls\.broker\.caFile: .*holds no certificate/m,
    );
  });

  it.each([
    ["broker", withValue("vault.caFile", "none"), 0],
    ["broker", withValue("servers.demo.caFile", "none"), 2],
    ["serve", withValue("servers.demo.caFile", "none"), 0],
    ["serve", withValue("policy.path", "none"), 2],
    ["envoy", withValue("policy.path", "none"), 0],
    ["nobody", good(), 2],
  ])("--for %s", async (reader, tree, expected) => {
    expect((await run(tree, "check-config", "--for", reader)).code).toBe(expected);
  });

  it.each([
    ["serve", "wristband.keys[0].file"],
    ["broker", "servers.demo.caFile"],
  ])("%s says so before it starts", async (name, path) => {
    const { code, text } = await run(withValue(path, "none"), name);
    expect(code).toBe(2);
    expect(text).toMatch(/1 problem\(s\)\n {2}(?:wristband\.keys\[0\]|servers\.demo\.caFile): .*none/);
  });
});
