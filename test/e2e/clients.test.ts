// Real MCP clients, each from nothing but the URL: 401 → resource metadata → authorization server → registration → login
// → list → call → refusal.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import * as v2 from "@modelcontextprotocol/client";
import { Client as V1Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as V1Transport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePort, freePorts } from "../../demo/ports.ts";
import { logIn } from "./browser.ts";
import { loginMemory } from "./login-memory.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-clients-"));
const BIN = join(ROOT, "node_modules/.bin");
let lab: Lab;
let url: string;
let callback: number;

beforeAll(async () => {
  lab = await startLab({ folder, ports: await freePorts(), policyFolder: null, progress: () => {} });
  url = `${lab.gateway}/servers/demo/mcp`;
});
afterAll(async () => {
  await lab.stop();
  rmSync(folder, { recursive: true, force: true });
});

const textOf = (result: unknown) => JSON.stringify(result);

describe.each(["alice", "bob"])("P4.3-2: %s logs in and uses what policy gives her", (person) => {
  const tools = person === "alice" ? ["echo", "search_docs", "transfer", "whoami"] : [];

  it.each([
    ["2026-07-28", { mode: { pin: "2026-07-28" } }],
    ["either revision", { mode: "auto" }],
    ["2025-11-25", undefined],
  ] as const)("with the TypeScript SDK v2, %s", async (_, versionNegotiation) => {
    const provider = loginMemory();
    const options = versionNegotiation === undefined ? {} : { versionNegotiation };
    const connect = async () => {
      const transport = new v2.StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
      const client = new v2.Client({ name: "test", version: "1" }, options);
      return { client, transport, done: client.connect(transport) };
    };
    const first = await connect();
    await expect(first.done).rejects.toBeInstanceOf(v2.UnauthorizedError);
    const back = await logIn(String(provider.kept.asked), person);
    await first.transport.finishAuth(back.searchParams);
    const { client, done } = await connect();
    await done;
    const listed = await client.listTools();
    expect(listed.tools.map(({ name }) => name).sort()).toEqual(tools);
    if (person === "alice") {
      const called = await client.callTool({ name: "whoami", arguments: {} });
      expect(textOf(called)).toContain("demo-credential-of-the-gateway");
      expect(textOf(called)).not.toContain(String(provider.kept.tokens?.access_token));
    }
    await expect(client.callTool({ name: "delete_repo", arguments: { name: "x" } })).rejects.toThrow(/Not allowed/);
    await client.close();
  });

  it("with the TypeScript SDK v1", async () => {
    const provider = loginMemory();
    const connect = () => {
      const transport = new V1Transport(new URL(url), { authProvider: provider as never });
      const client = new V1Client({ name: "test", version: "1" });
      return { client, transport, done: client.connect(transport as never) };
    };
    const first = connect();
    await expect(first.done).rejects.toThrow(/Unauthorized/);
    const back = await logIn(String(provider.kept.asked), person);
    await first.transport.finishAuth(back.searchParams.get("code") ?? "");
    const { client, done } = connect();
    await done;
    const listed = await client.listTools();
    expect(listed.tools.map(({ name }) => name).sort()).toEqual(tools);
    if (person === "alice")
      expect(textOf(await client.callTool({ name: "echo", arguments: { text: "héllo" } }))).toContain("héllo");
    await expect(client.callTool({ name: "delete_repo", arguments: { name: "x" } })).rejects.toThrow(/Not allowed/);
    await client.close();
  });

  it("with the Python SDK", async () => {
    const python = join(ROOT, ".tools/python-sdk/bin/python");
    const script = join(import.meta.dirname, "python/client.py");
    const child = start(python, [script, url]);
    const asked = await lineOf(child, /^authorize (\S+)$/m);
    child.process.stdin?.write(`${(await logIn(asked, person)).href}\n`);
    expect(await child.exited, child.output()).toBe(0);
    const seen = JSON.parse(/^result (.*)$/m.exec(child.output())?.[1] ?? "null") as unknown;
    expect(seen).toEqual({
      tools,
      called: person === "alice" ? "héllo" : "refused: Not allowed",
      hidden: "refused: Not allowed",
    });
  });

  it("with the Inspector's command line", async () => {
    const home = mkdtempSync(join(folder, "inspector-"));
    const env = { HOME: home, MCP_AUTO_OPEN_ENABLED: "true", MCP_INSPECTOR_SECRET_STORE: "file" };
    const inspect = (...args: string[]) =>
      start(join(BIN, "mcp-inspector"), ["--cli", "--server-url", url, "--transport", "http", ...args], env);
    const login = inspect("--method", "tools/list", "--format", "json");
    const asked = await lineOf(login, /(http:\/\/127\.0\.0\.1:\d+\/auth\?\S+)/);
    await fetch(await logIn(asked, person));
    expect(await login.exited, login.output()).toBe(0);
    for (const name of tools) expect(login.output()).toContain(`"${name}"`);
    expect(login.output()).not.toContain("delete_repo");
    const call = inspect(
      "--stored-auth-only",
      "--method",
      "tools/call",
      "--tool-name",
      "delete_repo",
      "--tool-arg",
      "name=x",
    );
    expect(await call.exited).not.toBe(0);
  });

  it("with mcp-remote, for clients that know only stdio", async () => {
    callback = await freePort();
    const home = mkdtempSync(join(folder, "remote-"));
    const transport = new StdioClientTransport({
      command: join(BIN, "mcp-remote"),
      args: [url, String(callback), "--allow-http", "--host", "127.0.0.1"],
      env: { ...process.env, HOME: home, MCP_REMOTE_CONFIG_DIR: home, BROWSER: "true" } as Record<string, string>,
      stderr: "pipe",
    });
    let output = "";
    transport.stderr?.on("data", (data: Buffer) => (output += data.toString()));
    const client = new V1Client({ name: "test", version: "1" });
    const connected = client.connect(transport as never);
    connected.catch(() => {});
    const asked = await until(() => /(http:\/\/127\.0\.0\.1:\d+\/auth\?\S+)/.exec(output)?.[1]);
    await fetch(await logIn(asked, person));
    await connected;
    const listed = await client.listTools();
    expect(listed.tools.map(({ name }) => name).sort()).toEqual(tools);
    await expect(client.callTool({ name: "delete_repo", arguments: { name: "x" } })).rejects.toThrow(/Not allowed/);
    await client.close();
  });
});

interface Started {
  readonly process: ChildProcess;
  readonly exited: Promise<number>;
  output(): string;
}

function start(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Started {
  const child = spawn(command, [...args], { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (text += data.toString()));
  const exited = new Promise<number>((done) => {
    child.on("error", (error) => {
      text += error.message;
      done(127);
    });
    child.on("close", (code) => done(code ?? 1));
  });
  return { process: child, exited, output: () => text };
}

async function lineOf(child: Started, pattern: RegExp): Promise<string> {
  let ended = false;
  void child.exited.then(() => (ended = true));
  return until(() => {
    const found = pattern.exec(child.output())?.[1];
    if (found === undefined && ended) throw new Error(`ended without asking for a login:\n${child.output()}`);
    return found;
  });
}

async function until<T>(look: () => T | undefined): Promise<T> {
  const end = Date.now() + 30_000;
  while (Date.now() < end) {
    const found = look();
    if (found !== undefined) return found;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error("nothing came");
}
