// Each caller's own credential through the whole system: OpenBao, serve, Envoy and two MCP servers.
import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { findTool } from "../../src/files/program.ts";
import { startDemoServer, type DemoServer } from "../../demo/demo-server.ts";
import { DEMO_CREDENTIAL, startLab, type Lab } from "../../demo/lab.ts";
import { freePort, freePorts, type Ports } from "../../demo/ports.ts";
import { startVault, type VaultLab } from "../../demo/vault.ts";
import { startFakeRabbit, type FakeRabbit } from "../fakes/rabbitmq.ts";
import { json, startEraServer, type EraServer } from "../fakes/mcp-server.ts";
import { legacy, reasonOf, type Reply } from "./client.ts";

const CACHE_MS = 1000;
const SHORT = 5000;
const LEASE_POLICY = `path "rabbit/creds/app" { capabilities = ["read"] }
  path "sys/leases/renew" { capabilities = ["update"] }
  path "sys/leases/revoke" { capabilities = ["update"] }`;
const NEW_SECRET_ID = "a-new-secret-id-of-the-gateway";
const PATS = { demo: "pat-of-alice-at-demo-c4n4ry", other: "pat-of-alice-at-other-c4n4ry" };

describe.skipIf(findTool("bao") === null || findTool("opa") === null)("vault credentials", () => {
  const folder = mkdtempSync(join(tmpdir(), "mcp-authz-e2e-vault-"));
  const revocationFile = join(folder, "revoked.jsonl");
  const tokens: Record<string, string> = {};
  let vault: VaultLab;
  let rabbit: FakeRabbit;
  let other: DemoServer;
  let strict: EraServer;
  /** The credential that `strict` takes; it answers 401 to any other. */
  let taken = "";
  let lab: Lab;
  let ports: Ports;
  const closing: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    rabbit = await startFakeRabbit();
    closing.push(() => rabbit.stop());
    vault = await startVault({ port: await freePort(), folder, policy: LEASE_POLICY });
    closing.push(() => vault.stop());
    await makeEngine();
    await vault.put("alice/demo", { token: PATS.demo });
    await vault.put("alice/other", { token: PATS.other });
    other = await startDemoServer(0);
    closing.push(() => other.close());
    strict = await startEraServer("modern");
    closing.push(() => strict.close());
    strict.onAny = ({ headers }, response) =>
      headers.authorization !== `Bearer ${taken}` && (json(response, 401, { error: "invalid_token" }), true);
    writeFileSync(revocationFile, "");
    const policyFolder = join(folder, "policies");
    cpSync(resolve(import.meta.dirname, "../../policies/demo"), policyFolder, { recursive: true });
    const tools = "{tool: [whoami]}";
    const grants = `{engineering: {demo: ${tools}, other: ${tools}, mixed: ${tools}, strict: ${tools}, named: ${tools}, leased: ${tools}}, finance: {demo: ${tools}, mixed: ${tools}}}`;
    writeFileSync(join(policyFolder, "data.yaml"), `grants: ${grants}\nlimits: {transfer: 1}\n`);
    ports = await freePorts();
    lab = await startLab({
      folder,
      ports,
      policyFolder,
      alsoKnown: Object.values(PATS).flatMap((pat) => [pat, `${pat}-2`, `${pat}-3`]),
      progress: () => {},
      config: (config) => configure(config),
    });
    closing.push(() => lab.stop());
    for (const name of ["alice", "bob"]) tokens[name] = await lab.idp.mint(name);
  });
  afterAll(async () => {
    for (const close of closing.toReversed()) await close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** An engine whose users are made by our fake of RabbitMQ. */
  async function makeEngine(): Promise<void> {
    await vault.api("POST", "sys/mounts/rabbit", { type: "rabbitmq" });
    const connection = { connection_uri: rabbit.url, username: "admin", password: "admin" };
    expect((await vault.api("POST", "rabbit/config/connection", connection)).status).toBe(204);
    await vault.api("POST", "rabbit/roles/app", { vhosts: '{"/": {"write": ".*"}}' });
    await vault.api("POST", "rabbit/config/lease", { ttl: 3600, max_ttl: 7200 });
  }

  function configure(config: Record<string, unknown>): void {
    const approle = { roleId: { file: vault.roleIdFile }, secretId: { file: vault.secretIdFile } };
    config["vault"] = { address: vault.address, auth: { approle }, timeoutMs: 600, cacheTtlMs: CACHE_MS };
    config["negativeTtlMs"] = CACHE_MS;
    config["identity"] = { ...(config["identity"] as object), revocationFile };
    config["assertions"] = { issuer: "https://gw.example.com", keys: [{ kid: "a1", file: "keys/assertion.pem" }] };
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const pem = privateKey.export({ type: "pkcs8", format: "pem" });
    writeFileSync(join(folder, "keys/assertion.pem"), pem, { mode: 0o600 });
    const own = { vault: { mount: "secret", path: "{username}/{server}" } };
    const { demo } = config["servers"] as { demo: { url: string } };
    const server = (url: string, ...credential: object[]) => ({ url, callRouting: "direct", credential });
    config["servers"] = {
      demo: server(demo.url, own),
      other: {
        ...server(other.url, { vault: { ...own.vault, header: "x-api-key", scheme: "" } }),
        headers: { "x-who": "{username}" },
      },
      strict: { ...server(strict.url, own), callRouting: "broker" },
      leased: server(other.url, {
        vault: {
          mount: "rabbit",
          path: "creds/app",
          dynamic: { idleSeconds: 2 },
          headers: [
            { name: "x-user", field: "username", scheme: "" },
            { name: "x-password", field: "password", scheme: "" },
          ],
        },
      }),
      named: server(other.url, { assertion: { audience: "intranet" } }),
      mixed: server(demo.url, own, { static: { file: "secrets/demo" } }),
    };
  }

  const call = (who: string, server: string) =>
    legacy(
      lab.gateway,
      "tools/call",
      { name: "whoami", arguments: {} },
      { token: tokens[who] ?? "", path: `/servers/${server}/mcp` },
    );
  const shown = (reply: Reply) => [reply.status, reasonOf(reply)];
  const refused = async (who: string, server: string) => shown(await call(who, server));
  /** The last line of the audit log; that of a refusal may come after the answer. */
  const audited = (expected: object) =>
    vi.waitFor(() => {
      const last = readFileSync(lab.auditFile, "utf8").trim().split("\n").at(-1) ?? "";
      expect(JSON.parse(last)).toMatchObject(expected);
    }, SHORT);
  const forgotten = () => new Promise((done) => setTimeout(done, CACHE_MS * 1.1 + 50));

  it("P2.4-1, P2.4-3: alice's call arrives with her own credential for this server, in its header", async () => {
    await call("alice", "demo");
    expect(lab.demo.arrivals.at(-1)?.headers.authorization).toBe(`Bearer ${PATS.demo}`);
    expect(JSON.stringify(lab.demo.arrivals.at(-1))).not.toContain(tokens["alice"]);
    const read = { credential: "vault", credential_path: "secret/alice/demo", credential_version: 1 };
    await audited({ decision: "allow", subject: "alice", server: "demo", ...read });
  });

  it("MS-09: the credential of one server reaches no other", async () => {
    await call("alice", "other");
    const headers = other.arrivals.at(-1)?.headers;
    const seen = [headers?.["x-api-key"], headers?.authorization, headers?.["x-who"]];
    expect(seen).toEqual([PATS.other, undefined, "alice"]);
    expect(JSON.stringify(other.arrivals)).not.toContain(PATS.demo);
    expect(JSON.stringify(lab.demo.arrivals)).not.toContain(PATS.other);
  });

  it("P7.2-3: a server gets a secret that was made for this caller; it ends when nobody calls", async () => {
    const arrived = () => other.arrivals.at(-1)?.headers;
    expect((await call("alice", "leased")).status).toBe(200);
    const first = [arrived()?.["x-user"], arrived()?.["x-password"]];
    expect([[...rabbit.users], arrived()?.authorization]).toEqual([[first[0]], undefined]);
    await audited({ decision: "allow", credential: "vault", credential_path: "rabbit/creds/app" });
    expect((await call("alice", "leased")).status).toBe(200);
    expect([arrived()?.["x-user"], arrived()?.["x-password"]]).toEqual(first);
    const metrics = async () => (await fetch(`http://127.0.0.1:${ports.ops}/metrics`)).text();
    expect(await metrics()).toMatch(/^mcp_authz_vault_leases 1$/m);
    await vi.waitFor(() => expect([...rabbit.users]).toEqual([]), SHORT);
    expect(await metrics()).toMatch(/^mcp_authz_vault_leases_total\{event="revoked"\} 1$/m);
    const written = readFileSync(lab.auditFile, "utf8") + (await metrics());
    expect(written).not.toContain(first[1]);
  });

  it("CL-04: an entry that has found nothing for anybody is named while the next one serves everybody", async () => {
    const ops = async (path: string) => (await fetch(`http://127.0.0.1:${ports.ops}${path}`)).text();
    const told = async () => (JSON.parse(await ops("/readyz")) as { credentials: object }).credentials;
    expect(await told()).toEqual({ neverFound: [] });
    for (let i = 0; i < 20; i += 1) expect((await call("alice", "mixed")).status).toBe(200);
    expect(await told()).toEqual({ neverFound: ["servers.mixed.credential[0]"] });
    expect(await ops("/metrics")).toContain(
      'mcp_authz_credential_never_found{entry="servers.mixed.credential[0]"} 1\n',
    );
    await vault.put("alice/mixed", { token: PATS.demo });
    await forgotten();
    await call("alice", "mixed");
    expect(await told()).toEqual({ neverFound: [] });
    expect(await ops("/metrics")).not.toContain("mcp_authz_credential_never_found{");
    await vault.api("DELETE", "secret/metadata/alice/mixed");
    await forgotten();
  });

  it("CF-16: a server is told who calls, in words that it can verify with our published keys", async () => {
    expect((await call("alice", "named")).status).toBe(200);
    const said = String(other.arrivals.at(-1)?.headers.authorization).replace("Bearer ", "");
    const keySet = createRemoteJWKSet(new URL(`http://127.0.0.1:${ports.ops}/.well-known/assertion-jwks.json`));
    const { payload } = await jwtVerify(said, keySet, { issuer: "https://gw.example.com", audience: "intranet" });
    expect([payload.sub, payload["idp"], (payload.exp ?? 0) - (payload.iat ?? 0)]).toEqual([
      "alice",
      lab.idp.issuer,
      60,
    ]);
    const wristbandKeys = await (await fetch(`http://127.0.0.1:${ports.ops}/.well-known/jwks.json`)).text();
    expect(wristbandKeys).not.toContain("a1");
    await audited({ decision: "allow", credential: "assertion", credential_audience: "intranet" });
  });

  it("P2.4-2: bob has none and does not get alice's", async () => {
    await call("alice", "demo");
    const before = lab.demo.arrivals.length;
    expect(await refused("bob", "demo")).toEqual([403, "credential_missing"]);
    expect(lab.demo.arrivals).toHaveLength(before);
    await audited({ decision: "deny", reason: "credential_missing", credential: null });
  });

  it("P2.4-4: who has none gets the next kind of the chain; while nobody can tell, he gets nothing", async () => {
    await call("bob", "mixed");
    expect(lab.demo.arrivals.at(-1)?.headers.authorization).toBe(`Bearer ${DEMO_CREDENTIAL}`);
    await audited({ decision: "allow", credential: "static" });
    await forgotten();
    await vault.seal();
    const before = lab.demo.arrivals.length;
    expect(await refused("bob", "mixed")).toEqual([503, "credential_unavailable"]);
    expect(lab.demo.arrivals).toHaveLength(before);
    await audited({
      decision: "fail",
      reason: "credential_unavailable",
      detail: expect.stringContaining("vault: status 503") as string,
    });
    await vault.unseal();
    await vi.waitFor(async () => expect(await refused("bob", "mixed")).toEqual([200, undefined]), SHORT);
  });

  it("P2.4-5, P2.4-6: a new version is used, and audited, once the old one is forgotten", async () => {
    await call("alice", "demo");
    await vault.put("alice/demo", { token: `${PATS.demo}-2` });
    await forgotten();
    await call("alice", "demo");
    expect(lab.demo.arrivals.at(-1)?.headers.authorization).toBe(`Bearer ${PATS.demo}-2`);
    await audited({ credential_path: "secret/alice/demo", credential_version: 2 });
  });

  it("P2.4-5: a server that refuses the old version gets the new one within the same call, and each later call has it", async () => {
    const metrics = async () => (await fetch(`http://127.0.0.1:${ports.ops}/metrics`)).text();
    const renewed = async () => Number(/refetches_total\{result="renewed"\} (\d+)/.exec(await metrics())?.[1]);
    // What was kept may end between two steps of a slow machine: then there was nothing to refetch.
    for (let i = 1; i <= 5 && !((await renewed()) > 0); i += 1) {
      await vault.put("alice/strict", { token: (taken = `${PATS.demo}-${i}a`) });
      await forgotten();
      expect(await refused("alice", "strict")).toEqual([200, undefined]);
      await vault.put("alice/strict", { token: (taken = `${PATS.demo}-${i}b`) });
      expect(await refused("alice", "strict")).toEqual([200, undefined]);
    }
    expect(await renewed()).toBeGreaterThan(0);
    await audited({
      decision: "allow",
      subject: "alice",
      server: "strict",
      detail: expect.stringContaining("anew") as string,
    });
    const before = strict.requests.length;
    expect(await refused("alice", "strict")).toEqual([200, undefined]);
    expect(strict.requests).toHaveLength(before + 1);
  });

  it("G18: once alice is revoked, what was kept for her is gone: her next log-in reads the Vault anew", async () => {
    await forgotten();
    await call("alice", "demo");
    await vault.put("alice/demo", { token: `${PATS.demo}-3` });
    const line = { iss: lab.idp.issuer, sub: "alice", before: Math.floor(Date.now() / 1000) };
    appendFileSync(revocationFile, `${JSON.stringify(line)}\n`);
    lab.children.serve.kill("SIGHUP"); // well within the time for which it would have been kept
    await vi.waitFor(async () => expect((await call("alice", "demo")).status).toBe(401), {
      timeout: SHORT,
      interval: 20,
    });
    tokens["alice"] = await lab.idp.mint("alice");
    await call("alice", "demo");
    expect(lab.demo.arrivals.at(-1)?.headers.authorization).toBe(`Bearer ${PATS.demo}-3`);
  });

  it("N01: a Vault that hangs: what is kept is used for its time, then 503; it heals within five seconds", async () => {
    await forgotten();
    await vi.waitFor(async () => expect(await refused("alice", "demo")).toEqual([200, undefined]), SHORT);
    vault.child.kill("SIGSTOP");
    try {
      expect(await refused("alice", "demo")).toEqual([200, undefined]);
      await forgotten();
      expect(await refused("alice", "demo")).toEqual([503, "credential_unavailable"]);
    } finally {
      vault.child.kill("SIGCONT");
    }
    await vi.waitFor(async () => expect(await refused("alice", "demo")).toEqual([200, undefined]), SHORT);
  });

  it("N01: a Vault that is away when serve starts: ready and 503; it heals, with new log-ins, when it comes", async () => {
    await vault.stop();
    await lab.restartServe();
    await vi.waitFor(
      async () => expect(await refused("alice", "demo")).toEqual([503, "credential_unavailable"]),
      SHORT,
    );
    await vault.restart();
    await vi.waitFor(async () => expect(await refused("alice", "demo")).toEqual([200, undefined]), SHORT);
    // All its tokens are of another life after this.
    await vault.restart();
    await forgotten();
    await vi.waitFor(async () => expect(await refused("alice", "demo")).toEqual([200, undefined]), SHORT);
    expect(lab.children.serve.output()).toContain("vault_login_failed");
  });

  it("why asks the Vault only when it is told to, and never shows what it found", async () => {
    const why = async (who: string, server: string, ...more: string[]) => {
      const tokenFile = join(folder, `${who}.token`);
      writeFileSync(tokenFile, tokens[who] ?? "", { mode: 0o600 });
      const program = resolve(import.meta.dirname, "../../src/cli/mcp-authz.ts");
      const args = [
        "why",
        "--config",
        lab.configFile,
        "--token-file",
        tokenFile,
        "--server",
        server,
        "--tool",
        "whoami",
      ];
      // Not at once: the IdP that it asks for keys runs in this process.
      return new Promise<{ status: number; first: string | undefined; stdout: string }>((done) => {
        execFile(process.execPath, [program, ...args, ...more], (error, stdout, stderr) => {
          for (const secret of [...Object.values(PATS), vault.secretId, DEMO_CREDENTIAL])
            expect(stdout + stderr).not.toContain(secret);
          const status = typeof error?.code === "number" ? error.code : 0;
          done({ status, first: stdout.split("\n")[0], stdout });
        });
      });
    };
    const silent = await why("alice", "demo");
    expect([silent.status, silent.first]).toEqual([0, "allow"]);
    expect(silent.stdout).toContain("vault: not asked, would read secret/{username}/{server}, field token");
    const bob = await why("bob", "mixed", "--credentials");
    expect(bob.stdout).toMatch(/vault: has none, .*\n.*static: found, goes into the header authorization/);
    await vault.seal();
    const away = await why("alice", "demo", "--credentials");
    await vault.unseal();
    expect([away.status, away.first]).toEqual([2, "refuse credential_unavailable"]);
  }, 120_000);

  it("a new secret id in its file counts at the next log-in, without a restart", async () => {
    const role = "auth/approle/role/mcp-authz";
    await vault.api("POST", `${role}/secret-id/destroy`, { secret_id: vault.secretId });
    await vault.api("POST", `${role}/custom-secret-id`, { secret_id: NEW_SECRET_ID });
    await revokeLogins();
    await forgotten();
    const refusedLogIn = () => expect(lab.children.serve.output()).toContain("vault_login_refused");
    expect(await refused("alice", "demo")).toEqual([503, "credential_unavailable"]);
    await vi.waitFor(refusedLogIn, SHORT);
    writeFileSync(vault.secretIdFile, `${NEW_SECRET_ID}\n`, { mode: 0o600 });
    await vi.waitFor(async () => expect(await refused("alice", "demo")).toEqual([200, undefined]), SHORT);
  });

  async function revokeLogins(): Promise<void> {
    const { body } = await vault.api("LIST", "auth/token/accessors");
    for (const accessor of (body as { data: { keys: string[] } }).data.keys) {
      const { body: found } = await vault.api("POST", "auth/token/lookup-accessor", { accessor });
      if ((found as { data?: { display_name?: string } }).data?.display_name === "approle")
        await vault.api("POST", "auth/token/revoke-accessor", { accessor });
    }
  }

  it("counts look-ups, log-ins and the cache", async () => {
    const metrics = await (await fetch(`http://127.0.0.1:${ports.ops}/metrics`)).text();
    for (const line of [
      /^mcp_authz_vault_reads_total\{outcome="ok"\} [1-9]/m,
      /^mcp_authz_vault_reads_total\{outcome="not_owner"\} 0/m,
      /^mcp_authz_vault_logins_total\{result="failed"\} [1-9]/m,
      /^mcp_authz_vault_last_login_ok 1/m,
      /^mcp_authz_cache_requests_total\{cache="credential",result="miss"\} [1-9]/m,
      /^mcp_authz_step_seconds_count\{step="vault"\} [1-9]/m,
    ])
      expect(metrics).toMatch(line);
  });

  it("P6: no credential, role id or secret id stands in any log", () => {
    const logs = ["serve.log", "broker.log", "envoy.log", "audit.jsonl"]
      .map((name) => readFileSync(join(folder, "logs", name), "utf8"))
      .join("\n");
    for (const secret of [...Object.values(PATS), vault.roleId, vault.secretId, NEW_SECRET_ID, DEMO_CREDENTIAL]) {
      for (const form of [secret, Buffer.from(secret).toString("base64"), Buffer.from(secret).toString("hex")]) {
        expect(logs).not.toContain(form);
      }
    }
  });
});
