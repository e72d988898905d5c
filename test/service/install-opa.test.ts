// `npm run tools opa` against a host on loopback and a Go that only writes down how it was called.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { sumOf } from "../../tools/lib/install-opa.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-install-opa-"));
const clone = join(folder, "clone");
const bin = join(folder, "bin");
const BINARY = '#!/bin/sh\necho "Version: 1.22.2"\n';
const NAMES = ["opa_linux_amd64_static", "opa_linux_arm64_static", "opa_darwin_amd64", "opa_darwin_arm64_static"];

let server: Server;
let base: string;
let asked: (string | undefined)[] = [];
beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(request.url);
    response.end(BINARY);
  }).listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  for (const name of ["src/files", "src/policy", "tools", "package.json"])
    cpSync(join(ROOT, name), join(clone, name), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(clone, "node_modules"));
  mkdirSync(bin);
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A program on the PATH of the installer. */
function program(name: string, script: string): void {
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(bin, name), 0o755);
}

const goLog = join(folder, "go.log");
beforeEach(() => {
  asked = [];
  for (const path of [goLog, join(clone, ".tools"), join(bin, "opa")]) rmSync(path, { recursive: true, force: true });
  const module = readFileSync(join(ROOT, "tools/lib/install-opa.ts"), "utf8");
  const sum = /"(h1:[^"]+)"/.exec(module)?.[1] ?? "";
  program(
    "go",
    `echo "$GOPATH $GOMODCACHE $GOCACHE" >> ${goLog}
/bin/mkdir -p "$GOMODCACHE" "$GOCACHE"
if [ "$1" = mod ]; then echo '"Sum": "${sum}"'; else echo x > "$GOBIN/opa"; fi`,
  );
});

function pin(content: string): void {
  const sum = createHash("sha256").update(content).digest("hex");
  writeFileSync(join(clone, "tools/opa.sha256"), NAMES.map((name) => `${sum}  ${name}\n`).join(""));
}

function install(releases = base): Promise<{ code: number; said: string }> {
  const env = { PATH: bin, HOME: folder, OPA_RELEASES: releases };
  return new Promise((done) => {
    execFile(process.execPath, ["tools/install-tools.ts", "opa"], { cwd: clone, env }, (error, _, stderr) =>
      done({ code: error === null ? 0 : 1, said: stderr }),
    );
  });
}
const installed = () => existsSync(join(clone, ".tools/bin/opa"));
const built = () => existsSync(goLog);

describe("npm run tools opa", () => {
  it("takes the official binary of the pinned sum", async () => {
    pin(BINARY);
    expect(await install()).toMatchObject({ code: 0, said: expect.stringMatching(/opa: ready/) as string });
    expect(readFileSync(join(clone, ".tools/bin/opa"), "utf8")).toBe(BINARY);
    expect([asked, built()]).toEqual([[expect.stringMatching(/^\/v1\.22\.2\/opa_\w+$/)], false]);
  });

  it("takes nothing of another sum, and does not go on", async () => {
    pin("another one");
    expect(await install()).toMatchObject({ code: 1, said: expect.stringMatching(/another SHA-256/) as string });
    expect([installed(), built()]).toEqual([false, false]);
  });

  it("builds with Go where the host is not reached, with Go's caches in the project's folder and gone afterwards", async () => {
    pin(BINARY);
    const { code, said } = await install("http://127.0.0.1:1");
    expect([code, said]).toEqual([
      0,
      expect.stringMatching(/could not be fetched[^]*OPA_RELEASES[^]*ten on a busy one/),
    ]);
    const tools = join(clone, ".tools");
    for (const path of readFileSync(goLog, "utf8").trim().split(/\s+/)) expect(path.startsWith(`${tools}/`)).toBe(true);
    expect([installed(), existsSync(join(tools, "go"))]).toEqual([true, false]);
  });

  it("downloads nothing without a pinned sum", async () => {
    writeFileSync(join(clone, "tools/opa.sha256"), readFileSync(join(ROOT, "tools/opa.sha256")));
    const sums = readFileSync(join(ROOT, "tools/opa.sha256"), "utf8");
    const { code } = await install();
    expect(code).toBe(0);
    expect([asked.length, built()]).toEqual(NAMES.some((name) => sumOf(name, sums)) ? [1, false] : [0, true]);
  });

  it("does not take a refused one on the PATH for one that is there; a good one it does", async () => {
    pin(BINARY);
    program("opa", 'echo "Version: 1.21.0"');
    await install();
    expect(installed()).toBe(true);
    rmSync(join(clone, ".tools"), { recursive: true });
    program("opa", 'echo "Version: 1.22.3"');
    expect(await install()).toMatchObject({ code: 0 });
    expect(installed()).toBe(false);
  });
});
