// Two replicas of `serve` and two of `broker` behind one Envoy, on loopback: one configuration but for where each listens, and
// an Envoy that sends each request to the other replica than the one before. I/O.
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parse, stringify } from "yaml";
import { logPath, startChild, waitReady, type Child } from "../../demo/child.ts";
import { startLab, untilListable, type Lab } from "../../demo/lab.ts";
import { freePorts, type Ports } from "../../demo/ports.ts";

const MCP_AUTHZ = resolve(import.meta.dirname, "../../src/cli/mcp-authz.ts");
const SOON_MS = 120_000;
/** The listeners of one replica of both. */
const LISTENERS = ["authz", "ops", "broker", "brokerOps"] as const;

/** One of the two replicas. */
export type Replica = 0 | 1;
export const REPLICAS: readonly Replica[] = [0, 1];

/** A number for each replica. */
export type Counts = readonly [number, number];

export interface Replicas {
  readonly lab: Lab;
  /** Checks of each `serve` so far. */
  checks(): Promise<Counts>;
  /** Requests with a good wristband at each broker so far: those that the other one handed on count at both. */
  arrivals(): Promise<Counts>;
  /** The sum of a broker's series whose line begins so. */
  brokerCount(replica: Replica, series: string): Promise<number>;
  /** Ends a broker with SIGKILL, and waits until Envoy has found out. */
  killBroker(replica: Replica): Promise<void>;
  /** Starts it anew in its place, and waits until Envoy has found out. */
  startBroker(replica: Replica): Promise<void>;
  /** As an upgrade does: ends one with SIGTERM, starts it anew, and waits until Envoy sends it requests. */
  roll(name: "serve" | "broker", replica: Replica): Promise<void>;
  stop(): Promise<void>;
}

type Config = Record<string, unknown>;

/** @param servers as in the configuration @param more keys at its top */
export async function startReplicas(
  folder: string,
  servers: Readonly<Record<string, object>>,
  more: Config = {},
): Promise<Replicas> {
  const [ports, second] = [await freePorts(), await freePorts()];
  const lab = await startLab({
    folder,
    ports,
    policyFolder: join(import.meta.dirname, "policy"),
    progress: () => {},
    config(config) {
      Object.assign(config, { servers, ...more });
      Object.assign(config["sessions"] as Config, { address: `127.0.0.1:${ports.broker}` });
    },
    editEnvoy: (printed) => alternate(printed, [ports, second]),
  });
  const configFile = secondConfig(lab, second);
  const start = (name: "serve" | "broker") => startSecond(name, { folder, configFile, ports: second });
  const children = { serve: await start("serve"), broker: await start("broker") };
  await untilListable(second);
  const opsOf = (replica: Replica) => [ports, second][replica] ?? ports;
  const untilHealthy = (cluster: string, count: number) => healthy(ports, cluster, count);
  for (const cluster of Object.values(CLUSTERS)) await untilHealthy(cluster, 2);
  const both = async (of: (replica: Replica) => Promise<number>): Promise<Counts> => [await of(0), await of(1)];
  const brokerCount = (replica: Replica, series: string) => sumOf(opsOf(replica).brokerOps, series);
  return {
    lab,
    brokerCount,
    checks: () => both((replica) => sumOf(opsOf(replica).ops, "mcp_authz_checks_total")),
    arrivals: () => both((replica) => brokerCount(replica, 'mcp_authz_wristband_verifications_total{result="ok"}')),
    async killBroker(replica) {
      const child = replica === 0 ? lab.children.broker : children.broker;
      child.kill("SIGKILL");
      await child.exited;
      await untilHealthy("mcp_broker", 1);
    },
    async startBroker(replica) {
      if (replica === 0) await lab.restartBroker();
      else children.broker = await start("broker");
      await untilHealthy("mcp_broker", 2);
    },
    roll: (name, replica) =>
      restart(name, replica === 0 ? lab : { children, start }).then(() => untilHealthy(CLUSTERS[name], 2)),
    async stop() {
      await Promise.all([children.serve.stop(), children.broker.stop()]);
      await lab.stop();
    },
  };
}

const CLUSTERS = { serve: "mcp_authz", broker: "mcp_broker" } as const;

