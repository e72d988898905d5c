// The whole system on loopback, as real processes: an OIDC provider, MCP servers, `mcp-authz serve` and `broker`, and
// Envoy with the configuration that we print for it. `npm start` and the end-to-end tests use the same one.
import { execFileSync } from "node:child_process";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parse, stringify } from "yaml";
import { requireTool } from "../src/files/program.ts";
import { logPath, startChild, waitReady, type Child } from "./child.ts";
import { startDemoServer, type DemoServer, type DemoServerOptions } from "./demo-server.ts";
import { startIdp, type Idp } from "./idp.ts";
import type { Ports } from "./ports.ts";
import { known } from "./server-gate.ts";
import {
  ALICE_PAT,
  DEMO_EXCHANGE_SECRET,
  demoUrl,
  DISCOVERY_CREDENTIAL,
  exchangeOptions,
  startWorld,
  tokenKeys,
  worldConfig,
  type World,
} from "./world.ts";

const ROOT = resolve(import.meta.dirname, "..");
const MCP_AUTHZ = join(ROOT, "src/cli/mcp-authz.ts");
const TOKEN_HOURS = 8;
export const DEMO_CREDENTIAL = "demo-credential-of-the-gateway";

export interface LabOptions {
  /** Where configuration, keys, sockets and logs go. */
  readonly folder: string;
  readonly ports: Ports;
  /** The policy folder to use as it is (live edits), or null for a copy of the demo's in `folder`. */
  readonly policyFolder: string | null;
  /** Told what is being started, for people. */
  readonly progress: (line: string) => void;
  /** True: the whole demo, with OpenBao, token exchange and four servers. Else one server and a static credential. */
  readonly world?: boolean;
  /** Further credentials that the server "demo" serves, or that it serves whoever comes. */
  readonly alsoKnown?: readonly string[] | "everybody";
  /** Added to the environment of `serve`. */
  readonly serveEnv?: Readonly<Record<string, string>>;
  /** Added to the environment of `broker`. */
  readonly brokerEnv?: Readonly<Record<string, string>>;
  /** True: Envoy follows the files of `xds` in `folder`. */
  readonly envoyXds?: boolean;
  /** Envoy's worker threads; default 1. */
  readonly envoyConcurrency?: number;
  /** Changes to the printed configuration of Envoy; not with `envoyXds`. */
  readonly editEnvoy?: (printed: Record<string, unknown>) => void;
  /** Changes to the configuration, deep at the top level only. */
  readonly config?: (config: Record<string, unknown>) => void;
}

export interface Lab {
  /** The public origin. */
  readonly gateway: string;
  readonly folder: string;
  readonly configFile: string;
  readonly policyFolder: string;
  readonly idp: Idp;
  readonly demo: DemoServer;
  readonly world: World | null;
  readonly children: { readonly serve: Child; readonly broker: Child; readonly envoy: Child };
  readonly auditFile: string;
  /** Ends `serve` and starts it anew. */
  restartServe(): Promise<void>;
  /** Ends the broker, if it still runs, and starts it anew. */
  restartBroker(): Promise<void>;
  stop(): Promise<void>;
}

