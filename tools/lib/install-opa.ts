// Brings opa: the official static binary where its sum is pinned (tools/opa.sha256) and its host is reached, else built with Go.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { TOOL_FOLDER } from "../../src/files/program.ts";
import { NEEDED_OPA } from "../../src/policy/opa.ts";
import { bringIt, lastLine, notFetched, place, PLATFORM, run, say, sha256, ToolError } from "./install.ts";

const OPA = {
  module: "github.com/open-policy-agent/opa",
  version: "v1.22.2",
  /** What the Go checksum database says of the module. */
  sum: "h1:WzqReKk2VjcvBN/NQTlcIxKqFPKpzIdb6KYMHzPEbe0=",
};
/** `OPA_RELEASES` names a mirror. */
const RELEASES = `https://${OPA.module}/releases/download`;
const BINARIES: Readonly<Record<string, string>> = {
  "linux-x64": "opa_linux_amd64_static",
  "linux-arm64": "opa_linux_arm64_static",
  "darwin-x64": "opa_darwin_amd64",
  "darwin-arm64": "opa_darwin_arm64_static",
};
const SUMS_FILE = resolve(import.meta.dirname, "../opa.sha256");
const DOWNLOAD_MS = 10 * 60_000;

export async function installOpa(folder: string): Promise<void> {
  const binary = BINARIES[PLATFORM];
  const sum = binary === undefined ? undefined : sumOf(binary, readFileSync(SUMS_FILE, "utf8"));
  if (binary !== undefined && sum !== undefined && (await download(folder, binary, sum))) return;
  build(folder);
}

/** Of a file in the form of sha256sum: "HEX  NAME" a line, comments with "#". */
export function sumOf(name: string, sums: string): string | undefined {
  const entries = sums.matchAll(/^([0-9a-f]{64}) [ *](\S+)$/gm);
  return [...entries].find(([, , file]) => file === name)?.[1];
}

/** @returns false where the host was not reached: then there is another way */
async function download(folder: string, binary: string, sum: string): Promise<boolean> {
  const base = process.env["OPA_RELEASES"] ?? RELEASES;
  say(`opa ${OPA.version}: downloading the official binary (about 60 MB) …`);
  let content: Uint8Array;
  try {
    const response = await fetch(`${base}/${OPA.version}/${binary}`, { signal: AbortSignal.timeout(DOWNLOAD_MS) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    content = new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    say(
      `opa: the binary could not be fetched (${cause instanceof Error ? cause.message : "failed"}); OPA_RELEASES names a mirror.`,
    );
    return false;
  }
  if (sha256(content) !== sum)
    throw new ToolError(`opa: ${binary} has another SHA-256 than the pinned one. Nothing was installed.`);
  const file = join(folder, "opa");
  writeFileSync(file, content);
  place(file, "opa");
  return true;
}

/** Go's modules and build cache: in the project's folder, and only while opa is built. */
const GO_FOLDER = join(TOOL_FOLDER, "../go");

function build(folder: string): void {
  say(
    `opa ${OPA.version}: building with Go (about two minutes on a quiet machine, ten on a busy one; about 1 GB in .tools/go meanwhile) …`,
  );
  mkdirSync(GO_FOLDER, { recursive: true });
  try {
    buildIn(folder, {
      GOPATH: GO_FOLDER,
      GOMODCACHE: join(GO_FOLDER, "mod"),
      GOCACHE: join(GO_FOLDER, "build"),
      GOFLAGS: "-modcacherw", // else its files cannot be removed
    });
  } finally {
    rmSync(GO_FOLDER, { recursive: true, force: true });
  }
}

function buildIn(folder: string, env: Readonly<Record<string, string>>): void {
  const hint = `install Go 1.26 or newer, or name an opa ${NEEDED_OPA} or newer with the variable OPA.`;
  const module = `${OPA.module}@${OPA.version}`;
  const fetched = run("go", ["mod", "download", "-json", module], { ...env, GOFLAGS: `${env["GOFLAGS"]} -mod=mod` });
  if (fetched.missing) throw new ToolError(`opa is built with Go, and Go is not here: ${hint}`);
  if (!fetched.ok) {
    const instead = bringIt("opa", `${NEEDED_OPA} or newer`);
    throw notFetched(`opa: the Go module ${module}`, fetched.output, { mirror: "GOPROXY", instead });
  }
  if (!fetched.output.includes(`"Sum": "${OPA.sum}"`))
    throw new ToolError("opa: the module has another checksum than the pinned one. Nothing was built.");
  const built = run("go", ["install", module], { ...env, GOBIN: folder, CGO_ENABLED: "0" });
  if (!built.ok)
    throw new ToolError(`opa: the build failed: ${lastLine(built.output)}. Is Go 1.26 or newer here? If not, ${hint}`);
  place(join(folder, "opa"), "opa");
}
