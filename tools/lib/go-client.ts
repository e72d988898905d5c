// Builds the MCP client on the Go SDK for the matrix of clients and servers, where Go is here. I/O: Go, the module proxy.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { TOOL_FOLDER } from "../../src/files/program.ts";
import { lastLine, notFetched, run, say, sha256, ToolError } from "./install.ts";

const SOURCE = resolve(import.meta.dirname, "../../test/conformance/matrix/go");
const FOLDER = join(TOOL_FOLDER, "../go-client");

/** What its stamp says: the sources that it was built from. */
function wanted(): string {
  return sha256(["main.go", "go.mod", "go.sum"].map((name) => readFileSync(join(SOURCE, name), "utf8")).join("\0"));
}

/** @throws {ToolError} without Go, or when it does not build; go.sum pins what it is built from */
export function installGoClient(): void {
  const stamp = join(FOLDER, ".installed");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted()) return;
  say("go-client: building an MCP client on the Go SDK …");
  rmSync(FOLDER, { recursive: true, force: true });
  const caches = join(FOLDER, "go");
  mkdirSync(caches, { recursive: true });
  const env = {
    GOPATH: caches,
    GOMODCACHE: join(caches, "mod"),
    GOCACHE: join(caches, "build"),
    GOFLAGS: "-modcacherw -mod=readonly",
    CGO_ENABLED: "0",
  };
  try {
    const built = run("go", ["build", "-C", SOURCE, "-o", join(FOLDER, "client"), "."], env);
    if (built.missing) throw new ToolError("go-client is built with Go, and Go is not here: install Go 1.25 or newer.");
    if (!built.ok && /proxy|dial|lookup/i.test(built.output)) {
      const instead = "leave the tests with it out.";
      throw notFetched("go-client: the Go modules", built.output, { mirror: "GOPROXY", instead });
    }
    if (!built.ok) throw new ToolError(`go-client: the build failed: ${lastLine(built.output)}`);
    writeFileSync(stamp, wanted());
    say("go-client: ready");
  } finally {
    rmSync(caches, { recursive: true, force: true });
  }
}