export async function startLab(options: LabOptions): Promise<Lab> {
  const { folder, ports, progress } = options;
  const processes = new GatewayProcesses(options);
  for (const name of ["run", "keys", "secrets"]) mkdirSync(join(folder, name), { recursive: true });
  const gateway = `http://127.0.0.1:${ports.gateway}`;
  const policyFolder = options.policyFolder ?? join(folder, "policies");
  if (options.policyFolder === null) cpSync(join(ROOT, "policies/demo"), policyFolder, { recursive: true });
  progress(`OIDC provider           http://127.0.0.1:${ports.idp}`);
  const exchange = exchangeOptions(ports);
  const idp = await startIdp({ port: ports.idp, gateway, ttlSeconds: TOKEN_HOURS * 3600, exchange });
  progress(`MCP server "demo"       http://127.0.0.1:${ports.demo}/mcp`);
  const demo = await startDemoServer(ports.demo, servedBy(options));
  writeSecrets(folder);
  let world: World | null = null;
  const stop = async () => {
    await processes.stop();
    await Promise.all([demo.close(), idp.close(), world?.stop()]);
  };
  try {
    if (options.world === true) world = await startWorld({ folder, ports, progress });
    const config = configuration({ folder, ports, policyFolder }, { gateway, issuer: idp.issuer, demo: demo.url });
    if (world !== null) Object.assign(config, worldConfig(world, ports, idp.tokenEndpoint));
    options.config?.(config);
    writeFileSync(processes.configFile, stringify(config));
    await processes.start();
    await untilListable(ports);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    gateway,
    folder,
    configFile: processes.configFile,
    policyFolder,
    idp,
    demo,
    world,
    children: processes.children(),
    auditFile: logPath(folder, "audit.jsonl"),
    restartServe: () => processes.restart("serve"),
    restartBroker: () => processes.restart("broker"),
    stop,
  };
}

/** Whom the server "demo" serves. */
function servedBy({ ports, alsoKnown = [] }: LabOptions): DemoServerOptions {
  if (alsoKnown === "everybody") return {};
  const accepted = known(DEMO_CREDENTIAL, ALICE_PAT, DISCOVERY_CREDENTIAL, ...alsoKnown);
  return { serves: { known: accepted, tokens: { audience: demoUrl(ports), keys: tokenKeys(ports) } } };
}

type ProcessName = keyof Lab["children"];

/** `mcp-authz serve` and `broker`, and Envoy with the configuration that we print for it. */
class GatewayProcesses {
  readonly configFile: string;
  readonly #options: LabOptions;
  readonly #envoyBinary = requireTool("envoy");
  /** Oldest first. */
  readonly #running = new Map<ProcessName, Child>();

  constructor(options: LabOptions) {
    this.#options = options;
    this.configFile = join(options.folder, "mcp-authz.yaml");
  }

  /** By the configuration of `configFile`. */
  async start(): Promise<void> {
    const { ports, progress } = this.#options;
    progress(`mcp-authz serve         127.0.0.1:${ports.authz} (gRPC)`);
    await this.#launch("serve");
    progress(`mcp-authz broker        127.0.0.1:${ports.broker}`);
    await this.#launch("broker");
    progress(`Envoy                   http://127.0.0.1:${ports.gateway}`);
    await this.#launch("envoy");
  }

  async restart(name: ProcessName): Promise<void> {
    await this.#of(name).stop();
    this.#running.delete(name);
    await this.#launch(name);
  }

