// F19: SIGUSR1 opens no inspector, however the program is started.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { freePort } from "../../demo/ports.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const PROGRAM = join(ROOT, "src/cli/mcp-authz.ts");
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-inspector-"));
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The TCP sockets that a process listens on, by inode (Linux). */
function listening(pid: number): string[] {
  const listeners = ["tcp", "tcp6"].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, "utf8")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === "0A")
      .map((fields) => `socket:[${fields[9]}]`),
  );
  const mine = new Set(
    readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`);
      } catch {
        return "";
      }
    }),
  );
  return listeners.filter((inode) => mine.has(inode));
}

/** A broker: it needs no other part to run. */
async function start(
  command: string,
  args: readonly string[],
): Promise<{ child: ChildProcess; healthy: () => Promise<boolean> }> {
  const [broker, brokerOps] = await Promise.all([freePort(), freePort()]);
  const file = join(folder, "mcp-authz.yaml");
  const config = {
    publicOrigin: "https://gw.example.com",
    listen: { broker: `127.0.0.1:${broker}`, brokerOps: `127.0.0.1:${brokerOps}` },
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k", file: "w.pem" }] },
    servers: { demo: { url: "http://127.0.0.1:9/mcp", credential: [{ none: {} }] } },
  };
  writeFileSync(file, stringify(config));
  const child = spawn(command, [...args, "broker", "--config", file], { cwd: folder, stdio: "ignore" });
  children.push(child);
  const healthy = () =>
    fetch(`http://127.0.0.1:${brokerOps}/healthz`).then(
      ({ status }) => status === 200,
      () => false,
    );
  await vi.waitFor(async () => expect(await healthy()).toBe(true), { timeout: 15_000, interval: 100 });
  return { child, healthy };
}

it.each<[string, () => [string, string[]]]>([
  ["by node", () => [process.execPath, [PROGRAM]]],
  ["by itself", () => [PROGRAM, []]],
  ["by ./mcp-authz, whose process it becomes", () => [join(ROOT, "mcp-authz"), []]],
  [
    "by a link, as npx does",
    () => {
      const link = join(folder, "mcp-authz");
      symlinkSync(PROGRAM, link);
      return [link, []];
    },
  ],
])("started %s: the signal does nothing", async (_, how) => {
  const { child, healthy } = await start(...how());
  const before = listening(child.pid ?? 0);
  expect(before.length).toBe(2); // the broker and its ops listener
  child.kill("SIGUSR1");
  child.kill("SIGUSR1");
  await delay(500);
  expect(listening(child.pid ?? 0)).toEqual(before);
  expect([child.exitCode, child.signalCode, await healthy()]).toEqual([null, null, true]);
});

it("what images run has the option from the first moment on", () => {
  const stages = readFileSync(join(ROOT, "Dockerfile"), "utf8")
    .split(/^FROM /m)
    .slice(1);
  const running = stages.filter((stage) => stage.includes("ENTRYPOINT"));
  expect(running.length).toBe(2);
  for (const stage of running) expect(stage).toMatch(/^ENV .*\bNODE_OPTIONS=--disable-sigusr1\b/m);
});
