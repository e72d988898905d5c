// `npm run screens`: runs the demo and renews the screens in the README. A test compares them with the real ones.
import { execFileSync, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { ownPorts, withFixedPorts } from "../demo/ports.ts";
import { setAside, startScreen, whyScreen, withScreen } from "../demo/screens.ts";

const ROOT = resolve(import.meta.dirname, "..");
const README = resolve(ROOT, "README.md");
const LAST_LINE = "Ctrl-C ends everything.";

const putBack = setAside(resolve(ROOT, "run/demo/policies"));
const { env, ports } = await ownPorts();
const demo = spawn(process.execPath, ["tools/run.mjs", "start"], {
  cwd: ROOT,
  env: { ...process.env, ...env },
  stdio: ["ignore", "pipe", "inherit"],
});
let output = "";
const started = new Promise<void>((done, fail) => {
  demo.stdout.on("data", (data: Buffer) => {
    output += data.toString();
    if (output.includes(LAST_LINE)) done();
  });
  demo.on("exit", () => fail(new Error("the demo did not start")));
});
const ended = new Promise((done) => demo.on("exit", done));
await started;
try {
  const command = /\.\/mcp-authz (why .*)/.exec(output)?.[1] ?? "";
  const why = whyOutput(command.split(" "));
  const page = withScreen(readFileSync(README, "utf8"), "start", startScreen(withFixedPorts(output, ports)));
  writeFileSync(README, withScreen(page, "why", whyScreen(withFixedPorts(why, ports))));
} finally {
  demo.kill("SIGTERM");
  await ended;
  putBack();
}

/** Exit code 1 is its answer "refused". */
function whyOutput(args: readonly string[]): string {
  try {
    return execFileSync(process.execPath, ["src/cli/mcp-authz.ts", ...args], { cwd: ROOT, encoding: "utf8" });
  } catch (error) {
    return String((error as { stdout?: unknown }).stdout);
  }
}
