// What the variants share: a folder, an issuer with 500 callers, 200 tools on four servers, grants for 20 groups. I/O.
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { compact, makeKey, startIssuer, type FakeIssuer, type TestKey } from "../test/fakes/issuer.ts";
import { freePorts } from "../demo/ports.ts";
import type { Cores } from "./machine.ts";
import { Processes } from "./processes.ts";

export const ORIGIN = "http://127.0.0.1:8080";
export const AUDIENCE = "gateway";
export const USERS = 500;
const SERVERS = 4;
const TOOLS = 200;
const GROUPS = 20;
/** The callers are in two of the groups, which have 20 tools. */
export const GRANTED = 20;
const GROUPS_OF_CALLER = ["dev", "ops"];
const TOKEN_SECONDS = 12 * 3600;

export interface Tool {
  readonly server: string;
  readonly name: string;
}

export const SERVER_NAMES: readonly string[] = Array.from({ length: SERVERS }, (_, i) => `s${i}`);
export const ALL_TOOLS: readonly Tool[] = Array.from({ length: TOOLS }, (_, i) => ({
  server: `s${i % SERVERS}`,
  name: `tool_${i}`,
}));

/** By group: ten tools each. */
export const GRANTS: Readonly<Record<string, readonly Tool[]>> = Object.fromEntries(
  Array.from({ length: GROUPS }, (_, i) => [
    GROUPS_OF_CALLER[i] ?? `group${i}`,
    ALL_TOOLS.slice((i * TOOLS) / GROUPS, ((i + 1) * TOOLS) / GROUPS),
  ]),
);

export interface World {
  /** Holds configurations and secrets. */
  readonly folder: string;
  readonly issuer: string;
  readonly key: TestKey;
  readonly processes: Processes;
  /** One access token for each caller. */
  readonly tokens: readonly string[];
  /** So many further tokens, none like another. */
  newTokens(count: number, more?: object): readonly string[];
  /** Tokens of so many callers, by a key that signs quickly. */
  manyCallers(count: number): readonly string[];
  readonly bandKey: TestKey;
  /** A wristband, by `bandKey`. */
  signBand(typ: string, claims: object): string;
  /** Answers every request with this text, from the generator's process. @returns `host:port` */
  answer(body: string): Promise<string>;
  onClose(close: () => Promise<void>): void;
  close(): Promise<void>;
}

export async function createWorld(cores: Cores): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), "mcp-authz-bench-"));
  const key = makeKey("k1", "RS256");
  const [bandKey, quickKey] = [makeKey("w1"), makeKey("k2")];
  const issuer = await startIssuer(key, quickKey);
  writeFiles(folder);
  const processes = new Processes(cores, join(folder, "log"));
  const closing: (() => Promise<void>)[] = [];
  const [token, quick] = [tokenMaker(issuer, key), tokenMaker(issuer, quickKey)];
  return {
    folder,
    issuer: issuer.issuer,
    key,
    bandKey,
    processes,
    tokens: Array.from({ length: USERS }, (_, i) => token(i, {})),
    newTokens: (count, more) => Array.from({ length: count }, (_, i) => token(i % USERS, { jti: `new-${i}`, ...more })),
    manyCallers: (count) => Array.from({ length: count }, (_, i) => quick(i, {})),
    signBand: (typ, claims) => compact(bandKey, { alg: "ES256", typ, kid: bandKey.kid }, claims),
    answer: (body) => answering(body, closing),
    onClose: (close) => void closing.push(close),
    async close() {
      await processes.close();
      for (const close of closing) await close();
      await issuer.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function tokenMaker({ issuer }: FakeIssuer, key: TestKey): (user: number, more: object) => string {
  const now = Math.floor(Date.now() / 1000);
  const common = { iss: issuer, aud: AUDIENCE, iat: now, exp: now + TOKEN_SECONDS, azp: "agent-7" };
  const rights = { groups: GROUPS_OF_CALLER, scope: "tools:read tools:call" };
  const header = { alg: key.alg, typ: "at+jwt", kid: key.kid };
  return (user, more) =>
    compact(key, header, { ...common, ...rights, sub: `user-${user}`, preferred_username: `user-${user}`, ...more });
}

function writeFiles(folder: string): void {
  mkdirSync(join(folder, "keys"));
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(join(folder, "keys/w.pem"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  writeFileSync(join(folder, "pat"), "upstream-credential", { mode: 0o600 });
}

async function answering(body: string, closing: (() => Promise<void>)[]): Promise<string> {
  const server = createServer((_, response) => response.setHeader("content-type", "application/json").end(body));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  closing.push(() => closed(server));
  const address = server.address();
  return `127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
}

function closed(server: Server): Promise<void> {
  return new Promise((done) => {
    server.closeAllConnections();
    server.close(() => done());
  });
}

/** Writes a configuration of ours with free ports. @param config laid over it, at the top level and in `listen` */
export async function writeConfig(
  world: World,
  config: Readonly<Record<string, unknown>> & { readonly listen?: object },
) {
  const ports = await freePorts();
  const local = (port: number) => `127.0.0.1:${port}`;
  const [authz, ops, broker, brokerOps] = [ports.authz, ports.ops, ports.broker, ports.brokerOps].map(local);
  const base = {
    publicOrigin: ORIGIN,
    audit: { file: `audit-${ports.authz}.jsonl` },
    identity: { issuers: [{ issuer: world.issuer, audiences: [AUDIENCE], algorithms: ["RS256", "ES256"] }] },
    policy: { path: "policy" },
    wristband: { issuer: ORIGIN, keys: [{ kid: "w", file: "keys/w.pem" }] },
  };
  const file = join(world.folder, `mcp-authz-${ports.authz}.yaml`);
  writeFileSync(file, stringify({ ...base, ...config, listen: { authz, ops, broker, brokerOps, ...config.listen } }));
  return {
    file,
    authz: `127.0.0.1:${ports.authz}`,
    ops: `127.0.0.1:${ports.ops}`,
    broker: `127.0.0.1:${ports.broker}`,
    brokerOps: `127.0.0.1:${ports.brokerOps}`,
  };
}
