// serve with a clock that is hours off: its tokens are refused, and everything that an operator looks at says why.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { startLab, type Lab } from "../../demo/lab.ts";
import { newsOf } from "../../demo/news.ts";
import { freePorts } from "../../demo/ports.ts";
import { jsonLines } from "../../demo/lab-interface.ts";
import { legacy, reasonOf } from "./client.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const HOUR = 3600_000;
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-clock-"));
let lab: Lab | undefined;
afterEach(async () => lab?.stop());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** An environment in which it is later. */
const clock = (shiftMs: number) => ({
  NODE_OPTIONS: `--import=${join(ROOT, "test/fakes/shifted-clock.ts")}`,
  CLOCK_SHIFT_MS: String(shiftMs),
});

async function start(shiftMs: number): Promise<Lab> {
  const ports = await freePorts();
  const options = { folder: join(folder, `at${shiftMs}`), ports, policyFolder: null, progress: () => {} };
  return (lab = await startLab({ ...options, serveEnv: clock(shiftMs) }));
}

async function call({ gateway, idp }: Lab): Promise<[number, unknown]> {
  const to = { token: await idp.mint("alice"), path: "/servers/demo/mcp" };
  const reply = await legacy(gateway, "tools/call", { name: "whoami", arguments: {} }, to);
  return [reply.status, reasonOf(reply)];
}

/** `why` on the machine of that serve. */
async function why({ folder: at, configFile, idp }: Lab, shiftMs: number): Promise<string> {
  const tokenFile = join(at, "alice.token");
  writeFileSync(tokenFile, await idp.mint("alice"), { mode: 0o600 });
  const args = ["--config", configFile, "--token-file", tokenFile, "--server", "demo", "--tool", "whoami"];
  const env = { ...process.env, ...clock(shiftMs) };
  return new Promise((done) => {
    execFile(process.execPath, [join(ROOT, "src/cli/mcp-authz.ts"), "why", ...args], { env }, (_, out) => done(out));
  });
}

describe("a wrong clock", () => {
  it.each([
    [9, "token_expired", /^$/, /\d+ s behind/], // tokens of the demo live for 8 hours
    [-2, "token_invalid", /iat is in the future, if this machine's clock is right/, /\d+ s ahead of/],
  ] as const)("%s h ahead: %s, and both times in the log and in why", async (hours, reason, detail, apart) => {
    const { auditFile, children, idp } = await start(hours * HOUR);
    if (lab === undefined) return;
    expect(await call(lab)).toEqual([401, "unauthorized"]); // a client learns no more
    const line = await vi.waitFor(() => jsonLines(readFileSync(auditFile, "utf8"))[0] ?? expect.fail("not yet"));
    expect([line["reason"], String(line["detail"] ?? "")]).toEqual([reason, expect.stringMatching(detail)]);
    const said = jsonLines(children.serve.output()).find(({ event }) => event === "clock_differs");
    expect(said).toMatchObject({ level: "warn", issuer: idp.issuer, message: expect.stringMatching(apart) as string });
    const [theirs = 0, ours = 0] = ["issuer_time", "own_time"].map((name) => Date.parse(String(said?.[name])));
    expect(Math.round((ours - theirs) / HOUR)).toBe(hours);
    expect(newsOf(JSON.stringify(said), "policies/demo")).toMatch(/^A clock is wrong: the issuer's clock is \d+ s/);
    const explained = await why(lab, hours * HOUR);
    expect(explained).toMatch(new RegExp(`^refuse ${reason}\\n`));
    expect(explained).toMatch(/the clock here says \d{4}-/);
    expect(explained).toMatch(/CLOCK: it is \d{4}-\S+ here and \d{4}-\S+ at http:.*set the one that is wrong/);
  });

  it("of some seconds is nothing to tell", async () => {
    const { children } = await start(20_000);
    if (lab !== undefined) expect(await call(lab)).toEqual([200, undefined]);
    expect(children.serve.output()).not.toContain("clock_differs");
  });
});
