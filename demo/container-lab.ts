// The lab of containers: docker-compose.yml as its users start it. I/O: Docker.
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cpSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { DockerComposeEnvironment, getContainerRuntimeClient, PullPolicy } from "testcontainers";
import { type OpenLab, jsonLines } from "./lab-interface.ts";
import { freePorts } from "./ports.ts";

const ROOT = resolve(import.meta.dirname, "..");
/** Projects of tests, so that what one left behind can be found. */
export const PROJECT_PREFIX = "mcp-authz-lab-";
const STAND_IN = "org.mcp-authz.stand-in";
const START_MS = 120_000;

const run = promisify(execFile);

async function docker(...args: string[]): Promise<string> {
  const { stdout } = await run("docker", args, { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 });
  return stdout.trim();
}

const lines = (text: string) => text.split("\n").filter((line) => line !== "");

/** What the lab of containers lacks on this machine. @param mayPull whether images may be fetched and built */
export async function containersMissing(mayPull: boolean): Promise<string[]> {
  // The library looks at sockets, contexts and variables: only it knows whether it will find an engine.
  const client = await getContainerRuntimeClient().catch(() => null);
  if (client === null) return ["a container engine: start Docker, or name one with DOCKER_HOST"];
  const compose = await docker("compose", "version").catch(() => null);
  if (compose === null) return ["docker compose (version 2): install the plugin of the docker command"];
  if (mayPull) return [];
  const images = new Set(lines(await docker("compose", "config", "--images")));
  const missing = await Promise.all([...images].map(async (image) => ((await isHere(image)) ? [] : [image])));
  return missing.flat().map((image) => `the image ${image}: docker compose build, docker compose pull, or LAB_PULL=1`);
}

const isHere = (image: string) =>
  docker("image", "inspect", image).then(
    () => true,
    () => false,
  );

/** docker-compose.yml as its users start it, with ports and a policy folder of its own. */
export async function openContainerLab(folder: string, mayPull: boolean): Promise<OpenLab> {
  const project = `${PROJECT_PREFIX}${randomBytes(4).toString("hex")}`;
  const { gateway: gatewayPort, idp: idpPort } = await freePorts();
  const policyFolder = join(folder, "policies");
  cpSync(join(ROOT, "policies/demo"), policyFolder, { recursive: true });
  const environment = new DockerComposeEnvironment(ROOT, "docker-compose.yml")
    .withProjectName(project)
    .withAutoCleanup(false) // by an image of its own; we end what we start, and look whether we did
    .withPullPolicy(mayPull ? PullPolicy.defaultPolicy() : PullPolicy.neverPull())
    .withStartupTimeout(START_MS)
    .withEnvironment({
      GATEWAY_PORT: String(gatewayPort),
      IDP_PORT: String(idpPort),
      POLICY_FOLDER: policyFolder,
    });
  const started = await environment.up();
  const id = (service: string) => started.getContainer(`${service}-1`).getId();
  const serve = id("serve");
  return {
    kind: "containers",
    about: await describe(project),
    gateway: `http://127.0.0.1:${gatewayPort}`,
    issuer: `http://127.0.0.1:${idpPort}`,
    policyFolder,
    async token(person, scope) {
      const args = scope === undefined ? [person] : [person, scope];
      const { output, exitCode } = await started.getContainer("idp-1").exec(["token", ...args]);
      if (exitCode !== 0) throw new Error(output);
      return output.trim();
    },
    reached: async () =>
      jsonLines(await docker("logs", id("demo")))
        .filter(({ method }) => method === "tools/call")
        .map(({ name }) => String(name)),
    audit: async () => jsonLines(await docker("logs", serve)),
    killServe: async () => void (await docker("kill", serve)),
    async startServe() {
      await docker("start", serve);
      await untilHealthy(serve);
    },
    async stop() {
      await started.down({ removeVolumes: true, timeout: 5000 });
      await refuseLeftovers(project);
    },
  };
}

async function describe(project: string): Promise<string> {
  const version = await docker("version", "-f", "{{.Server.Version}}");
  const format = `{{.Image}}{{if .Label "${STAND_IN}"}} (stand-in){{end}}`;
  const images = lines(
    await docker("ps", "--filter", `label=com.docker.compose.project=${project}`, "--format", format),
  );
  return `engine ${version}; ${[...new Set(images)].sort().join(", ")}`;
}

async function untilHealthy(container: string): Promise<void> {
  const end = Date.now() + START_MS;
  while (Date.now() < end) {
    if ((await docker("inspect", "-f", "{{.State.Health.Status}}", container)) === "healthy") return;
    await delay(200);
  }
  throw new Error(`${container} is not healthy after ${START_MS / 1000} s`);
}

/** Removes what is left of a project. @throws when there was something */
async function refuseLeftovers(project: string): Promise<void> {
  const filter = ["--filter", `label=com.docker.compose.project=${project}`];
  const containers = lines(await docker("ps", "-aq", ...filter));
  const networks = lines(await docker("network", "ls", "-q", ...filter));
  const volumes = lines(await docker("volume", "ls", "-q", ...filter));
  if (containers.length > 0) await docker("rm", "-f", ...containers);
  if (networks.length > 0) await docker("network", "rm", ...networks);
  if (volumes.length > 0) await docker("volume", "rm", ...volumes);
  const count = containers.length + networks.length + volumes.length;
  if (count > 0) throw new Error(`${project} left ${count} containers, networks or volumes behind`);
}
