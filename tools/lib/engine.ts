// A container engine for the tests: the one that answers, or one that a kit beside the checkout starts. The kit is two
// scripts for machines without an engine or a registry: docker-lab.sh starts an engine, standins.sh builds images under the
// names of the public ones, with a label that a release refuses.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { findTool, type ToolName } from "../../src/files/program.ts";

/** The folder of the kit; empty: use none. */
const KIT = process.env["CONTAINER_KIT"] ?? resolve(import.meta.dirname, "../../../shared/containers");
/** The scripts' own variables; `LAB` means something else to our tests. */
const KIT_ENV = {
  LAB: process.env["CONTAINER_KIT_FOLDER"] ?? join(tmpdir(), "docker-lab"),
  STANDIN_DIR: process.env["STANDIN_DIR"] ?? join(tmpdir(), "standins"),
};

export interface Engine {
  readonly about: string;
  /** Ends the engine if it was started here. */
  stop(): void;
}

function answer(command: string, args: readonly string[]): string | null {
  const { status, stdout } = spawnSync(command, args, { encoding: "utf8" });
  return status === 0 ? stdout.trim() : null;
}

const engineVersion = () => answer("docker", ["version", "-f", "{{.Server.Version}}"]);
const composeVersion = () => answer("docker", ["compose", "version", "--short"]);
const hasKit = () => KIT !== "" && existsSync(join(KIT, "docker-lab.sh"));

function kit(script: string, args: readonly string[]) {
  return spawnSync(join(KIT, script), args, {
    encoding: "utf8",
    env: { ...process.env, ...KIT_ENV },
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** @throws with what is missing and what to do */
export function openEngine(): Engine {
  const before = engineVersion();
  if ((before === null || composeVersion() === null) && hasKit()) startByKit();
  const [version, compose] = [engineVersion(), composeVersion()];
  if (version === null) {
    throw new Error(
      `no container engine answers, and there is no kit at ${KIT}. Start Docker, or name an engine with DOCKER_HOST, or the kit's folder with CONTAINER_KIT.`,
    );
  }
  if (compose === null)
    throw new Error("docker compose (version 2) is missing: install that plugin of the docker command");
  return {
    about: `engine ${version}, compose ${compose}`,
    stop: () => {
      if (before === null) kit("docker-lab.sh", ["stop"]);
    },
  };
}

/** `docker-lab.sh start` prints shell exports; bash reads them, and they become variables of this process. */
function startByKit(): void {
  const { status, stdout } = kit("docker-lab.sh", ["start"]);
  if (status !== 0) throw new Error("docker-lab.sh could not start an engine; its words stand above");
  const script = `${stdout}\nprintf '%s\\n' "\${DOCKER_HOST-}" "$DOCKER_CONFIG" "$PATH"`;
  const [host = "", config = "", path = ""] = (answer("bash", ["-c", script]) ?? "").split("\n");
  if (host !== "") process.env["DOCKER_HOST"] = host;
  process.env["DOCKER_CONFIG"] = config;
  process.env["PATH"] = path;
}

const STAND_INS: readonly (readonly [RegExp, string])[] = [
  [/^node:|\/nodejs/, "node"],
  [/envoy/, "envoy"],
  [/openbao/, "openbao"],
  [/opa:/, "opa"],
];

/** Builds stand-ins for those of these images that are not here, if there is a kit; else the engine fetches them. */
export function provideImages(images: readonly string[]): string {
  const missing = images.filter((image) => answer("docker", ["image", "inspect", image]) === null);
  if (missing.length === 0) return "all here";
  if (!hasKit()) return `to be fetched: ${missing.join(", ")}`;
  const groups = STAND_INS.filter(([pattern]) => missing.some((image) => pattern.test(image))).map(
    ([, group]) => group,
  );
  seed("opa", "opa/opa");
  seed("envoy", "envoy/envoy");
  seed("bao", "openbao/bao");
  const { status } = kit("standins.sh", groups);
  if (status !== 0) throw new Error(`standins.sh could not build ${groups.join(", ")}; its words stand above`);
  return `stand-ins built: ${groups.join(", ")}`;
}

/** The same pinned program is here already: it need not be fetched and built again. */
function seed(tool: ToolName, path: string): void {
  const found = findTool(tool);
  const target = join(KIT_ENV.STANDIN_DIR, path);
  if (found === null || existsSync(target)) return;
  mkdirSync(join(target, ".."), { recursive: true });
  copyFileSync(found, target);
}

/** Removes what tests left on the engine, and names it. @param prefix of the names of their projects */
export function sweep(prefix: string): string[] {
  const list = (...args: string[]) => (answer("docker", args) ?? "").split("\n").filter((line) => line !== "");
  const named = ["--filter", `name=${prefix}`, "-q"];
  const containers = [...list("ps", "-a", ...named), ...list("ps", "-aq", "--filter", "label=org.testcontainers=true")];
  const networks = list("network", "ls", ...named);
  const volumes = list("volume", "ls", ...named);
  if (containers.length > 0) answer("docker", ["rm", "-f", "-v", ...containers]);
  if (networks.length > 0) answer("docker", ["network", "rm", ...networks]);
  if (volumes.length > 0) answer("docker", ["volume", "rm", ...volumes]);
  return [...containers, ...networks, ...volumes];
}
