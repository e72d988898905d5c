// An imported AuthPolicy decides as its source means it: import, check-config, then serve in process, asked by Checks.
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { parse, stringify } from "yaml";
import { startServe, type Serve } from "../../src/app/serve/serve.ts";
import { command as checkConfig } from "../../src/cli/check-config.ts";
import { runMain } from "../../src/cli/command.ts";
import { command as importing } from "../../src/cli/import.ts";
import { loadConfig } from "../../src/config/load.ts";
import { findTool } from "../../src/files/program.ts";
import { createLog } from "../../src/ops/log.ts";
import { findOpa } from "../../src/policy/opa.ts";
import { checkMessage, codecs, FULL_PROTO } from "../fakes/check-request.ts";
import { firstHandover } from "../fakes/handover.ts";
import { compact, makeKey, startIssuer, type FakeIssuer } from "../fakes/issuer.ts";
import { freePorts } from "../../demo/ports.ts";

const root = mkdtempSync(join(tmpdir(), "mcp-authz-import-test-"));
const key = makeKey("idp");
const ORIGIN = "https://gw.example.com";
let idp: FakeIssuer;
let count = 0;

beforeAll(async () => {
  idp = await startIssuer(key);
  idp.publish(key);
});
afterAll(async () => {
  await idp.close();
  rmSync(root, { recursive: true, force: true });
});

/** Runs a command line; returns its exit code and what it printed. */
async function run(...argv: readonly string[]) {
  const lines: string[] = [];
  const spies = (["log", "error"] as const).map((name) =>
    vi.spyOn(console, name).mockImplementation((text: unknown) => void lines.push(String(text))),
  );
  const commands = {
    import: async () => ({ command: importing }),
    "check-config": async () => ({ command: checkConfig }),
  };
  const code = await runMain(commands, argv);
  for (const spy of spies) spy.mockRestore();
  return { code, text: lines.join("\n") };
}

/** Imports a policy into a folder of its own. */
async function importOf(source: string, ...options: readonly string[]) {
  count += 1;
  const file = join(root, `source-${count}.yaml`);
  const out = join(root, `out-${count}`);
  writeFileSync(file, source.replaceAll("ISSUER", idp.issuer));
  const servers = [
    "--server",
    "mcp-test/files=http://127.0.0.1:1/mcp",
    "--server",
    "mcp-test/mail=http://127.0.0.1:2/mcp",
  ];
  const result = await run(
    "import",
    "--from",
    "authpolicy",
    file,
    "-o",
    out,
    "--origin",
    ORIGIN,
    ...servers,
    ...options,
  );
  return { ...result, out, file };
}

