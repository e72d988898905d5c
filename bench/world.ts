// What the targets share: a folder, an issuer with one caller, and a way to start our own processes.
import { spawn, type ChildProcess } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { stringify } from "yaml";
import { compact, makeKey, startIssuer, type FakeIssuer } from "../test/fakes/issuer.ts";
import { freePorts } from "../demo/ports.ts";

const ROOT = resolve(import.meta.dirname, "..");
const START_MS = 20_000;
export const ORIGIN = "http://127.0.0.1:8080";

export interface World {
  /** Holds configurations and secrets. */
  readonly folder: string;
  /** Alice's access token. */
  readonly token: string;
  /** Starts one of our own programs. */
  spawn(args: readonly string[]): ChildProcess;
  /** A token of the issuer, whose keys the broker takes for those of `serve`. */
  sign(typ: string, claims: object): string;
  /** Starts one of the services; resolves when it is ready. @param config laid over ours, at the top level and in `listen` */
  start(
    service: "serve" | "broker",
    config?: Readonly<Record<string, unknown>> & { readonly listen?: object },
  ): Promise<{ readonly child: ChildProcess; readonly address: string }>;
  /** Has a program of somebody else ended with ours. */
  adopt(child: ChildProcess): void;
  close(): Promise<void>;
}

export async function createWorld(): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), "mcp-authz-bench-"));
  const key = makeKey("k1");
  const issuer = await startIssuer(key);
  writeSecrets(folder);
  const children: ChildProcess[] = [];
  const startChild = (args: readonly string[]) => {
    const child = spawn(process.execPath, [...args], { stdio: ["ignore", "pipe", "inherit"], cwd: ROOT });
    children.push(child);
    return child;
  };
  const sign = (typ: string, claims: object) => compact(key, { alg: "ES256", typ, kid: key.kid }, claims);
  return {
    folder,
    token: sign("at+jwt", aliceClaims(issuer.issuer)),
    sign,
    spawn: startChild,
    adopt: (child) => void children.push(child),
    async start(service, config = {}) {
      const ports = await freePorts();
      const file = join(folder, `mcp-authz-${children.length}.yaml`);
      const base = configuration(issuer, ports, children.length);
      writeFileSync(file, stringify({ ...base, ...config, listen: { ...base.listen, ...config.listen } }));
      const child = startChild(["src/cli/mcp-authz.ts", service, "--config", file]);
      const [port, ops] = service === "serve" ? [ports.authz, ports.ops] : [ports.broker, ports.brokerOps];
      await waitUntilOk(child, `http://127.0.0.1:${ops}/readyz`);
      return { child, address: `127.0.0.1:${port}` };
    },
    async close() {
      for (const child of children) child.kill();
      await Promise.all(children.map(async (child) => child.exitCode ?? child.signalCode ?? once(child, "exit")));
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

function configuration({ issuer }: FakeIssuer, ports: Awaited<ReturnType<typeof freePorts>>, number: number) {
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
    wristband: { issuer: ORIGIN, keys: [{ kid: "w", file: "keys/w.pem" }], jwksUrl: `${issuer}/jwks` },
    servers: {
      demo: { url: "http://127.0.0.1:1/mcp", callRouting: "direct", credential: [{ static: { file: "pat" } }] },
    },
  };
}

export function aliceClaims(issuer: string): object {
  const now = Math.floor(Date.now() / 1000);
  return {
    iss: issuer,
    aud: "gateway",
    sub: "alice",
    exp: now + 3600,
    iat: now,
    groups: ["engineering"],
    scope: "mcp:read mcp:write",
    preferred_username: "alice",
  };
}

/** The first line that a child prints. */
export function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((done) => child.stdout?.once("data", (data: Buffer) => done(data.toString().trim())));
}

export async function waitUntilOk(child: ChildProcess, url: string): Promise<void> {
  const end = Date.now() + START_MS;
  for (;;) {
    const ok = await fetch(url).then(
      (response) => response.ok,
      () => false,
    );
    if (ok) return;
    if (child.exitCode !== null || Date.now() > end) throw new Error(`${url} does not answer 200`);
    await delay(50);
  }
}
