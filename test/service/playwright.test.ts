// Playwright's MCP server behind the broker: it pings each session and ends the one that does not answer, and it keeps a browser for each.
// Where there is a browser (`CHROMIUM`, a program's path), it is used; without one the server says that it has none.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { join, dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { freePort } from "../../demo/ports.ts";
import { startTestBroker, type TestBroker } from "../fakes/broker.ts";
import { sdkSessionClient } from "../fakes/sdk-session-client.ts";

const PROGRAM = join(dirname(createRequire(import.meta.url).resolve("@playwright/mcp/package.json")), "cli.js");
const CHROMIUM = process.env["CHROMIUM"];
/** It pings each session every 3 s, and ends one that does not answer within 5 s. */
const HEARTBEATS_MS = 9000;

let child: ChildProcess;
let broker: TestBroker;
const requests: string[] = [];
beforeAll(async () => {
  const port = await freePort();
  const browser = CHROMIUM === undefined ? [] : ["--executable-path", CHROMIUM, "--no-sandbox"];
  const args = [PROGRAM, "--port", String(port), "--host", "127.0.0.1", "--isolated", "--headless", ...browser];
  child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => requests.push(text));
  // It answers to this name only, against DNS rebinding.
  broker = await startTestBroker({ s: { url: `http://localhost:${port}/mcp` } }, { clientSessions: {} });
  await vi.waitFor(() => expect(requests.join("")).toContain("Listening"), 30_000);
}, 60_000);
afterAll(async () => {
  await broker.close();
  const ended = once(child, "exit");
  child.kill();
  await ended;
});

async function begin() {
  const { client, connect } = sdkSessionClient(broker.port, {});
  await connect();
  const call = async (name: string, args: Record<string, unknown>) => {
    const { content } = await client.callTool({ name, arguments: args });
    return (content as { text?: string }[]).map(({ text }) => text ?? "").join("\n");
  };
  const open = (title: string) => call("browser_navigate", { url: `data:text/html,<title>${title}</title>` });
  return { client, call, open };
}

it("each client has a session and a browser of her own, and keeps them over the server's heartbeats", async () => {
  const [one, two] = [await begin(), await begin()];
  const said = [await one.open("first"), await two.open("second")];
  await delay(HEARTBEATS_MS);
  const tabs = [await one.call("browser_tabs", { action: "list" }), await two.call("browser_tabs", { action: "list" })];
  if (CHROMIUM === undefined) {
    for (const text of [...said, ...tabs]) expect(text).toMatch(/not (?:installed|found)/i);
  } else {
    expect(said[0]).toContain("first");
    expect([tabs[0]?.includes("second"), tabs[1]?.includes("first")]).toEqual([false, false]);
    expect([tabs[0], tabs[1]]).toEqual([expect.stringContaining("first"), expect.stringContaining("second")]);
  }
  expect(broker.clientSessions()).toBe(2); // none was lost
  for (const { client } of [one, two]) await client.close();
}, 60_000);