/** What an operator does next: keys, secrets, and where serve listens. */
async function complete(out: string): Promise<string> {
  const file = join(out, "mcp-authz.yaml");
  const tree = parse(readFileSync(file, "utf8")) as { wristband: { keys: { file: string }[] } };
  mkdirSync(join(out, "keys"));
  for (const { file: path } of tree.wristband.keys) {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    writeFileSync(join(out, path), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  }
  const { ops } = await freePorts();
  writeFileSync(
    file,
    stringify({
      ...tree,
      listen: { authz: "127.0.0.1:0", ops: `127.0.0.1:${ops}` },
      audit: { file: "audit.jsonl" },
      drainMs: 10,
    }),
  );
  return file;
}

interface Call {
  readonly claims: object;
  readonly server?: "files" | "mail";
  readonly method?: "tools/call" | "prompts/get" | "resources/read";
  readonly name: string;
  readonly headers?: Record<string, string>;
}

function messageOf({ claims, server = "files", method = "tools/call", name, headers }: Call): object {
  const now = Math.floor(Date.now() / 1000);
  const token = compact(
    key,
    { alg: "ES256", typ: "JWT", kid: "idp" },
    { iss: idp.issuer, aud: ORIGIN, sub: "s", iat: now - 5, exp: now + 600, ...claims },
  );
  const params = method === "resources/read" ? { uri: name } : { name, arguments: {} };
  return checkMessage({
    path: `/servers/${server}/mcp`,
    host: "gw.example.com",
    headers: {
      authorization: `Bearer ${token}`,
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2025-11-25",
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
}

/** Starts serve and asks; each row is a call and whether it is allowed. */
async function expectDecisions(
  file: string,
  rows: readonly (readonly [allowed: boolean, call: Call])[],
): Promise<void> {
  const reread = () => loadConfig(file, {}).config;
  const serve: Serve = await startServe({
    config: reread(),
    reread,
    log: createLog(() => {}, "info", Date.now),
    findOpa,
    handover: firstHandover({}),
    tell: () => {},
  });
  const client = new Client(`127.0.0.1:${serve.authzPort}`, credentials.createInsecure());
  try {
    const { request, response } = codecs(FULL_PROTO);
    const same = (bytes: Buffer) => bytes;
    const decisions: unknown[] = [];
    for (const [, call] of rows) {
      const bytes = await new Promise<Buffer>((done, fail) => {
        client.makeUnaryRequest(
          "/envoy.service.auth.v3.Authorization/Check",
          same,
          same,
          request.encode(messageOf(call)),
          (error, value) => (error === null && value !== undefined ? done(value) : fail(error ?? new Error("nothing"))),
        );
      });
      const { status } = response.decode(bytes) as { status: { code: number } };
      decisions.push([status.code === 0, call]);
    }
    expect(decisions).toEqual(rows);
  } finally {
    client.close();
    await serve.stop();
  }
}

/** Imports, checks as `check-config` does, and asks. */
async function expectImported(
  source: string,
  rows: readonly (readonly [boolean, Call])[],
  ...options: readonly string[]
) {
  const { code, text, out } = await importOf(source, ...options);
  expect(`${text}\n${code}`).toMatch(/\n0$/);
  const file = await complete(out);
  const checked = await run("check-config", file);
  expect(`${checked.text}\n${checked.code}`).toMatch(/ok\n0$/);
  await expectDecisions(file, rows);
}

const policy = (rules: string, around = "") => `apiVersion: kuadrant.io/v1
kind: AuthPolicy
metadata: {name: p, namespace: mcp-test}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: g}
${around}  rules:
    authentication:
      idp:
        jwt: {issuerUrl: "ISSUER"}
${rules.replaceAll(/^(?=.)/gm, "    ")}
`;

describe.skipIf(findTool("opa") === null)("decides as the source means it", { timeout: 60_000 }, () => {
  it("P9.1-1: inline Rego v0 over the caller's groups", () =>
    expectImported(
      policy(`authorization:
  engineers:
    opa:
      rego: |
        allow {
          input.auth.identity.groups[_] == "mcp.engineer"
        }
`),
      [
        [true, { claims: { groups: ["mcp.engineer"] }, name: "greet" }],
        [false, { claims: { groups: ["mcp.engineers"] }, name: "greet" }],
        [false, { claims: { groups: "mcp.engineer" }, name: "greet" }],
        [false, { claims: {}, name: "greet" }],
      ],
    ));

  it("roles of Keycloak by server and tool, in CEL as Kuadrant's own policy has them", () => {
    const access = {
      resource_access: {
        "mcp-test/files": { roles: ["tool:greet", "prompt:hello"] },
        "mcp-test/mail": { roles: ["tool:send"] },
      },
    };
    const roles = "auth.identity.resource_access[request.headers['x-mcp-servername']].roles";
    const inRoles = (kind: string) =>
      `('${kind}:' + request.headers['x-mcp-${kind}name']) in (has(auth.identity.resource_access) && auth.identity.resource_access.exists(p, p == request.headers['x-mcp-servername']) ? ${roles} : [])`;
    const entry = (kind: string) => `  ${kind}-access:
    when:
      - predicate: "request.headers.exists(h, h == 'x-mcp-${kind}name')"
    patternMatching:
      patterns:
        - predicate: |
            ${inRoles(kind)}
`;
    return expectImported(policy(`authorization:\n${entry("tool")}${entry("prompt")}`), [
      [true, { claims: access, name: "greet" }],
      [false, { claims: access, name: "send" }],
      [true, { claims: access, server: "mail", name: "send" }],
      [false, { claims: access, server: "mail", name: "greet" }],
      [true, { claims: access, method: "prompts/get", name: "hello" }],
      [false, { claims: access, method: "prompts/get", name: "greet" }],
      [false, { claims: { resource_access: { "mcp-test/mail": { roles: ["tool:greet"] } } }, name: "greet" }],
      [false, { claims: { resource_access: { files: { roles: ["tool:greet"] } } }, name: "greet" }],
      [false, { claims: { resource_access: [] }, name: "greet" }],
      [false, { claims: {}, name: "greet" }],
      // A client's own header says nothing: the name is read of the body.
      [
        false,
        { claims: access, name: "send", headers: { "x-mcp-toolname": "greet", "x-mcp-servername": "mcp-test/files" } },
      ],
    ]);
  });
});

describe.skipIf(findTool("opa") === null)("every kind of condition", { timeout: 120_000 }, () => {
  const around = `  patterns:
    members:
      allOf: [{selector: auth.identity.realm.roles, operator: incl, value: member}]
`;
  const rules = `    defaults: {tier: {value: free}}
    overrides: {team: {selector: auth.identity.org.team}}
authorization:
  members: {patternMatching: {patterns: [{patternRef: members}]}}
  not-banned: {patternMatching: {patterns: [{selector: auth.identity.flags, operator: excl, value: banned}]}}
  odd:
    when: [{selector: auth.identity.marks, operator: excl, value: staff}]
    patternMatching: {patterns: [{predicate: auth.identity.sub != 'odd'}]}
  writers:
    when: [{predicate: "request.headers['x-mcp-toolname'].startsWith('write_')"}]
    patternMatching:
      patterns:
        - any:
            - predicate: auth.identity.tier == 'paid'
            - all: [{selector: auth.identity.sub, operator: matches, value: "^root$"}, {predicate: "auth.identity.team != 'guests'"}]
  tenant: {patternMatching: {patterns: [{predicate: "auth.identity.tenants.exists(t, t.lowerAscii() == request.headers['x-tenant'])"}]}}
  not-suspended:
    opa:
      version: v1
      rego: |
        allow if not input.auth.identity.suspended
  small:
    opa:
      rego: |
        default limit = 3
        allow { count(object.get(input.request.headers, "x-tenant", "")) <= limit }
`;
  const good = { realm: { roles: ["member"] }, tenants: ["ACM"], org: { team: "core" } };
  const acm = { "x-tenant": "acm" };
  it("as Authorino has them, and what fails refuses", async () => {
    const call = (more: object, name = "read", headers: Record<string, string> = acm): Call => ({
      claims: { ...good, ...more },
      name,
      headers,
    });
    await expectImported(policy(rules, around), [
      [true, call({})],
      [true, call({ realm: { roles: "member" } })],
      [false, call({ realm: { roles: ["members"] } })],
      [false, call({ realm: "member" })],
      [false, call({ realm: null })],
      [true, call({ flags: null })],
      [true, call({ flags: ["new"] })],
      [false, call({ flags: ["new", "banned"] })],
      [false, call({ flags: "banned" })],
      // An item that has no text is not known to be another.
      [true, call({ sub: "odd", marks: "staff" })],
      [false, call({ sub: "odd", marks: [{ name: "staff" }] })],
      [false, call({ sub: "odd", marks: ["new"] })],
      [false, call({ flags: [{ name: "banned" }] })],
      [false, call({ flags: ["new", ["banned"]] })],
      [false, call({}, "write_file")],
      [true, call({ tier: "paid" }, "write_file")],
      [false, call({ tier: ["paid"] }, "write_file")],
      [true, call({ sub: "root" }, "write_file")],
      [false, call({ sub: "root", org: { team: "guests" } }, "write_file")],
      // An override takes the place of the claim of that name.
      [false, call({ sub: "root", team: "core", org: { team: "guests" } }, "write_file")],
      [true, call({ sub: "root", team: "guests" }, "write_file")],
      [false, call({ suspended: true })],
      [true, call({ suspended: false })],
      [false, call({ tenants: [] })],
      [false, call({ tenants: "ACM" })],
      [false, call({}, "read", {})],
      [false, call({ tenants: ["LONG"] }, "read", { "x-tenant": "long" })],
      // The Kelvin sign: its small letter is an ASCII k, in Rego and not in CEL.
      [false, call({ tenants: ["\u212a"] }, "read", { "x-tenant": "k" })],
      // A condition that fails: Authorino would leave the entry out, here it counts.
      [false, { ...call({}), method: "prompts/get", name: "hello" }],
      [true, { ...call({ tier: "paid" }), method: "prompts/get", name: "hello" }],
    ]);
  });
});

describe.skipIf(findTool("opa") === null)("refuses, by line", { timeout: 60_000 }, () => {
  it("B06: a constant allow beside rules that read the caller, in whatever spelling; nothing is written", async () => {
    const reads =
      "names[server] = list { input.auth.identity.resource_access[server]; list := [r | r := input.auth.identity.resource_access[server].roles[_]] }";
    const spellings = [
      "allow = true",
      "allow { true }",
      "allow { not false }",
      "allow { names }",
      "allow { count(names) >= 0 }",
      "yes = true\nallow { yes }",
    ];
    const entries = spellings.map(
      (allow, i) => `  x${i}: {opa: {allValues: true, rego: ${JSON.stringify(`${allow}\n${reads}\n`)}}}\n`,
    );
    const { code, text, file } = await importOf(policy(`authorization:\n${entries.join("")}`));
    expect(code).toBe(2);
    for (const i of spellings.keys())
      expect(text).toContain(
        `${file}:${11 + i}: spec.rules.authorization.x${i}.opa.rego: a rule reads the caller, but only \`allow\``,
      );
    expect(text).toContain("nothing is written");
  });
});

it.skipIf(findTool("opa") === null)(
  "--partial: the rest is written, marked, and refuses what it touches",
  { timeout: 60_000 },
  async () => {
    const source = policy(`authorization:
  path: {patternMatching: {patterns: [{predicate: "request.path != '/admin'"}]}}
`);
    const { code, text, out } = await importOf(source, "--partial");
    expect([code, text]).toEqual([2, expect.stringContaining("the rest is written")]);
    expect(readFileSync(join(out, "mcp-authz.yaml"), "utf8")).toContain("NOT MAPPED, and refused until it is");
    const file = await complete(out);
    expect((await run("check-config", file)).code).toBe(0);
    await expectDecisions(file, [[false, { claims: {}, name: "greet" }]]);
  },
);
