// The npm package as somebody else has it: packed, installed into an empty folder, and run there. Nothing else runs what the
// compiler makes of the sources.
import { BY_TOKEN } from "../fakes/identity.ts";
import { execFile, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { freePorts, type Ports } from "../../demo/ports.ts";
import type { Identity } from "../../src/authz/types.ts";
import { Secret } from "../../src/secret/secret.ts";
import { destinationOf } from "../../src/authz/destination.ts";
import { createSigner } from "../../src/wristband/sign.ts";
import { demoBundle } from "../fakes/demo-bundle.ts";
import { compact, makeKey, startIssuer, type FakeIssuer } from "../fakes/issuer.ts";
import { startNpmRegistry, type NpmRegistry } from "../fakes/npm-registry.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const MANIFEST = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, unknown>>;
};
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-package-"));
const app = join(folder, "app");
const installed = join(app, "node_modules/mcp-authz");
let registry: NpmRegistry;

/** Without what npm and proxies say to their children: as in a terminal, with the registry on loopback and a cache of its own. */
function environment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^npm_|_proxy$|^NODE_OPTIONS$|^VITEST/i.test(name));
  return {
    ...Object.fromEntries(own),
    PATH: [join(ROOT, "node_modules/.bin"), process.env["PATH"]].join(delimiter),
    npm_config_registry: registry.url,
    npm_config_cache: join(folder, "cache"),
  };
}

function run(cwd: string, ...[command, ...args]: readonly [string, ...string[]]) {
  return new Promise<{ code: number; out: string; err: string }>((done) => {
    execFile(command, args, { cwd, env: environment() }, (error, out, err) =>
      done({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
}

const mcpAuthz = (...args: string[]) => run(app, "npx", "--offline", "mcp-authz", ...args);

beforeAll(async () => {
  registry = await startNpmRegistry();
  mkdirSync(app);
  expect(await run(ROOT, "npm", "pack", "--pack-destination", folder)).toMatchObject({ code: 0 });
  const archive = join(folder, `mcp-authz-${MANIFEST.version}.tgz`);
  expect(await run(app, "npm", "install", "--no-audit", "--no-fund", archive, "@types/node")).toMatchObject({
    code: 0,
  });
});
afterAll(async () => {
  await registry.close();
  rmSync(folder, { recursive: true, force: true });
});

describe("what is in it", () => {
  const files = () =>
    readdirSync(installed, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(installed.length + 1));

  it("compiled modules with their types, no source and no test", () => {
    const compiled = files().filter((name) => name.startsWith("dist/"));
    expect(compiled.length).toBeGreaterThan(400);
    expect(compiled.filter((name) => !/(?<!\.test)(?:\.js|\.d\.ts)$/.test(name))).toEqual([]);
  });

  it("and what they read, the licence and the pages of a package: nothing else", () =>
    expect(
      files()
        .filter((name) => !name.startsWith("dist/"))
        .toSorted(),
    ).toEqual(
      [
        ...["CHANGELOG.md", "LICENSE", "NOTICE", "README.md", "package.json", "bin/mcp-authz.mjs"],
        ...["docs/mcp-authz.schema.json", "policies/capabilities.json"],
        ...["protos/envoy/service/auth/v3/mcp_authz.proto", "protos/grpc/health/v1/health.proto"],
        "protos/agentgateway/ext_mcp.proto",
        ...readdirSync(join(ROOT, "policies/mcp_authz"))
          .filter((name) => !name.endsWith("_test.rego"))
          .map((name) => `policies/mcp_authz/${name}`),
      ].toSorted(),
    ));

  it("every dependency is asked for by name, and no development dependency comes along", () => {
    const direct = Object.keys(MANIFEST.dependencies);
    expect(direct.filter((name) => !registry.fetched.has(name))).toEqual([]);
    expect(
      ["typescript", "vitest", "@grpc/grpc-js-xds", "fast-check"].filter((name) => registry.fetched.has(name)),
    ).toEqual([]);
  });
});

describe("what it does", () => {
  it.each([
    ["of the package", app, ["npx", "--offline", "mcp-authz"]],
    ["of a clone, which has no build", ROOT, [process.execPath, "bin/mcp-authz.mjs"]],
  ] as const)("--version %s", async (_, cwd, [command, ...args]) => {
    const result = await run(cwd, command, ...args, "--version");
    expect(result).toEqual({ code: 0, out: `${MANIFEST.version}\n`, err: "" });
  });

  it("check-config says what is wrong and ends with 2", async () => {
    writeFileSync(join(app, "broken.yaml"), "publicOrigin: nonsense\n");
    const { code, err } = await mcpAuthz("check-config", "broken.yaml");
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining("publicOrigin: ") });
  });

  it("a Node that is too old is named", async () => {
    const old = 'data:text/javascript,Object.defineProperty(process.versions,"node",{value:"22.18.0"})';
    const { code, err } = await run(app, process.execPath, "--import", old, join(installed, "bin/mcp-authz.mjs"));
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining("needs Node.js 24.6 or newer") });
  });
});

describe("with a good configuration", () => {
  const key = makeKey("k1");
  let issuer: FakeIssuer;
  let ports: Ports;

  beforeAll(async () => {
    issuer = await startIssuer(key);
    ports = await freePorts();
    writeFileSync(join(app, "mcp-authz.yaml"), stringify(configuration(issuer.issuer, ports)));
  });
  afterAll(() => issuer.close());

  it("check-config says ok", async () =>
    expect(await mcpAuthz("check-config", "mcp-authz.yaml")).toMatchObject({ code: 0, out: "ok\n" }));

  it("why asks policy on its thread", async () => {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: issuer.issuer,
      aud: "gateway",
      sub: "alice",
      iat: now,
      exp: now + 600,
      groups: ["engineering"],
    };
    writeFileSync(join(app, "alice.token"), compact(key, { alg: "ES256", typ: "at+jwt", kid: "k1" }, claims));
    const call = ["--token-file", "alice.token", "--server", "demo", "--tool", "echo"];
    const { code, out } = await run(app, "node_modules/.bin/mcp-authz", "why", "--config", "mcp-authz.yaml", ...call);
    expect({ code, first: out.split("\n")[0] }).toEqual({ code: 0, first: "allow" });
  });

  it.each(["serve", "broker"])("%s starts, answers its operators, and ends on SIGTERM", async (command) => {
    const port = command === "serve" ? ports.ops : ports.brokerOps;
    const args = [command, "--config", "mcp-authz.yaml"];
    const child = spawn("node_modules/.bin/mcp-authz", args, { cwd: app, env: environment(), stdio: "ignore" });
    const ended = new Promise((done) => child.once("exit", (code, signal) => done({ code, signal })));
    // The broker is ready once it has serve's keys; that it lives does not depend on serve.
    const url = `http://127.0.0.1:${port}/${command === "serve" ? "readyz" : "healthz"}`;
    try {
      const status = async () => (await fetch(url)).status;
      await vi.waitFor(async () => expect(await status()).toBe(200), { timeout: 30_000, interval: 100 });
      child.kill("SIGTERM");
      expect(await ended).toEqual({ code: 0, signal: null });
    } finally {
      child.kill("SIGKILL");
    }
  });
});

