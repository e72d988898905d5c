// The way in for `npm start`, `npm test` and friends. Runs on any Node that npm runs on: it installs what the lockfile
// names, finds the pinned Node 24 and hands over to it.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, "node_modules", ".bin");
const stamp = join(root, "node_modules", ".installed-lockfile");
const TASKS = {
  start: ["demo/start.ts"],
  test: ["tools/test.ts"],
  "test:keycloak": ["tools/test-keycloak.ts"],
  "test:containers": ["tools/test-containers.ts"],
  "test:attack": ["tools/test-attack.ts"],
  "test:mesh": ["tools/test-mesh.ts"],
  conformance: ["tools/conformance.ts"],
  tools: ["tools/install-tools.ts"],
  bench: ["bench/bench.ts"],
  "bench:growth": ["bench/growth.ts"],
  "bench:short": ["bench/short.ts"],
  "bench:report": ["bench/report.ts"],
  smoke: ["tools/smoke.ts"],
  docs: ["tools/docs.ts"],
  screens: ["tools/screens.ts"],
  "compile-demo": ["tools/compile-demo.ts"],
  "compose-envoy": ["tools/compose-envoy.ts"],
  "release-check": ["tools/release-check.ts"],
  fuzz: ["test/fuzz/fuzz.ts"],
  "fuzz:coverage": ["test/fuzz/coverage.ts"],
  "fuzz:stacks": ["test/fuzz/stacks/stacks.ts"],
  "fuzz:http2": ["test/fuzz/http2/fuzz-http2.ts"],
};

function say(text) {
  process.stderr.write(`${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}

function lockHash() {
  return createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
}

function install() {
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lockHash()) return;
  say("Installing the pinned packages (npm ci): the first time takes about a minute …");
  const npm = process.env.npm_execpath;
  const [command, args] = npm ? [process.execPath, [npm]] : ["npm", []];
  // Without its warnings: they are about the Node that npm runs on, and the one that is brought along is another.
  const { status, error } = spawnSync(command, [...args, "ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", process.stderr, process.stderr],
  });
  if (error || status !== 0) {
    fail(
      "The packages of package-lock.json could not be installed (npm's message stands above). Is the network there, and the disk " +
        "not full? Behind a proxy: npm config set proxy URL; for a mirror: npm config set registry URL. Then run the same command again.",
    );
  }
  writeFileSync(stamp, lockHash());
}

function major(node) {
  const { stdout, status } = spawnSync(node, ["--version"], { encoding: "utf8" });
  return status === 0 ? Number(/^v(\d+)/.exec(stdout)?.[1] ?? 0) : 0;
}

function findNode() {
  const pinned = join(bin, "node");
  if (existsSync(pinned) && major(pinned) >= 24) return pinned;
  if (Number(process.versions.node.split(".")[0]) >= 24) return process.execPath;
  return fail(
    `Node 24 or newer is needed; this is ${process.version}. The pinned one should be in node_modules/.bin/node: ` +
      'did npm skip the install script of the package "node"? Run: npm rebuild node, or install Node 24 yourself.',
  );
}

const [task = "", ...rest] = process.argv.slice(2);
if (!(task in TASKS)) fail(`Unknown task "${task}". Known: ${Object.keys(TASKS).join(", ")}`);
install();
const child = spawn(findNode(), ["--disable-warning=ExperimentalWarning", ...TASKS[task], ...rest], {
  cwd: root,
  stdio: "inherit",
  // The variable is npm's own: a task of ours that finds it ends when its parent is gone (src/ops/parent.ts).
  env: { npm_lifecycle_event: task, ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` },
});
// A terminal's Ctrl-C reaches the child by itself; a signal sent to this process alone does not.
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
process.on("SIGINT", () => {});
// npm that is killed sends none.
const parent = process.ppid;
if (process.env.npm_lifecycle_event) setInterval(() => process.ppid === parent || child.kill("SIGTERM"), 1000).unref();
child.on("error", (error) => fail(`cannot start ${TASKS[task][0]}: ${error.message}`));
child.on("exit", (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
