// Runs the tests of a policy folder by `opa test`, on exactly what serve would load. For commands. I/O: runs opa.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileData, layOut } from "./compile.ts";
import { refuseHiddenData } from "./findings.ts";
import { requireOpa, type FindOpa } from "./opa.ts";
import { CAPABILITIES_FILE, readSources } from "./sources.ts";

export interface TestOptions {
  readonly dir: string;
  readonly rego: "v0" | "v1";
  readonly findOpa: FindOpa;
  /** A regular expression for the names of tests; null for all. */
  readonly only: string | null;
  readonly verbose: boolean;
}

const TIMEOUT_MS = 120_000;

/** @returns what opa prints, with the author's paths. @throws {Error} for data and an opa that cannot be used */
export async function testPolicy(options: TestOptions): Promise<{ passed: boolean; output: string }> {
  const { dir, rego, only, verbose } = options;
  if (!existsSync(dir)) throw new Error(`${dir} does not exist`);
  const opaPath = await requireOpa(options.findOpa, "testing a policy");
  const files = readSources(dir);
  const data = await compileData(files);
  refuseHiddenData(files, rego);
  const folder = await mkdtemp(join(tmpdir(), "mcp-authz-test-"));
  try {
    await layOut(folder, { files, rego }, data, { tests: true });
    const args = [
      ...["test", "--capabilities", CAPABILITIES_FILE],
      ...(rego === "v0" ? ["--v0-compatible"] : []),
      ...(only === null ? [] : ["--run", only]),
      ...(verbose ? ["--verbose"] : []),
      ...["mcp_authz", "policy"],
    ];
    return await new Promise((done) => {
      const limits = { cwd: folder, timeout: TIMEOUT_MS, maxBuffer: 32 * 1024 * 1024, env: {} };
      execFile(opaPath, args, limits, (error, stdout, stderr) =>
        done({ passed: error === null, output: `${stdout}${stderr}`.replaceAll(/(^|\s)policy\//g, "$1") }),
      );
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
