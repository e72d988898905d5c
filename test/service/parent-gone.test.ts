// A command of ours ends when it is told to, whoever started it: npm and npx give a signal to a shell, which ends without passing it on.
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { freePort } from "../../demo/ports.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const PROGRAM = join(ROOT, "mcp-authz");
const SOON = { timeout: 15_000, interval: 100 };
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-parent-"));
const groups: number[] = [];

afterEach(() => {
  for (const group of groups.splice(0)) {
    try {
      process.kill(-group, "SIGKILL");
    } catch {
      // The group has ended.
    }
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const npmVariables = Object.keys(process.env).filter((name) => name.startsWith("npm_"));
const withoutNpm = Object.fromEntries(Object.entries(process.env).filter(([name]) => !npmVariables.includes(name)));

/** In a process group of its own, as a terminal does it; its output is in `log()`. */
function start(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const options = { cwd: folder, detached: true, env: { ...withoutNpm, ...env } } as const;
  const child: ChildProcess = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  groups.push(child.pid ?? 0);
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (data: Buffer) => (log += data.toString()));
  return { child, log: () => log };
}

interface Broker {
  readonly port: number;
  /** A shell line that starts it and then writes its exit code to `codeFile`. */
  readonly line: string;
  readonly codeFile: string;
  healthy(): Promise<boolean>;
}

/** A broker: it needs no other part to run. */
async function broker(): Promise<Broker> {
  const [port, ops] = await Promise.all([freePort(), freePort()]);
  const file = join(folder, `${port}.yaml`);
  const config = {
    publicOrigin: "https://gw.example.com",
    listen: { broker: `127.0.0.1:${port}`, brokerOps: `127.0.0.1:${ops}` },
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k", file: "w.pem" }] },
    servers: { demo: { url: "http://127.0.0.1:9/mcp", credential: [{ none: {} }] } },
  };
  writeFileSync(file, stringify(config));
  const healthy = () =>
    fetch(`http://127.0.0.1:${ops}/healthz`).then(
      ({ status }) => status === 200,
      () => false,
    );
  return {
    line: `${PROGRAM} broker --config ${file}; echo $? > ${file}.code`,
    codeFile: `${file}.code`,
    healthy,
    port,
  };
}

/** A program, as npx is, that runs a line by a shell; it knows nothing of what the line starts. */
const viaShell = (line: string) =>
  `require("child_process").spawn("sh", ["-c", ${JSON.stringify(line)}], { stdio: "inherit" })`;

const untilUp = ({ healthy }: Broker) => vi.waitFor(async () => expect(await healthy()).toBe(true), SOON);
const untilDown = ({ healthy }: Broker) => vi.waitFor(async () => expect(await healthy()).toBe(false), SOON);

describe("whoever started it is gone", () => {
  it.each<[string, Readonly<Record<string, string>>, (line: string) => string]>([
    ["a shell below npx", { npm_command: "exec" }, viaShell],
    ["two shells below a script of npm", { npm_lifecycle_event: "serve" }, (line) => viaShell(`sh -c '${line}'; true`)],
  ])("%s: it ends in order when that was killed, and its ports are free", async (_, env, script) => {
    const service = await broker();
    const { child, log } = start(process.execPath, ["-e", script(service.line)], env);
    await untilUp(service);
    child.kill("SIGKILL");
    await untilDown(service);
    await vi.waitFor(() => expect(existsSync(service.codeFile)).toBe(true), SOON);
    expect(readFileSync(service.codeFile, "utf8")).toBe("0\n");
    expect(log()).toContain('"event":"parent_gone"');
  });

  it("SIGTERM to a real npm", async () => {
    const service = await broker();
    writeFileSync(join(folder, "package.json"), JSON.stringify({ scripts: { serve: service.line } }));
    const { child, log } = start("npm", ["run", "serve", "--no-update-notifier"], { HOME: folder });
    await untilUp(service);
    child.kill("SIGTERM");
    await untilDown(service);
    expect(log()).toContain('"event":"parent_gone"');
  });

  it("a shell that goes on as another program is not gone", async () => {
    const service = await broker();
    const goOn = `${service.codeFile}.go-on`;
    const line = `${service.line.split(";")[0] ?? ""} & until [ -e ${goOn} ]; do sleep 0.1; done; exec sleep 60`;
    const { log } = start(process.execPath, ["-e", viaShell(line)], { npm_lifecycle_event: "serve" });
    await untilUp(service);
    writeFileSync(goOn, "");
    await delay(2500); // two looks would have seen it
    expect([await service.healthy(), log().includes("parent_gone")]).toEqual([true, false]);
  });

  it("who opens so many connections that no file can be read does not end it", async () => {
    const service = await broker();
    const script = viaShell(`ulimit -n 64; ${service.line}`);
    const { log } = start(process.execPath, ["-e", script], { npm_lifecycle_event: "serve" });
    await untilUp(service);
    const sockets = Array.from({ length: 100 }, () => connect(service.port, "127.0.0.1").on("error", () => {}));
    await delay(2500); // two looks would have ended it
    for (const socket of sockets) socket.destroy();
    await untilUp(service);
    expect(log()).not.toContain("parent_gone");
  });

  it("a service that was put into the background on purpose goes on", async () => {
    const service = await broker();
    const { child } = start(process.execPath, ["-e", viaShell(service.line)]);
    await untilUp(service);
    child.kill("SIGKILL");
    await delay(2500); // two looks would have seen it
    expect(await service.healthy()).toBe(true);
  });
});

/** A service that needs 3 s to end in order. */
const SLOW = `
  import { untilSignal } from ${JSON.stringify(join(ROOT, "src/ops/signals.ts"))};
  const say = (event) => console.log(event);
  const hold = setInterval(() => {}, 1000);
  const code = untilSignal({
    terminate: () => new Promise((done) => setTimeout(done, 3000)),
    reload: async () => {},
    log: { debug: say, info: say, warn: say, error: say },
  });
  say("up");
  process.exitCode = await code;
  say("in order");
  clearInterval(hold);
`;

describe("a service that is ending", () => {
  it("the end of its parent is no second signal: what is under way is finished", async () => {
    const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", SLOW];
    const script = `require("child_process").spawn(process.execPath, ${JSON.stringify(args)}, { stdio: "inherit" })`;
    const { child, log } = start(process.execPath, ["-e", script], { npm_command: "exec" });
    await vi.waitFor(() => expect(log()).toContain("up"), SOON);
    process.kill(-(child.pid ?? 0), "SIGTERM"); // the parent has no handler and ends at once
    await vi.waitFor(() => expect(log()).toContain("in order"), SOON);
    expect(log()).toBe("up\nsignal\nin order\n");
  });

  it("a second Ctrl-C ends it at once, with 1", async () => {
    const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", SLOW];
    const { child, log } = start(process.execPath, args);
    const exited = new Promise<number | null>((done) => child.on("exit", done));
    await vi.waitFor(() => expect(log()).toContain("up"), SOON);
    child.kill("SIGINT");
    await vi.waitFor(() => expect(log()).toContain("signal"), SOON);
    child.kill("SIGINT");
    expect(await exited).toBe(1);
    expect(log()).not.toContain("in order");
  });
});
