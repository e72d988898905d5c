// Programs that come as Go modules only: built with Go into .tools/bin, once for each version. For the tests. I/O.
// Each has a module in tools/go, whose go.sum pins what it is built from. Go's own caches are used, as `go install` would.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { TOOL_FOLDER } from "../../src/files/program.ts";
import { lastLine, notFetched, run, say, sha256, ToolError } from "./install.ts";

interface GoProgram {
  readonly package: string;
  readonly version: string;
  /** On two quiet cores with empty caches. */
  readonly minutes: number;
  /** `-X` settings of the linker. */
  readonly settings?: readonly string[];
}

const PROGRAMS = {
  helm: { package: "helm.sh/helm/v4/cmd/helm", version: "4.3.2", minutes: 1 },
  etcd: { package: ".", version: "3.7.3", minutes: 1 },
  "kube-apiserver": {
    package: "k8s.io/kubernetes/cmd/kube-apiserver",
    version: "1.37.2",
    minutes: 5,
    // Clients parse it.
    settings: ["k8s.io/component-base/version.gitVersion=v1.37.2"],
  },
  "envoy-gateway": { package: "github.com/envoyproxy/gateway/cmd/envoy-gateway", version: "1.9.1", minutes: 6 },
  "istiod-files": { package: ".", version: "1.31-dev", minutes: 4 },
} as const satisfies Readonly<Record<string, GoProgram>>;

export type GoProgramName = keyof typeof PROGRAMS;

const variableOf = (name: GoProgramName) => name.toUpperCase().replaceAll("-", "_");

/** The program's path: what a variable names (HELM, KUBE_APISERVER), else what was built. @throws with what to do */
export function goProgram(name: GoProgramName): string {
  const named = process.env[variableOf(name)];
  if (named !== undefined && named !== "") return named;
  const built = join(TOOL_FOLDER, name);
  if (!existsSync(built)) throw new Error(`${name} is not there. Run: npm run tools ${name}`);
  return built;
}

/** True if it can be run: it was built, or a variable names it. */
export function hasGoProgram(name: GoProgramName): boolean {
  return (process.env[variableOf(name)] ?? "") !== "" || existsSync(join(TOOL_FOLDER, name));
}

/** Builds it unless it stands there already. @throws {ToolError} without Go, or when it does not build */
export function buildGoProgram(name: GoProgramName): void {
  if ((process.env[variableOf(name)] ?? "") !== "") return;
  const { package: of, version, minutes, settings = [] }: GoProgram = PROGRAMS[name];
  const source = resolve(import.meta.dirname, "../go", name);
  const flags = ["-trimpath", "-mod=readonly", "-ldflags", ["-s -w", ...settings.map((one) => `-X ${one}`)].join(" ")];
  const stamp = join(TOOL_FOLDER, `.${name}.built`);
  const wanted = stampOf(source, [of, ...flags]);
  if (existsSync(join(TOOL_FOLDER, name)) && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  say(`${name} ${version}: building with Go (about ${minutes} min on two cores the first time) …`);
  mkdirSync(TOOL_FOLDER, { recursive: true });
  const args = ["build", "-C", source, ...flags, "-o", join(TOOL_FOLDER, name), of];
  const built = run("go", args, { CGO_ENABLED: "0" });
  if (built.missing) throw new ToolError(`${name} is built with Go, and Go is not here: install Go 1.26 or newer.`);
  if (!built.ok && /proxy|dial|lookup/i.test(built.output)) {
    const instead = `name one with the variable ${variableOf(name)}.`;
    throw notFetched(`${name}: the Go modules`, built.output, { mirror: "GOPROXY", instead });
  }
  if (!built.ok) throw new ToolError(`${name}: the build failed: ${lastLine(built.output)}`);
  writeFileSync(stamp, wanted);
  say(`${name}: ready`);
}

/** Of what it is built from. */
function stampOf(source: string, command: readonly string[]): string {
  const files = ["go.mod", "go.sum", "main.go"].map((name) => join(source, name)).filter((file) => existsSync(file));
  return sha256([...command, ...files.map((file) => readFileSync(file, "utf8"))].join("\0"));
}
