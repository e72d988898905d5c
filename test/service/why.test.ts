// `mcp-authz why` as a person runs it: what it says, its exit codes, and that it leaves no trace.
import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { findTool } from "../../src/files/program.ts";
import { runMain } from "../../src/cli/command.ts";
import { command } from "../../src/cli/why.ts";
import { loadPolicy } from "../../src/policy/load.ts";
import { keepRevision } from "../../src/policy/revisions.ts";
import { noOpa } from "../fakes/opa.ts";
import { compact, makeKey, startIssuer, type FakeIssuer } from "../fakes/issuer.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const ORIGIN = "https://gw.example.com";
const CREDENTIAL = "canary-credential";
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-why-"));
const key = makeKey("k1");
let issuer: FakeIssuer;
/** Where a server, Vault and a token endpoint would be: nothing may arrive. */
let trap: Server;
let arrivals = 0;
let configFile: string;

const tokenFile = (name: string) => join(folder, `${name}.token`);
const tokenOf = (name: string) => readFileSync(tokenFile(name), "utf8");

function writeToken(name: string, more: object): void {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: issuer.issuer,
    aud: ORIGIN,
    sub: name,
    iat: now - 10,
    exp: now + 3600,
    groups: ["engineering"],
  };
  writeFileSync(
    tokenFile(name),
    `${compact(key, { alg: "ES256", typ: "at+jwt", kid: "k1" }, { ...claims, ...more })}\n`,
  );
}

