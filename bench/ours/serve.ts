// `mcp-authz serve` as a user runs it: policy from a folder, compiled at the start, audit to a file. I/O.
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startFakeVault } from "../../test/fakes/vault.ts";
import { ROOT } from "../processes.ts";
import { badChecks, goodChecks, type Asked } from "../requests.ts";
import type { Service, Variant } from "../service.ts";
import { openWire } from "../wire-client.ts";
import { ALL_TOOLS, GRANTS, SERVER_NAMES, USERS, writeConfig, type Tool, type World } from "../world.ts";

export const CHECK_PATH = "/envoy.service.auth.v3.Authorization/Check";

/** What differs from row to row. */
export interface ServeRow {
  /** Laid over the configuration. */
  readonly config?: (world: World) => Promise<Readonly<Record<string, unknown>>> | Readonly<Record<string, unknown>>;
  readonly asked?: (world: World) => Asked;
  /** In place of the grants of all groups. */
  readonly grants?: object;
  readonly shows?: (answer: Buffer) => boolean;
}

/** The plain decision: no credential. */
export const direct: Readonly<Record<string, unknown>> = serversWith({
  callRouting: "direct",
  credential: [{ none: {} }],
});

export function serversWith(settings: object, names = SERVER_NAMES): Readonly<Record<string, unknown>> {
  const servers = Object.fromEntries(names.map((name) => [name, { url: "http://127.0.0.1:1/mcp", ...settings }]));
  return { servers };
}

export function serve(name: string, title: string, row: ServeRow): Variant {
  return {
    name,
    title,
    async start(world) {
      writePolicy(world, row.grants ?? grantsByGroup());
      const { file, authz, ops } = await writeConfig(world, { ...direct, ...(await row.config?.(world)) });
      const child = world.processes.serve([
        process.execPath,
        ...FLAGS,
        "src/cli/mcp-authz.ts",
        "serve",
        "--config",
        file,
      ]);
      await world.processes.ready(child, `http://${ops}/readyz`);
      const asked = row.asked?.(world) ?? {};
      return {
        pid: child.pid ?? 0,
        end: () => world.processes.end(child),
        good: goodChecks(world, asked),
        bad: badChecks(world, asked),
        open: openerOf(authz),
        ...(row.shows !== undefined && { shows: row.shows }),
      };
    },
  };
}

/** A server lists at most 1,000 names. */
const FULL = 900;
const FLAGS = ["--disable-warning=ExperimentalWarning"];

export function openerOf(address: string): Service["open"] {
  return (requests, answered, connections) => openWire({ address, path: CHECK_PATH, requests, answered }, connections);
}

/** The demo's rules over these grants. */
export function writePolicy({ folder }: World, grants: object): void {
  const policy = join(folder, "policy");
  mkdirSync(policy, { recursive: true });
  cpSync(join(ROOT, "policies/demo/policy.rego"), join(policy, "policy.rego"));
  writeFileSync(join(policy, "data.yaml"), JSON.stringify({ grants, limits: { transfer: 1 } }));
}

export function grantsByGroup(): Readonly<Record<string, object>> {
  const byServer = (tools: readonly Tool[]) =>
    Object.fromEntries(
      SERVER_NAMES.map((server) => [
        server,
        { tool: tools.filter((tool) => tool.server === server).map(({ name }) => name) },
      ]),
    );
  return Object.fromEntries(Object.entries(GRANTS).map(([group, tools]) => [group, byServer(tools)]));
}

/** The catalogue that a broker over these servers would publish. @param more names of each server that nobody is granted */
export async function withCatalog(world: World, more = 0): Promise<Readonly<Record<string, unknown>>> {
  const others = Array.from({ length: more }, (_, i) => `other_${i}`);
  const tools = (server: string) => ALL_TOOLS.filter((tool) => tool.server === server).map(({ name }) => name);
  const names = (server: string) => ({ tools: [...tools(server), ...others], prompts: [], resources: [] });
  const extra = Array.from({ length: Math.floor(more / FULL) * 2 }, (_, i) => `t${i}`);
  const servers = Object.fromEntries([...SERVER_NAMES, ...extra].map((name) => [name, names(name)]));
  const address = await world.answer(JSON.stringify({ servers }));
  return {
    catalog: { url: `http://${address}/catalog` },
    ...serversWith({ credential: [{ none: {} }] }, [...SERVER_NAMES, ...extra]),
  };
}

/** A collector that takes all, and a share of the Checks that are recorded. */
export function withTraces(sample: number): NonNullable<ServeRow["config"]> {
  return async (world) => ({ ...direct, traces: { endpoint: `http://${await world.answer("{}")}/v1/traces`, sample } });
}

/** A Vault that holds a secret for each caller and server. */
export async function withVault(world: World): Promise<Readonly<Record<string, unknown>>> {
  const vault = await startFakeVault();
  world.onClose(() => vault.stop());
  for (let user = 0; user < USERS; user += 1)
    for (const server of SERVER_NAMES) vault.put(`user-${user}/${server}`, { token: `secret-of-user-${user}` });
  writeFileSync(join(world.folder, "vault-token"), vault.rootToken, { mode: 0o600 });
  const credential = [{ vault: { mount: "secret", path: "{subject}/{server}" } }];
  return {
    vault: { address: vault.address, auth: { token: { file: "vault-token" } }, timeoutMs: 700 },
    ...serversWith({ callRouting: "direct", credential }),
  };
}
