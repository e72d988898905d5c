// `npm start`: the demo on loopback, with lines to copy.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, statfsSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { onParentGone } from "../src/ops/parent.ts";
import { clientLines, inspectorLine, printedSteps, WORLD_STEPS, type DemoPlace } from "./demo-steps.ts";
import { startLab, type Lab } from "./lab.ts";
import { followLog, newsOf } from "./news.ts";
import { demoPorts, portVariable, takenPort, type Ports } from "./ports.ts";

const ROOT = resolve(import.meta.dirname, "..");
const FOLDER = join(ROOT, "run/demo");

class StartError extends Error {}

/** Somebody wants it to end before it is up. */
class Stopped extends Error {}

function installTools(): void {
  const { status } = spawnSync(process.execPath, [join(ROOT, "tools/install-tools.ts"), "envoy", "bao"], {
    stdio: "inherit",
  });
  if (status !== 0) throw new StartError("The demo needs Envoy and OpenBao; the line above says what is missing.");
}

/** For configuration, keys and the logs of an afternoon. */
const NEEDED_BYTES = 16 * 1024 * 1024;

function refuseFullDisk(): void {
  mkdirSync(FOLDER, { recursive: true });
  const { bavail, bsize } = statfsSync(FOLDER);
  if (bavail * bsize >= NEEDED_BYTES) return;
  throw new StartError(
    `The disk of ${FOLDER} is full: ${Math.floor((bavail * bsize) / 1024 ** 2)} MB are free, and the demo needs ${NEEDED_BYTES / 1024 ** 2}. Make room, then run npm start again.`,
  );
}

async function refuseTakenPort(ports: Ports): Promise<void> {
  const taken = await takenPort(ports);
  if (taken === null) return;
  const { name, port } = taken;
  const other = port < 50_000 ? port + 10_000 : port - 10_000;
  throw new StartError(
    `Port ${port} (${name}) is taken by another program. End it (is the demo running already?), or choose another: ${portVariable(name)}=${other} npm start`,
  );
}

function place(lab: Lab): DemoPlace {
  return {
    gateway: lab.gateway,
    tokenCommand: (person) => `cat ${relative(process.cwd(), FOLDER)}/${person}.token`,
  };
}

async function printLines(lab: Lab): Promise<void> {
  for (const person of ["alice", "bob", "carol"]) {
    writeFileSync(join(FOLDER, `${person}.token`), await lab.idp.mint(person), { mode: 0o600 });
  }
  console.log(`
The gateway is up: ${lab.gateway}/mcp for all servers, ${lab.gateway}/servers/NAME/mcp for one.
Paste these into another terminal, in this folder.

${printedSteps(place(lab), WORLD_STEPS)}
${WORLD_STEPS.length + 1}. A real MCP client, the Inspector:
   ${inspectorLine(place(lab), "alice", "--method tools/call --tool-name whoami")}
${WORLD_STEPS.length + 2}. Why was that refused?
   ./mcp-authz why --config ${relative(process.cwd(), lab.configFile)} --token-file ${relative(process.cwd(), FOLDER)}/alice.token --server demo --tool delete_repo

Your own client needs only the URL. It sends you to a page where you choose to be alice, bob or carol:
   ${clientLines(lab.gateway)}

Tokens live 8 hours: ${relative(process.cwd(), FOLDER)}/alice.token, bob.token, carol.token.
Edit ${relative(process.cwd(), lab.policyFolder)}/data.yaml or *.rego: live within 2 seconds, or said why not (*.rego needs npm run tools opa).
Every decision: tail -f ${relative(process.cwd(), lab.auditFile)}    Other logs: ${relative(process.cwd(), FOLDER)}/logs/
Ctrl-C ends everything.`);
}

/**
 * Signals from the first moment on: one that comes while the demo starts must not end us before the children that are there.
 * `on`, not `once`: a terminal and npm may both send it.
 */
function listenForSignals(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => controller.abort());
  onParentGone(() => controller.abort());
  // Nobody reads any more (`npm start | head`).
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => controller.abort());
  return controller.signal;
}

/** Resolves with the exit code: 0 after a signal, 1 when a part of the demo ends by itself. */
function untilEnd(lab: Lab, stopped: AbortSignal): Promise<number> {
  return new Promise((done) => {
    let ending = false;
    const end = (code: number) => {
      ending = true;
      done(code);
    };
    if (stopped.aborted) end(0);
    stopped.addEventListener("abort", () => end(0));
    for (const child of [...Object.values(lab.children), ...(lab.world?.children ?? [])]) {
      void child.exited.then((code) => {
        if (ending || stopped.aborted) return;
        console.error(`\n${child.name} ended with code ${code}; its log: ${child.logFile}`);
        end(1);
      });
    }
  });
}

/** A copy of the demo's policy, made once: edits stay, and none is of a file that belongs to the project. */
function ownPolicy(): string {
  const folder = join(FOLDER, "policies");
  if (!existsSync(folder)) cpSync(join(ROOT, "policies/demo"), folder, { recursive: true });
  return folder;
}

async function main(stopped: AbortSignal): Promise<number> {
  const ports = demoPorts(process.env);
  installTools();
  await refuseTakenPort(ports);
  refuseFullDisk();
  console.log("Starting the demo:");
  const lab = await startLab({
    folder: FOLDER,
    ports,
    policyFolder: ownPolicy(),
    world: true,
    progress: (line) => {
      if (stopped.aborted) throw new Stopped(); // the lab ends what it has started
      console.log(`  ${line}`);
    },
  });
  try {
    await printLines(lab);
    const unfollow = followLog(lab.children.serve.logFile, (line) => {
      const news = newsOf(line, relative(process.cwd(), lab.policyFolder));
      if (news !== null) console.log(news);
    });
    const code = await untilEnd(lab, stopped);
    unfollow();
    console.log("\nEnding …");
    return code;
  } finally {
    await lab.stop();
  }
}

const stopped = listenForSignals();
try {
  process.exitCode = await main(stopped);
} catch (error) {
  // A terminal's Ctrl-C ends the children too: whatever then fails in starting the rest is no fault.
  if (error instanceof Stopped || stopped.aborted) {
    console.log("\nEnded before it was up.");
  } else {
    const full = error instanceof Error && "code" in error && error.code === "ENOSPC";
    const message = error instanceof Error ? error.message : "failed";
    console.error(full ? `The disk is full (${message}). Make room, then run npm start again.` : message);
    process.exitCode = 1;
  }
}
// The OIDC provider's library keeps timers of its own.
process.exit();
