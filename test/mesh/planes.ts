// Data planes that something else configures, started with the manifests that we print: here Envoy Gateway, without Kubernetes;
// Istio in istio.ts. Each takes the same serve and broker as the plain Envoy of the lab.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parse, parseAllDocuments, stringify } from "yaml";
import { requireTool } from "../../src/files/program.ts";
import { logPath, startChild, type Child } from "../../demo/child.ts";
import { freePort, type Ports } from "../../demo/ports.ts";
import { goProgram } from "../../tools/lib/go-programs.ts";

const ROOT = resolve(import.meta.dirname, "../..");
/** What clients call every data plane; the lab accepts it. */
export const HOST = "mcp.example.com";
const READY_MS = 60_000;

export interface Plane {
  readonly port: number;
  stop(): Promise<void>;
}

/** What is printed, and where it is tried. */
export interface Setting {
  readonly folder: string;
  /** The configuration of the lab, which runs. */
  readonly configFile: string;
  readonly ports: Ports;
}

export type Document = { kind: string; metadata: { name: string }; spec: Record<string, unknown> };

/** The configuration of the lab, for a mesh: by names in place of addresses, with the addresses of serve and of the broker. */
export function meshConfigFile({ folder, configFile, ports }: Setting, port: number): string {
  const config = parse(readFileSync(configFile, "utf8")) as Record<string, unknown>;
  const local = (number: number) => `127.0.0.1:${number}`;
  const envoy = { listen: local(port), authzAddress: local(ports.authz), brokerAddress: local(ports.broker) };
  const file = join(folder, `mesh-${port}.yaml`);
  writeFileSync(file, stringify({ ...config, publicOrigin: `https://${HOST}`, hosts: [], envoy }));
  return file;
}

/** Printed by our own command, as an operator would do it. */
export function printed(file: string, args: readonly string[]): string {
  const command = [join(ROOT, "src/cli/mcp-authz.ts"), "envoy-config", "--config", file, ...args];
  return execFileSync(process.execPath, command, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
}

/** https://gateway.envoyproxy.io/docs/tasks/operations/standalone-deployment-mode/ */
export async function startEnvoyGateway(setting: Setting, edit?: (documents: Document[]) => void): Promise<Plane> {
  const port = await freePort();
  const folder = join(setting.folder, `envoy-gateway-${port}`);
  const bin = join(folder, "state/data/envoy-versions/1.40.0/bin");
  for (const path of [bin, join(folder, "resources")]) mkdirSync(path, { recursive: true });
  symlinkSync(requireTool("envoy"), join(bin, "envoy")); // then nothing is downloaded
  const documents = parseAllDocuments(printed(meshConfigFile(setting, port), ["--for", "envoy-gateway"])).map(
    (one) => one.toJS() as Document,
  );
  for (const { kind, spec } of documents) {
    // Its reader of files (not Kubernetes) panics on the size of a hash table: "unsupported type: uint64", 1.9.1.
    if (kind === "BackendTrafficPolicy") delete spec["loadBalancer"];
    // In a cluster it makes Deployments; here it starts this Envoy.
    if (kind === "EnvoyProxy") spec["provider"] = { type: "Host", host: { envoyVersion: "1.40.0" } };
  }
  edit?.(documents);
  writeFileSync(join(folder, "resources/mcp.yaml"), documents.map((one) => stringify(one)).join("---\n"));
  writeFileSync(join(folder, "envoy-gateway.yaml"), stringify(standalone(folder)));
  const command = goProgram("envoy-gateway");
  execFileSync(command, ["certgen", "--local", "--config-home", join(folder, "state/config")], { stdio: "ignore" });
  const child = startChild({
    name: "envoy-gateway",
    command,
    args: ["server", "--config-path", join(folder, "envoy-gateway.yaml")],
    cwd: folder,
    logFile: logPath(setting.folder, "envoy-gateway.log"),
  });
  await listening(port, [child]);
  return { port, stop: () => child.stop() };
}

/** Its own configuration: files in place of Kubernetes, processes in place of pods. */
function standalone(folder: string): object {
  return {
    apiVersion: "gateway.envoyproxy.io/v1alpha1",
    kind: "EnvoyGateway",
    gateway: { controllerName: "gateway.envoyproxy.io/gatewayclass-controller" },
    provider: {
      type: "Custom",
      custom: {
        resource: { type: "File", file: { paths: [join(folder, "resources")] } },
        infrastructure: {
          type: "Host",
          host: Object.fromEntries(
            ["configHome", "dataHome", "stateHome", "runtimeDir"].map((key) => [
              key,
              join(folder, "state", key.replace(/Home|Dir/, "")),
            ]),
          ),
        },
      },
    },
    logging: { level: { default: "info" } },
    extensionApis: { enableBackend: true, enableEnvoyPatchPolicy: true },
  };
}

/** Waits until the port accepts connections; fails with the log of what ended. */
export async function listening(port: number, children: readonly Child[]): Promise<void> {
  const end = Date.now() + READY_MS;
  while (!(await accepts(port))) {
    const ended = children.find((child) => !child.running());
    if (ended !== undefined || Date.now() > end) {
      const log = (ended ?? children[0])?.output().split("\n").slice(-30).join("\n") ?? "";
      await Promise.all(children.map((child) => child.stop()));
      throw new Error(`nothing listens on ${port}:\n${log}`);
    }
    await delay(100);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, "127.0.0.1");
    const end = (is: boolean) => {
      socket.destroy();
      done(is);
    };
    socket.on("connect", () => end(true));
    socket.on("error", () => end(false));
  });
}