function writeConfig(name: string, changes: Record<string, unknown> = {}): string {
  const address = trap.address();
  const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/mcp`;
  const exchange = {
    tokenEndpoint: url,
    client: { id: "gw", secret: { file: "secret" } },
    audience: "api",
    scope: "read",
  };
  const vault = { mount: "secret", path: "{username}/{host}" };
  const server = { url, callRouting: "direct" };
  const file = join(folder, name);
  writeFileSync(
    file,
    stringify({
      publicOrigin: ORIGIN,
      identity: { issuers: [{ issuer: issuer.issuer, audiences: [ORIGIN], algorithms: ["ES256"] }] },
      policy: { path: "policies" },
      audit: { file: "audit.jsonl" },
      wristband: { issuer: ORIGIN, keys: [{ kid: "w", file: "key.pem" }] },
      vault: { address: new URL(url).origin, auth: { token: { file: "secret" } } },
      servers: {
        demo: { ...server, credential: [{ static: { file: "secret" } }] },
        chained: { ...server, credential: [{ vault }, { exchange }] },
        exchanging: { ...server, credential: [{ exchange }] },
      },
      ...changes,
    }),
  );
  return file;
}

beforeAll(async () => {
  issuer = await startIssuer(key);
  trap = createServer((_, response) => {
    arrivals += 1;
    response.end("{}");
  });
  await new Promise<void>((done) => trap.listen(0, "127.0.0.1", done));
  cpSync(join(ROOT, "policies/demo"), join(folder, "policies"), { recursive: true });
  writeFileSync(join(folder, "secret"), CREDENTIAL, { mode: 0o600 });
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(join(folder, "key.pem"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  writeToken("alice", { scope: "mcp:read" });
  writeToken("bob", { groups: ["finance"] });
  writeToken("old", { iat: 1_600_000_000, exp: 1_600_000_300 });
  writeToken("stranger", { aud: "https://other.example.com" });
  writeToken("hostile", { preferred_username: "a\u202eb", groups: ["x\u001b[2J"] });
  configFile = writeConfig("mcp-authz.yaml");
});
afterAll(async () => {
  trap.closeAllConnections();
  await Promise.all([issuer.close(), new Promise((done) => trap.close(done))]);
  rmSync(folder, { recursive: true, force: true });
});

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly first: string | undefined;
}

/** In this process: a program of its own costs half a second each time. */
async function why(args: readonly string[], config = configFile): Promise<Ran> {
  const out: string[] = [];
  const err: string[] = [];
  const stdout = vi.spyOn(process.stdout, "write").mockImplementation((text) => out.push(String(text)) > 0);
  const stderr = vi.spyOn(console, "error").mockImplementation((text) => void err.push(`${String(text)}\n`));
  try {
    const code = await runMain({ why: () => Promise.resolve({ command }) }, ["why", "--config", config, ...args]);
    return { code, out: out.join(""), err: err.join(""), first: out.join("").split("\n")[0] };
  } finally {
    stdout.mockRestore();
    stderr.mockRestore();
  }
}

/** As a program of its own, with standard input. */
function whyProgram(args: readonly string[], input: string): Promise<Ran> {
  return new Promise((done) => {
    const argv = [join(ROOT, "src/cli/mcp-authz.ts"), "why", "--config", configFile, ...args];
    const child = execFile(process.execPath, argv, { timeout: 60_000 }, (error, out, err) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      done({ code, out, err, first: out.split("\n")[0] });
    });
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}

const call = (person: string, tool: string, ...more: string[]) =>
  why(["--token-file", tokenFile(person), "--server", "demo", "--tool", tool, ...more]);

describe("a call on another endpoint than its server's", () => {
  const config = () =>
    writeConfig("endpoints.yaml", {
      virtualServers: { desk: { servers: { demo: ["ec*"] } }, none: { servers: { demo: ["other"] } } },
    });
  const at = (endpoint: string) =>
    why(["--token-file", tokenFile("alice"), "--server", "demo", "--endpoint", endpoint, "--tool", "echo"], config());
  it.each([
    ["mcp", "/mcp"],
    ["desk", "/servers/desk/mcp"],
  ])("%s: allowed, and the step names the path", async (endpoint, path) => {
    const { code, out, first } = await at(endpoint);
    expect([code, first]).toEqual([0, "allow"]);
    expect(out).toContain(`${ORIGIN}${path}`);
  });
  it("a virtual server that does not have it refuses", async () => {
    const { code, out, first } = await at("none");
    expect([code, first]).toEqual([1, "refuse policy_denied"]);
    expect(out).toContain("curation");
  });
  it("an endpoint that is not there: the names that are", async () => {
    const { code, err } = await at("x");
    expect(code).toBe(2);
    expect(err).toContain("--endpoint must be one of: mcp, desk, none");
  });
});

describe("a call", () => {
  it("that is allowed: first line, exit code 0, every step", async () => {
    const { code, out, first } = await call("alice", "echo");
    expect([code, first]).toEqual([0, "allow"]);
    expect(out).toMatch(/endpoint +ok +https:\/\/gw\.example\.com\/servers\/demo\/mcp, straight to http:/);
    expect(out).toMatch(/token +ok +alice of http:.*expires \d{4}-.* \(in 59 min\)/);
    expect(out).toContain(`groups engineering; scopes mcp:read; audience ${ORIGIN}`);
    expect(out).toMatch(/policy +ok +allows; .*revision [0-9a-f]{12}/);
    expect(out).toMatch(/credential +ok +static: found, goes into the header authorization/);
    expect(out).toMatch(/wristband +- +none: the call goes straight/);
  });

  it("that policy refuses: the author's reason, the rule and its line, the remedy; exit code 1", async () => {
    const { code, out, first } = await call("alice", "delete_repo");
    expect([code, first]).toEqual([1, "refuse policy_denied"]);
    expect(out).toContain('reason: "no group of the caller is granted this"');
    if (findTool("opa") !== null) expect(out).toMatch(/policy\.rego:13 +granted fails at line 16: mcp_authz\.matches/);
    expect(out).toContain("credential  -   static would be asked");
    expect(out).toMatch(/meaning +Policy does not allow this/);
    expect(out).toContain("docs/refusals.md#policy_denied");
  });

  it("that a scope would cure says which, also as JSON", async () => {
    const { code, out } = await call("alice", "transfer", "--args", '{"amount":5}', "--json");
    const report = JSON.parse(out) as { steps: { step: string; facts?: object }[] };
    expect([code, report]).toMatchObject([1, { verdict: "refuse", reason: "scope_insufficient" }]);
    expect(report.steps.find(({ step }) => step === "policy")?.facts).toMatchObject({
      allow: false,
      requiredScopes: ["mcp:write"],
      revision: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    });
  });

  it("with a token that is refused: what it says of itself beside what is accepted", async () => {
    const expired = await call("old", "echo");
    expect([expired.code, expired.first]).toEqual([1, "refuse token_expired"]);
    expect(expired.out).toMatch(/expires 2020-09-13T12:31:40\.000Z \(\d+ d \d+ h ago\)/);
    const stranger = await call("stranger", "echo");
    expect(stranger.first).toBe("refuse token_audience");
    expect(stranger.out).toContain("audience https://other.example.com");
    expect(stranger.out).toContain(`accepted here: audience ${ORIGIN}/servers/demo/mcp, ${ORIGIN}`);
  });

  it("takes the token from standard input", async () => {
    const { first } = await whyProgram(["--token-file", "-", "--server", "demo", "--tool", "echo"], tokenOf("alice"));
    expect(first).toBe("allow");
  });

  it("J06: names and claims cannot move the cursor of a terminal", async () => {
    const { out } = await call("hostile", "echo");
    expect(out).toContain("username a?b; groups x?[2J");
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  });
});

describe("MS-08, B05: headers of the client's", () => {
  it("that do not reach the server are named, and what lets them through", async () => {
    const { out } = await call(
      "alice",
      "echo",
      "--header",
      "X-Mcp-Readonly,mcp-later,traceparent,accept,authorization",
    );
    expect(out).toMatch(
      /headers +- +x-mcp-readonly does not reach the server; mcp_authz_headers_dropped_total counts it/,
    );
    expect(out).toContain("servers.demo.passHeaders lets it through");
    expect(out).toContain("mcp-later reaches the server as the client sent it");
    expect(out).toContain("traceparent reaches the server if it is well formed");
    expect(out).toContain("accept is written by the gateway");
    expect(out).toMatch(/authorization does not reach the server\n/);
    expect((await call("alice", "echo")).out).not.toContain("headers  ");
  });

  it.each(["a b", "", "x,,y", "\u001b[8m"])("%j is no name of a header", async (name) => {
    expect((await call("alice", "echo", "--header", name)).code).toBe(2);
  });
});

describe("a credential", () => {
  it("is never exchanged, and Vault is not asked without --credentials", async () => {
    const chained = await why(
      ["--token-file", tokenFile("alice"), "--server", "chained", "--tool", "echo", "--json"],
      allowAll(),
    );
    expect(chained.first).toBe("{");
    const exchanging = await why(
      ["--token-file", tokenFile("alice"), "--server", "exchanging", "--tool", "echo"],
      allowAll(),
    );
    expect([chained.code, exchanging.code]).toEqual([0, 0]);
    expect(chained.out).toContain("would read secret/{username}/{host}, field token; --credentials asks Vault");
    expect(exchanging.out).toMatch(/exchange: not asked, would exchange .* for audience "api", scope "read"/);
    expect(exchanging.out.split("\n").slice(0, 3)).toEqual([
      "allow",
      "      up to the credential, which was NOT fetched (not asked: exchange)",
      "",
    ]);
    expect(exchanging.out).toMatch(/^meaning +Nothing refuses this call before its credential\. .*credential_missing/m);
    expect(exchanging.out).toMatch(/^to do +No IdP is asked here.* with --request-id\.$/m);
    expect(exchanging.out).not.toContain("--credentials: it asks Vault");
    expect(JSON.parse(chained.out)).toMatchObject({
      verdict: "allow",
      caveat: expect.stringMatching(/NOT fetched \(not asked: vault, then exchange\)$/) as string,
      remedy: expect.stringContaining("Add --credentials: it asks Vault. No IdP") as string,
    });
    expect(arrivals).toBe(0);
  });

  /** A policy that allows every server. */
  function allowAll(): string {
    mkdirSync(join(folder, "all"), { recursive: true });
    cpSync(join(ROOT, "policies/demo"), join(folder, "all"), { recursive: true });
    const data = join(folder, "all/data.yaml");
    const grants = "{demo: {tool: [echo]}, chained: {tool: [echo]}, exchanging: {tool: [echo]}}";
    writeFileSync(data, `grants: {engineering: ${grants}}\nlimits: {transfer: 1000}\n`);
    return writeConfig("all.yaml", { policy: { path: "all" } });
  }
});

describe("a serve that runs", () => {
  const LIVE = "f".repeat(64);
  let ops: Server;
  let answer: object;
  beforeAll(async () => {
    ops = createServer((_, response) => response.end(JSON.stringify(answer)));
    await new Promise<void>((done) => ops.listen(0, "127.0.0.1", done));
  });
  afterAll(() => new Promise((done) => ops.close(done)));

  const ask = (policy: string, live: object | null) => {
    answer = { ready: true, policy: live };
    const address = ops.address();
    const listen = { ops: `127.0.0.1:${typeof address === "object" ? address?.port : 0}` };
    const config = writeConfig("live.yaml", { listen, policy: { path: policy } });
    return why(["--token-file", tokenFile("alice"), "--server", "demo", "--tool", "echo"], config);
  };

  it("with the last good policy of files that are broken: which, why, and how to ask it", async () => {
    mkdirSync(join(folder, "edited"), { recursive: true });
    writeFileSync(join(folder, "edited/policy.rego"), "package mcp.authz\nallow if {");
    const { code, out, first } = await ask("edited", { revision: LIVE, stale: "policy.rego:3: unexpected eof" });
    expect([code, first]).toEqual([2, "refuse policy_unavailable"]);
    expect(out).toContain("serve       -   serve decides by another policy, revision ffffffffffff\n");
    expect(out).toContain("it says of the files: policy.rego:3: unexpected eof\n");
    expect(out).toMatch(/to judge by that one, put its files back .*--request-id/);
    const unknown = await ask("edited", null);
    expect(unknown.out).toMatch(/^serve +- +a running serve decides by the last good policy; its \/readyz/m);
  });

  it("with another revision is told, with the same one not", async () => {
    const other = await ask("policies", { revision: LIVE, stale: null });
    expect(other.out).toMatch(/^allow\n[^]*^serve +- +serve decides by another policy, revision f{12}$/m);
    const { out } = await call("alice", "echo", "--json");
    const { steps } = JSON.parse(out) as { steps: { step: string; facts?: { revision?: string } }[] };
    const { revision } = steps.find(({ step }) => step === "policy")?.facts ?? {};
    const same = await ask("policies", { revision, stale: null });
    expect(same.out).not.toMatch(/^serve /m);
    const silent = await ask("policies", null);
    expect(silent.out).not.toMatch(/^serve /m);
  });
});

describe("exit code 2: nobody can tell", () => {
  it.each<[string, () => Promise<Ran>, RegExp]>([
    [
      "the issuer's keys are not to be had",
      async () => {
        const { respond } = issuer;
        issuer.respond = (response) => response.writeHead(500).end();
        return call("alice", "echo").finally(() => (issuer.respond = respond));
      },
      /^refuse keys_unavailable\n/,
    ],
    [
      "the policy does not compile",
      () => {
        mkdirSync(join(folder, "broken"), { recursive: true });
        writeFileSync(join(folder, "broken/policy.rego"), "package mcp.authz\nallow if {");
        const config = writeConfig("broken.yaml", { policy: { path: "broken" } });
        return why(["--token-file", tokenFile("alice"), "--server", "demo", "--tool", "echo"], config);
      },
      /^refuse policy_unavailable\n(.*\n)*policy +NO +policy_unavailable: /,
    ],
    [
      "the configuration is broken",
      () => why(["--request-id", "x"], writeConfig("typo.yaml", { polcy: 1 })),
      /polcy: is not a key/,
    ],
    [
      "no such server",
      () => why(["--token-file", tokenFile("alice"), "--server", "x", "--tool", "y"]),
      /--server must be one of: demo, chained/,
    ],
    ["two names", () => call("alice", "echo", "--prompt", "p"), /exactly one of --tool, --prompt, --resource/],
    [
      "no such request",
      () => why(["--request-id", "nobody", "--audit", join(folder, "mcp-authz.yaml")]),
      /no line of .* is an audit line/,
    ],
    [
      "no audit log",
      () => why(["--request-id", "x", "--audit", join(folder, "none")]),
      /cannot be read \(ENOENT\): name another with --audit/,
    ],
  ])("%s", async (_, run, says) => {
    const { code, out, err } = await run();
    expect(code).toBe(2);
    expect(out + err).toMatch(says);
  });
});

describe("a past decision", () => {
  const auditFile = () => join(folder, "past.jsonl");
  const lines = [
    {
      request_id: "r1",
      mesh_request_id: "m1",
      decision: "deny",
      reason: "policy_denied",
      issuer: "ISSUER",
      subject: "alice",
    },
    { request_id: "r2", mesh_request_id: "m2", decision: "deny", reason: "token_expired", policy: null, name: null },
    {
      request_id: "r3",
      mesh_request_id: "m3",
      decision: "allow",
      reason: null,
      issuer: "ISSUER",
      subject: "alice",
      name: "echo",
      credential: "vault",
      credential_path: "secret/alice/demo",
      credential_version: 3,
      headers_dropped: ["x-mcp-readonly"],
    },
    {
      request_id: "r4",
      decision: "deny",
      reason: "policy_denied",
      issuer: "ISSUER",
      subject: "alice",
      note: "no group of the caller is granted this",
    },
    {
      request_id: "r5",
      decision: "deny",
      reason: "policy_denied",
      issuer: "ISSUER",
      subject: "alice",
      method: "resources/read",
      kind: "resource",
      server: null,
      name: "ui://budget/app.html",
      policy: null,
      note: null,
      detail: "no server has this name",
    },
  ];

  beforeAll(() => {
    const base = {
      time: new Date(Date.now() - 90_000).toISOString(),
      server: "demo",
      method: "tools/call",
      kind: "tool",
    };
    const rest = {
      name: "delete_repo",
      policy: "0123456789abcdef",
      note: "no group",
      detail: null,
      ms: 1.5,
      source_ip: "192.0.2.7",
    };
    const text = lines.map(
      (line) => `${JSON.stringify({ ...base, ...rest, ...line }).replace("ISSUER", issuer.issuer)}\n`,
    );
    writeFileSync(auditFile(), `${text.join("")}{"time":"torn`);
  });

  it("is found by the mesh's id: what, when, by which policy, what it means; and what the log does not hold", async () => {
    const { code, out, first } = await why(["--request-id", "m1", "--audit", auditFile()]);
    expect([code, first]).toEqual([1, "refuse policy_denied"]);
    expect(out).toMatch(/decided +- +\d{4}-.* \(1 min ago\), request r1/);
    expect(out).toContain("alice of");
    expect(out).toContain('revision 0123456789ab; reason: "no group"');
    expect(out).toContain("The log holds no username, groups, scopes or claims and no arguments");
    expect(out).toContain("add --token-file");
    expect(out).toContain("The policy has changed since.");
    expect(out).toMatch(/meaning +Policy does not allow this/);
  });

  it("B05: names headers that did not reach the server", async () => {
    const { out } = await why(["--request-id", "m3", "--audit", auditFile()]);
    expect(out).toMatch(/headers +- +x-mcp-readonly did not reach the server/);
    expect(out).toContain("servers.demo.passHeaders");
  });

  it("a refusal without policy is not blamed on policy, and sends nobody to `why`", async () => {
    const { out } = await why(["--request-id", "r5", "--audit", auditFile()]);
    expect(out).toMatch(/detail +- +no server has this name/);
    expect(out).toMatch(/meaning +No server has this name here\. Policy was not asked\./);
    expect(out).toMatch(/to do +.*on `\/mcp`/);
    expect(out).not.toMatch(/to do .*mcp-authz why/);
  });

  it("asked again without groups, rules of another answer are not shown; those of the same are", async () => {
    const { out: otherNote } = await why(["--request-id", "r1", "--audit", auditFile()]);
    expect(otherNote).toContain("its rules would mislead here");
    expect(otherNote).not.toContain("as far as the log goes");
    const { out: wasAllowed } = await why(["--request-id", "r3", "--audit", auditFile()]);
    expect(wasAllowed).toContain("its rules would mislead here");
    const { out: same } = await why(["--request-id", "r4", "--audit", auditFile()]);
    expect(same).toMatch(/as far as the log goes: does not allow; reason: "no group/);
  });

  it("is repeated with a token, and says when that is another caller's", async () => {
    const same = await why(["--request-id", "r1", "--audit", auditFile(), "--token-file", tokenFile("alice")]);
    expect(same.out).toMatch(/now +NO +refuse policy_denied, asked with this token/);
    expect(same.out).not.toContain("another caller");
    const other = await why(["--request-id", "r3", "--audit", auditFile(), "--token-file", tokenFile("bob")]);
    expect([other.code, other.first]).toEqual([0, "allow"]);
    expect(other.out).toContain("The token is another caller's");
    expect(other.out).toMatch(/credential +- +vault: secret\/alice\/demo, version 3/);
  });

  it("before policy is explained without asking again; the log may come from standard input", async () => {
    const { code, out, first } = await whyProgram(
      ["--request-id", "r2", "--audit", "-"],
      readFileSync(auditFile(), "utf8"),
    );
    expect([code, first]).toEqual([1, "refuse token_expired"]);
    expect(out).toContain("policy was not asked then either");
  });
});

