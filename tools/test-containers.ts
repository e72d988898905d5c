// `npm run test:containers`: what a user with Docker does, and the tests with containers. Starts an engine where none answers
// and a kit for it is there (tools/lib/engine.ts). Ends on one line: N passed, N failed, N skipped.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { PROJECT_PREFIX } from "../demo/container-lab.ts";
import { freePorts } from "../demo/ports.ts";
import { openEngine, provideImages, sweep, type Engine } from "./lib/engine.ts";
import { requireTool } from "../src/files/program.ts";
import { count, finish, noCounts, run, runSuite } from "./lib/suite.ts";
import { baseImages } from "./release-check.ts";
import { smoke } from "./smoke.ts";

const counts = noCounts();
const begun = Date.now();

class StepError extends Error {}

// A signal ends the child that runs; the clean-up that follows must not be cut short.
const interruption = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => interruption.abort());

/** Lets a signal that came during the last step be seen. */
async function mayGoOn(): Promise<void> {
  await new Promise((done) => setImmediate(done));
  if (interruption.signal.aborted) throw new StepError("a signal");
}

function seconds(since: number): string {
  return ((Date.now() - since) / 1000).toFixed(1);
}

/** One counted step; what it returns is printed. */
function step(title: string, work: () => string): void {
  const started = Date.now();
  console.log(`\n── ${title}`);
  try {
    const about = work();
    count(counts, title, true);
    console.log(`── ${title}: ok after ${seconds(started)} s${about === "" ? "" : `: ${about}`}`);
  } catch (error) {
    count(counts, title, false);
    console.error(error instanceof Error ? error.message : "failed");
    throw new StepError(title, { cause: error });
  }
}

/** A step that the others do not need. */
function check(title: string, command: string, args: readonly string[]): void {
  count(counts, title, run(title, command, args));
}

function docker(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync("docker", args, { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  if (status !== 0) throw new Error(`docker ${args.join(" ")}:\n${stdout}${stderr}`);
  return stdout.trim();
}

function neededImages(): string[] {
  const ours = /^mcp-authz/;
  const composed = docker("compose", "config", "--images").split("\n");
  return [...new Set([...composed, ...baseImages(readFileSync("Dockerfile", "utf8"))])].filter(
    (image) => !ours.test(image),
  );
}

/** Ours carries a stand-in's label when it was built on one: then the check must refuse it. */
function releaseCheck(): string {
  const label = docker("image", "inspect", "-f", '{{index .Config.Labels "org.mcp-authz.stand-in"}}', "mcp-authz:dev");
  const { status, stderr } = spawnSync(
    process.execPath,
    ["tools/release-check.ts", "mcp-authz:dev", "mcp-authz-demo:dev"],
    {
      encoding: "utf8",
    },
  );
  if (label !== "" && (status !== 1 || !stderr.includes("stand-in")))
    throw new Error(`an image with the label of a stand-in was not refused: ${stderr}`);
  if (label === "" && status !== 0) throw new Error(stderr);
  return label === "" ? "fit for release" : "built on stand-ins, and refused for it";
}

/** docker-compose.yml as a user starts it, asked, and gone again. */
async function stack(): Promise<void> {
  const ports = await freePorts();
  process.env["COMPOSE_PROJECT_NAME"] = `${PROJECT_PREFIX}smoke-${process.pid}`;
  process.env["GATEWAY_PORT"] = String(ports.gateway);
  process.env["IDP_PORT"] = String(ports.idp);
  try {
    step("docker compose up", () => {
      try {
        docker("compose", "up", "-d", "--no-build", "--wait", "--wait-timeout", "120");
      } catch (error) {
        console.error(docker("compose", "ps", "-a"), docker("compose", "logs", "--tail", "40"));
        throw error;
      }
      return docker("compose", "ps", "--format", "{{.Service}} {{.Status}}").replaceAll("\n", ", ");
    });
    await mayGoOn();
    console.log("\n── smoke test");
    for (const { title, fault } of smoke()) count(counts, `smoke test: ${title}`, fault === null);
  } finally {
    step("docker compose down", () => docker("compose", "down", "-v", "--timeout", "10"));
    for (const name of ["COMPOSE_PROJECT_NAME", "GATEWAY_PORT", "IDP_PORT"]) Reflect.deleteProperty(process.env, name);
  }
}

async function all(): Promise<void> {
  step("tools", () => {
    const { status } = spawnSync(process.execPath, ["tools/install-tools.ts", "envoy", "bao", "opa", "hadolint"], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    if (status !== 0) throw new Error("a tool is missing; the lines above say which");
    return "";
  });
  check("hadolint", requireTool("hadolint"), ["Dockerfile"]);
  check("docker-compose.yml", "docker", ["compose", "config", "-q"]);
  step("images of others", () => provideImages(neededImages()));
  step("our images", () => {
    docker("compose", "build", "-q");
    return docker("image", "inspect", "-f", "{{.RepoTags}} {{.Size}} bytes", "mcp-authz:dev", "mcp-authz-demo:dev");
  });
  step("release check", releaseCheck);
  await mayGoOn();
  await stack();
  for (const lab of ["containers", "processes"] as const) {
    await mayGoOn();
    process.env["LAB"] = lab;
    const files = lab === "containers" ? [] : ["test/containers/gateway.test.ts"];
    runSuite(`lab of ${lab}`, ["run", "--project", "containers", ...files], counts);
  }
}

function refuseLeftovers(): void {
  step("nothing is left behind", () => {
    const left = sweep(PROJECT_PREFIX);
    if (left.length > 0)
      throw new Error(`containers, networks or volumes were left, and are removed now: ${left.join(" ")}`);
    return "";
  });
}

async function main(): Promise<void> {
  let engine: Engine | null = null;
  try {
    step("container engine", () => (engine = openEngine()).about);
    try {
      await all();
    } finally {
      refuseLeftovers();
    }
  } finally {
    (engine as Engine | null)?.stop();
  }
}

try {
  await main();
} catch (error) {
  if (!(error instanceof StepError)) throw error;
  console.error(`\nstopped at: ${error.message}`);
}
console.log(`\nall in ${seconds(begun)} s`);
if (interruption.signal.aborted) count(counts, "interrupted by a signal", false);
finish(counts);