describe("docs/api.md: its examples compile with the package's types and print what the page says", () => {
  const page = readFileSync(join(ROOT, "docs/api.md"), "utf8");
  const examples = [...page.matchAll(/^```ts\n(.+?)^```\n\n```text\n(.+?)^```$/gms)].map(
    ([, code = "", output = ""]) => ({
      name: /"mcp-authz\/([\w-]+)"/.exec(code)?.[1] ?? "",
      ...{ code, output },
    }),
  );
  const { exports } = MANIFEST;

  beforeAll(async () => {
    for (const { name, code } of examples) writeFileSync(join(app, `${name}.mts`), code);
    writeFileSync(join(app, "policy.tar.gz"), await demoBundle(["policy.wasm", "data.json"]));
    writeWristband();
  });

  it("there is one for each entry", () =>
    expect(examples.map(({ name }) => `./${name}`).toSorted()).toEqual(
      Object.keys(exports)
        .filter((entry) => entry !== "./package.json")
        .toSorted(),
    ));

  it("types", async () => {
    const options = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2024", "--types", "node"];
    const files = examples.map(({ name }) => `${name}.mts`);
    expect(await run(app, "tsc", "--ignoreConfig", ...options, ...files)).toEqual({ code: 0, out: "", err: "" });
  });

  it.each(examples)("$name", async ({ name, output }) =>
    expect(await run(app, process.execPath, "--disable-warning=ExperimentalWarning", `${name}.mts`)).toEqual({
      code: 0,
      out: output,
      err: "",
    }),
  );

  it("nothing else can be imported", async () => {
    const { code, err } = await run(app, process.execPath, "-e", 'import("mcp-authz/dist/authz/grant.js")');
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining("ERR_PACKAGE_PATH_NOT_EXPORTED") });
  });
});

/** What serve would have sent for one call, and its published keys. */
function writeWristband(): void {
  const { kid, privateKey, jwk } = makeKey("w");
  const body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}';
  const sign = createSigner({
    ...{ issuer: "https://gw.example.com", audience: "mcp-broker", ttlSeconds: 300 },
    keys: () => [{ kid, privateKey, jwk: {} }],
    now: Date.now,
    onCache: () => {},
  });
  const alice: Identity = {
    ...{ issuer: "https://idp.example.com", subject: "alice", username: "alice", groups: [], scopes: [], claims: {} },
    ...BY_TOKEN,
    actors: [],
    expiresAt: Math.floor(Date.now() / 1000) + 3600,
    token: new Secret("alices-token"),
  };
  const signed = sign(
    alice,
    { tools: { demo: ["echo"] }, prompts: {}, resources: {} },
    { use: "call", body: Buffer.from(body), destinations: { demo: destinationOf("https://demo.example.com/mcp") } },
  );
  writeFileSync(join(app, "body.json"), body);
  writeFileSync(join(app, "jwks.json"), JSON.stringify({ keys: [jwk] }));
  writeFileSync(join(app, "wristband.txt"), signed.ok ? signed.value.jws : "");
}

/** The demo's policy, which is compiled already: no `opa` is needed if the package's library is the one it was compiled with. */
function configuration(issuer: string, { authz, ops, broker, brokerOps }: Ports) {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(join(app, "w.pem"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  cpSync(join(ROOT, "policies/demo"), join(app, "policies"), { recursive: true });
  const local = (port: number) => `127.0.0.1:${port}`;
  return {
    publicOrigin: "http://127.0.0.1:8080",
    listen: { authz: local(authz), ops: local(ops), broker: local(broker), brokerOps: local(brokerOps) },
    audit: { file: "audit.jsonl" },
    identity: { issuers: [{ issuer, audiences: ["gateway"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { issuer: "http://127.0.0.1:8080", keys: [{ kid: "w", file: "w.pem" }] },
    servers: { demo: { url: "http://127.0.0.1:1/mcp", credential: [{ none: {} }] } },
  };
}
