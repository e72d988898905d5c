import type { ChildProcess } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { stringify } from "yaml";
import { compact, makeKey, startIssuer, type FakeIssuer } from "../test/fakes/issuer.ts";
import { freePorts } from "../demo/ports.ts";
import { startChild, waitUntilOk } from "./process.ts";

const ROOT = resolve(import.meta.dirname, "..");
const ORIGIN = "http://127.0.0.1:8080";

/** What the targets share: a folder, an issuer with one caller, and a way to start our own processes. */
export interface World {
  /** Where configurations and secrets are. */
  readonly folder: string;
  /** Alice's access token. */
  readonly token: string;
  /** Starts one of our own programs. */
  spawn(args: readonly string[]): ChildProcess;
  /** Starts `serve` with the demo's policy; resolves when it is ready. */
  startServe(options?: ServeOptions): Promise<{ readonly child: ChildProcess; readonly address: string }>;
  close(): Promise<void>;
}

export interface ServeOptions {
  /** Laid over the configuration, deep at the top level only. */
  readonly config?: Readonly<Record<string, unknown>>;
}

export async function createWorld(): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), "mcp-authz-bench-"));
  const key = makeKey("k1");
  const issuer = await startIssuer(key);
  writeSecrets(folder);
  const children: ChildProcess[] = [];
  const spawn = (args: readonly string[]) => {
    const child = startChild(args, ROOT);
    children.push(child);
    return child;
  };
  return {
    folder,
    token: aliceToken(issuer.issuer, key),
    spawn,
    async startServe({ config = {} } = {}) {
      const ports = await freePorts();
      const file = join(folder, `mcp-authz-${children.length}.yaml`);
      writeFileSync(file, stringify({ ...configuration(issuer, ports, children.length), ...config }));
      const child = spawn(["src/cli/mcp-authz.ts", "serve", "--config", file]);
      await waitUntilOk(child, `http://127.0.0.1:${ports.ops}/readyz`);
      return { child, address: `127.0.0.1:${ports.authz}` };
    },
    async close() {
      for (const child of children) child.kill();
      await issuer.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function writeSecrets(folder: string): void {
  mkdirSync(join(folder, "keys"));
  const pem = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" });
  writeFileSync(join(folder, "keys/w.pem"), pem, { mode: 0o600 });
  writeFileSync(join(folder, "pat"), "upstream-credential", { mode: 0o600 });
}

function configuration({ issuer }: FakeIssuer, ports: Awaited<ReturnType<typeof freePorts>>, number: number): object {
  const local = (port: number) => `127.0.0.1:${port}`;
  return {
    publicOrigin: ORIGIN,
    listen: {
      authz: local(ports.authz),
      ops: local(ports.ops),
      broker: local(ports.broker),
      brokerOps: local(ports.brokerOps),
    },
    audit: { file: `audit-${number}.jsonl` },
    identity: { issuers: [{ issuer, audiences: ["gateway"], algorithms: ["ES256"] }] },
    policy: { path: join(ROOT, "policies/demo") },
    wristband: { issuer: ORIGIN, keys: [{ kid: "w", file: "keys/w.pem" }] },
    servers: {
      demo: { url: "http://127.0.0.1:1/mcp", callRouting: "direct", credential: [{ static: { file: "pat" } }] },
    },
  };
}

function aliceToken(issuer: string, key: ReturnType<typeof makeKey>): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: issuer,
    aud: "gateway",
    sub: "alice",
    exp: now + 3600,
    iat: now,
    groups: ["engineering"],
    scope: "mcp:read mcp:write",
    preferred_username: "alice",
  };
  return compact(key, { alg: "ES256", typ: "at+jwt", kid: "k1" }, claims);
}