describe("policy.revisions: a policy that was live, and is not in the files any more", () => {
  let config: string;
  let then: string;
  beforeAll(async () => {
    const source = { path: join(folder, "policies"), rego: "v1" as const, findOpa: noOpa };
    const { artifact, rules } = await loadPolicy(source);
    await keepRevision(join(folder, "kept"), { artifact, rules, settings: {} });
    then = artifact.revision;
    cpSync(join(ROOT, "policies/demo"), join(folder, "now"), { recursive: true });
    writeFileSync(join(folder, "now/data.yaml"), "grants: {}\nlimits: {transfer: 1000}\n");
    config = writeConfig("kept.yaml", { policy: { path: "now", revisions: "kept" }, audit: { file: "kept.jsonl" } });
    const line = { time: new Date().toISOString(), server: "demo", method: "tools/call", kind: "tool", name: "echo" };
    const who = { decision: "allow", reason: null, issuer: issuer.issuer, subject: "alice", note: null };
    const text = [
      { ...line, ...who, request_id: "k1", policy: then },
      { ...line, ...who, request_id: "k2", policy: "f".repeat(64) },
    ].map((one) => `${JSON.stringify(one)}\n`);
    writeFileSync(join(folder, "kept.jsonl"), text.join(""));
  });
  const again = (id: string, ...more: string[]) =>
    why(["--request-id", id, "--token-file", tokenFile("alice"), ...more], config);

  it("judges a past decision", async () => {
    const { out } = await again("k1");
    expect(out).toContain("It was asked by the revision that decided then, which is kept.");
    expect(out).toMatch(new RegExp(`^policy +ok +allows; .* revision ${then.slice(0, 12)}, kept$`, "m"));
    if (findTool("opa") !== null) expect(out).toMatch(/policy\.rego:7 +allow holds/);
    const log = await why(["--request-id", "k1"], config);
    expect(log.out).toContain("which is kept");
  });

  it("is said not to be kept, and the files are asked", async () => {
    const { out } = await again("k2");
    expect(out).toMatch(/kept does not hold the revision f{12}: the newest of 1 are [0-9a-f]{12}\./);
    expect(out).toMatch(/^policy +NO +does not allow/m);
    expect((await again("k2", "--revision", then.slice(0, 12))).out).toContain(
      "another than the one that decided then",
    );
  });

  it("judges a new call by --revision", async () => {
    const echo = ["--token-file", tokenFile("alice"), "--server", "demo", "--tool", "echo"];
    expect((await why(echo, config)).first).toBe("refuse policy_denied");
    expect((await why([...echo, "--revision", then], config)).first).toBe("allow");
    const none = await why([...echo, "--revision", "ffffffff"], config);
    expect([none.code, none.err]).toEqual([2, expect.stringMatching(/does not hold the revision/)]);
    expect((await why([...echo, "--revision", then])).err).toContain("names no folder policy.revisions");
  });
});

it("P6: leaves no trace and prints no secret", async () => {
  const token = ["--token-file", tokenFile("alice")];
  const { out, err, code } = await whyProgram([...token, "--server", "demo", "--tool", "delete_repo", "--json"], "");
  expect(code).toBe(1);
  for (const secret of [tokenOf("alice").trim(), tokenOf("alice").split(".")[2]?.trim() ?? "?", CREDENTIAL])
    expect(out + err).not.toContain(secret);
  expect(existsSync(join(folder, "audit.jsonl"))).toBe(false);
  expect(arrivals).toBe(0);
});
