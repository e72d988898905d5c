// Runs the conformance suite against an endpoint and reads what it measured. I/O: a child process, its report.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parse } from "yaml";

const PACKAGE = dirname(createRequire(import.meta.url).resolve("@modelcontextprotocol/conformance/package.json"));
const CLI = join(PACKAGE, "dist/index.js");

export const REVISIONS = ["2025-11-25", "2026-07-28"] as const;
export type Revision = (typeof REVISIONS)[number];

export interface Check {
  readonly id: string;
  readonly status: "SUCCESS" | "FAILURE" | "WARNING" | "SKIPPED" | "INFO";
  readonly errorMessage?: string;
}

/** The checks of each scenario; one that broke off has none. */
export type Measured = ReadonlyMap<string, readonly Check[]>;

export function suiteVersion(): string {
  const { version } = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8")) as { version: string };
  return version;
}

/** The scenarios of a leg that the revision requires. */
export function scoredScenarios(revision: Revision, leg: "server" | "client"): readonly string[] {
  const file = readFileSync(join(PACKAGE, `requirements/${revision}.yaml`), "utf8");
  return (parse(file) as Record<typeof leg, string[]>)[leg];
}

/** All scenarios of the server's leg of a revision, also those that are not scored. */
export function measureServer(url: string, revision: Revision): Promise<Measured> {
  return runSuite("server", ["server", "--url", url, "--requirements", revision]);
}

/** One scenario of the client's leg. @param command is started with the URL of the suite's server as its last argument */
export function measureClient(command: string, scenario: string, revision: Revision): Promise<Measured> {
  const options = ["--command", command, "--scenario", scenario, "--spec-version", revision, "--timeout", "90000"];
  return runSuite("client", ["client", ...options]);
}

async function runSuite(leg: string, args: readonly string[]): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), "mcp-authz-suite-"));
  try {
    const child = spawn(process.execPath, [CLI, ...args, "--output-dir", folder], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (output += data.toString()));
    await new Promise((done) => child.once("close", done));
    const measured = new Map<string, readonly Check[]>();
    for (const entry of readdirSync(folder)) {
      const scenario = entry.replace(new RegExp(`^${leg}-`), "").replace(/-\d{4}-\d\d-\d\dT.*$/, "");
      const file = join(folder, entry, "checks.json");
      const checks = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Check[]) : [];
      measured.set(scenario, checks);
    }
    if (measured.size === 0) throw new Error(`the suite measured nothing:\n${output.slice(-3000)}`);
    return measured;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