interface Second {
  readonly children: Record<"serve" | "broker", Child>;
  readonly start: (name: "serve" | "broker") => Promise<Child>;
}

/** Ends one with SIGTERM, however long it takes, and starts it anew. */
async function restart(name: "serve" | "broker", replica: Lab | Second): Promise<void> {
  const { [name]: child } = replica.children;
  child.kill("SIGTERM");
  await child.exited;
  if ("restartServe" in replica) return name === "serve" ? replica.restartServe() : replica.restartBroker();
  replica.children[name] = await replica.start(name);
}

/** The configuration of the first replica, with listeners and an address of its own. */
function secondConfig({ folder, configFile }: Lab, ports: Ports): string {
  const config = parse(readFileSync(configFile, "utf8")) as Config;
  config["listen"] = Object.fromEntries(LISTENERS.map((name) => [name, `127.0.0.1:${ports[name]}`]));
  config["audit"] = { file: logPath(folder, "audit-2.jsonl") };
  Object.assign(config["sessions"] as Config, { address: `127.0.0.1:${ports.broker}` });
  const file = join(folder, "mcp-authz-2.yaml");
  writeFileSync(file, stringify(config));
  return file;
}

async function startSecond(
  name: "serve" | "broker",
  { folder, configFile, ports }: { readonly folder: string; readonly configFile: string; readonly ports: Ports },
): Promise<Child> {
  const logFile = logPath(folder, `${name}-2.log`);
  const args = [MCP_AUTHZ, name, "--config", configFile];
  const child = startChild({ name: `${name} 2`, command: process.execPath, args, cwd: folder, logFile });
  await waitReady(child, `http://127.0.0.1:${name === "serve" ? ports.ops : ports.brokerOps}/readyz`);
  return child;
}

interface Cluster {
  readonly name: string;
  lb_policy?: string;
  common_lb_config?: object;
  health_checks?: object[];
  load_assignment: object;
}

/** Both replicas in turn, whatever session a request is of; a broker counts while it says that it is ready, as in a cluster. */
function alternate(printed: Config, replicas: readonly Ports[]): void {
  const { clusters } = printed["static_resources"] as { readonly clusters: readonly Cluster[] };
  for (const [name, port, ops] of [
    ["mcp_authz", "authz", null],
    ["mcp_broker", "broker", "brokerOps"],
  ] as const) {
    const cluster = clusters.find((each) => each.name === name);
    if (cluster === undefined) throw new Error(`no cluster ${name}`);
    const endpoints = replicas.map((ports) => ({
      endpoint: {
        address: { socket_address: { address: "127.0.0.1", port_value: ports[port] } },
        ...(ops !== null && { health_check_config: { port_value: ports[ops] } }),
      },
    }));
    cluster.lb_policy = "ROUND_ROBIN";
    cluster.common_lb_config = { ...cluster.common_lb_config, update_merge_window: "0s" }; // else it acts a second later
    cluster.load_assignment = { cluster_name: name, endpoints: [{ lb_endpoints: endpoints }] };
    const [check] = cluster.health_checks ?? [];
    cluster.health_checks = [ops === null ? { ...check, ...OFTEN } : { ...OFTEN, ...READY }];
  }
}

/** A busy machine answers late; who is gone or says so is out at the next question. */
const OFTEN = {
  ...{ timeout: "10s", interval: "0.2s", no_traffic_interval: "0.2s", unhealthy_threshold: 1, healthy_threshold: 1 },
};
const READY = {
  http_health_check: { path: "/readyz", host: "127.0.0.1" },
};

async function healthy({ envoyOps }: Ports, cluster: string, count: number): Promise<void> {
  const series = `envoy_cluster_membership_healthy{envoy_cluster_name="${cluster}"}`;
  const end = Date.now() + SOON_MS;
  while (Date.now() < end) {
    if ((await sumOf(envoyOps, series, "/stats/prometheus")) === count) return;
    await delay(50);
  }
  throw new Error(`Envoy does not find ${count} of ${cluster}`);
}

async function sumOf(port: number, series: string, path = "/metrics"): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}${path}`)).text();
  const lines = text.split("\n").filter((line) => line.startsWith(series));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}