  async stop(): Promise<void> {
    for (const child of [...this.#running.values()].toReversed()) await child.stop();
  }

  /** Each as it runs now, after a restart too. */
  children(): Lab["children"] {
    const of = (name: ProcessName) => this.#of(name);
    return {
      get serve() {
        return of("serve");
      },
      get broker() {
        return of("broker");
      },
      get envoy() {
        return of("envoy");
      },
    };
  }

  #of(name: ProcessName): Child {
    const child = this.#running.get(name);
    if (child === undefined) throw new Error(`${name} was never started`);
    return child;
  }

  async #launch(name: ProcessName): Promise<void> {
    const { folder, ports, serveEnv, brokerEnv } = this.#options;
    const env = { serve: serveEnv, broker: brokerEnv, envoy: undefined }[name] ?? {};
    const logFile = logPath(folder, `${name}.log`);
    const child = startChild({ name, ...this.#commandOf(name), cwd: folder, logFile, env });
    this.#running.set(name, child);
    const ready = {
      serve: `http://127.0.0.1:${ports.ops}/readyz`,
      broker: `http://127.0.0.1:${ports.brokerOps}/readyz`,
      envoy: `http://127.0.0.1:${ports.envoyOps}/ready`,
    };
    await waitReady(child, ready[name]);
  }

  #commandOf(name: ProcessName): { readonly command: string; readonly args: readonly string[] } {
    if (name !== "envoy") return { command: process.execPath, args: [MCP_AUTHZ, name, "--config", this.configFile] };
    const { folder, envoyConcurrency, envoyXds = false, editEnvoy } = this.#options;
    const xds = join(folder, "xds");
    const printed = envoyConfig(this.configFile, envoyXds ? ["--xds", xds] : []);
    const envoyFile = envoyXds ? join(xds, "envoy.json") : join(folder, "envoy.yaml");
    if (!envoyXds) writeFileSync(envoyFile, editEnvoy === undefined ? printed : edited(printed, editEnvoy));
    const flags = ["--use-dynamic-base-id", "--concurrency", String(envoyConcurrency ?? 1), "--log-level", "warn"];
    if (envoyXds) flags.push("--reject-unknown-dynamic-fields");
    return { command: this.#envoyBinary, args: ["-c", envoyFile, ...flags] };
  }
}

const LISTABLE_MS = 3000;

/** serve looks for the broker's catalogue once a second, and refuses lists before it has it. */
export async function untilListable({ ops }: Pick<Ports, "ops">): Promise<void> {
  const end = Date.now() + LISTABLE_MS;
  while (Date.now() < end) {
    const response = await fetch(`http://127.0.0.1:${ops}/readyz`);
    const { catalog } = (await response.json()) as { catalog: { ageSeconds: number | null } };
    if (catalog.ageSeconds !== null) return;
    await delay(50);
  }
}

function writeSecrets(folder: string): void {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(join(folder, "keys/wristband.pem"), privateKey.export({ type: "pkcs8", format: "pem" }), {
    mode: 0o600,
  });
  writeFileSync(join(folder, "keys/session.key"), randomBytes(32), { mode: 0o600 });
  writeFileSync(join(folder, "secrets/demo"), `${DEMO_CREDENTIAL}\n`, { mode: 0o600 });
  writeFileSync(join(folder, "secrets/exchange"), DEMO_EXCHANGE_SECRET, { mode: 0o600 });
}

/** Printed by our own command, as an operator would do it. */
function envoyConfig(configFile: string, flags: readonly string[]): string {
  const args = [MCP_AUTHZ, "envoy-config", "--config", configFile, ...flags];
  return execFileSync(process.execPath, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}

function edited(printed: string, edit: (printed: Record<string, unknown>) => void): string {
  const config = parse(printed) as Record<string, unknown>;
  edit(config);
  return stringify(config);
}

/** Where the gateway's files are, and what it listens at. */
interface Place {
  readonly folder: string;
  readonly policyFolder: string;
  readonly ports: Ports;
}

/** URLs of the gateway itself, its issuer and its server. */
interface Origins {
  readonly gateway: string;
  readonly issuer: string;
  readonly demo: string;
}

function configuration(
  { folder, policyFolder, ports }: Place,
  { gateway, issuer, demo }: Origins,
): Record<string, unknown> {
  const local = (port: number) => `127.0.0.1:${port}`;
  const credential = [{ static: { file: "secrets/demo" } }];
  return {
    publicOrigin: gateway,
    hosts: ["localhost"],
    listen: {
      authz: local(ports.authz),
      ops: local(ports.ops),
      broker: local(ports.broker),
      brokerOps: local(ports.brokerOps),
    },
    envoy: { listen: local(ports.gateway), opsListen: local(ports.envoyOps), adminSocket: "run/envoy-admin.sock" },
    challenge: { scopes: ["mcp:read", "mcp:write"] },
    audit: { file: logPath(folder, "audit.jsonl") },
    identity: { issuers: [{ issuer, audiences: [gateway], algorithms: ["ES256"] }] },
    policy: { path: policyFolder, revisions: "run/revisions" },
    wristband: { issuer: gateway, keys: [{ kid: "demo", file: "keys/wristband.pem" }] },
    sessions: { keys: [{ id: "demo", file: "keys/session.key" }] },
    servers: {
      demo: { url: demo, callRouting: "direct", credential, discovery: credential },
    },
  };
}
