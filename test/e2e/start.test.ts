// `npm start` as a person runs it: it comes up, a second one says what is wrong, and Ctrl-C leaves nothing behind.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { WORLD_STEPS } from "../../demo/demo-steps.ts";
import { ownPorts, takenPort, withFixedPorts } from "../../demo/ports.ts";
import { setAside, startScreen, whyScreen, withScreen } from "../../demo/screens.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const { env: portVariables, ports } = await ownPorts();
const env = { ...process.env, ...portVariables };
const run = () =>
  spawn(process.execPath, ["tools/run.mjs", "start"], {
    cwd: ROOT,
    detached: true,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
const started: ChildProcess[] = [];
const BROKEN_EDIT = join(ROOT, "run/demo/policies/of-a-test.rego");
const putBack = setAside(join(ROOT, "run/demo/policies"));
afterAll(() => {
  for (const { pid = 0 } of started) {
    try {
      process.kill(-pid, "SIGTERM"); // SIGKILL would leave what the demo has started
    } catch {
      // The whole group has ended.
    }
  }
  putBack();
});

async function until(check: () => boolean | Promise<boolean>): Promise<boolean> {
  const end = Date.now() + 60_000;
  while (Date.now() < end) {
    if (await check()) return true;
    await new Promise((done) => setTimeout(done, 100));
  }
  return false;
}

/** A broken edit is in the terminal within about 2 s, and so is the one that mends it. Then the policy is as it was. */
async function expectPolicyNews(text: () => string): Promise<void> {
  const quietSoFar = text();
  const says = async (line: RegExp) => {
    const from = Date.now();
    expect(await until(() => line.test(text().slice(quietSoFar.length)))).toBe(true);
    return Date.now() - from;
  };
  writeFileSync(BROKEN_EDIT, "package mcp.authz\n\nallow if {\n");
  const broken = says(
    /^Policy NOT taken: run\/demo\/policies\/of-a-test\.rego:\d+: rego_parse_error: .*\. The last good policy stays in force\.$/m,
  );
  expect(await broken).toBeLessThan(4000); // 2 s on a machine that does nothing else
  rmSync(BROKEN_EDIT);
  expect(await says(/^Policy is live: revision [0-9a-f]{12}\.$/m)).toBeLessThan(4000);
  expect(text().slice(quietSoFar.length).trim().split("\n")).toHaveLength(2);
}

describe("npm start", () => {
  it("a taken port is one sentence and exit 1", async () => {
    const server = createServer();
    await new Promise<void>((done) => server.listen(ports.idp, "127.0.0.1", done));
    const { status, stderr } = spawnSync(process.execPath, ["tools/run.mjs", "start"], {
      cwd: ROOT,
      encoding: "utf8",
      env,
    });
    await new Promise((done) => server.close(done));
    expect([status, stderr.trim()]).toEqual([
      1,
      `Port ${ports.idp} (idp) is taken by another program. End it (is the demo running already?), or choose another: IDP_PORT=${ports.idp + 10_000} npm start`,
    ]);
  });

  it("comes up, prints lines that work, and ends every child when it is told to twice", async () => {
    const before = spawnSync("git", ["status", "--porcelain", "policies", "deploy"], {
      cwd: ROOT,
      encoding: "utf8",
    }).stdout;
    const child = run();
    started.push(child);
    let text = "";
    child.stdout.on("data", (data: Buffer) => (text += data.toString()));
    expect(await until(() => text.includes("Ctrl-C ends everything."))).toBe(true);
    const lines = text.split("\n").filter((line) => line.trim().startsWith("curl -si"));
    expect(lines).toHaveLength(WORLD_STEPS.length);
    for (const [i, step] of WORLD_STEPS.entries()) {
      const pasted = spawnSync("sh", ["-c", lines[i] ?? ""], { cwd: ROOT, encoding: "utf8" });
      for (const shown of step.shows) expect(pasted.stdout, step.title).toContain(shown);
    }
    const why = /\.\/mcp-authz (why .*)/.exec(text)?.[1]?.split(" ") ?? [];
    const explained = spawnSync(process.execPath, ["src/cli/mcp-authz.ts", ...why], { cwd: ROOT, encoding: "utf8" });
    expect(explained.status).toBe(1);
    const readme = readFileSync(join(ROOT, "README.md"), "utf8");
    const fixed = (output: string) => withFixedPorts(output, ports);
    const renewed = withScreen(
      withScreen(readme, "start", startScreen(fixed(text))),
      "why",
      whyScreen(fixed(explained.stdout)),
    );
    expect(renewed, "npm run screens renews them").toBe(readme);
    await expectPolicyNews(() => text);
    const dirty = spawnSync("git", ["status", "--porcelain", "policies", "deploy"], { cwd: ROOT, encoding: "utf8" });
    expect(dirty.stdout, "the demo edits no file of the project").toBe(before);
    expect(readdirSync(join(ROOT, "run/demo/logs"))).toEqual(expect.arrayContaining(["budget.log", "openbao.log"]));
    const exited = new Promise<number | null>((done) => child.on("exit", done));
    // The whole group and our forwarding both deliver it, as a terminal and npm do.
    if (child.pid !== undefined) process.kill(-child.pid, "SIGTERM");
    expect(await exited).toBe(0);
    expect(await until(async () => (await takenPort(ports)) === null)).toBe(true);
  }, 150_000);

  it("ends every child, too, when the npm that started it is killed", async () => {
    const npm = spawn("npm", ["start"], { cwd: ROOT, detached: true, env, stdio: ["ignore", "pipe", "pipe"] });
    started.push(npm);
    let text = "";
    npm.stdout.on("data", (data: Buffer) => (text += data.toString()));
    expect(await until(() => text.includes("Ctrl-C ends everything."))).toBe(true);
    npm.kill("SIGKILL");
    expect(await until(async () => (await takenPort(ports)) === null)).toBe(true);
    expect(text).toContain("Ending …");
  }, 150_000);
});
