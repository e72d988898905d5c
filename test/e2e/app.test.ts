// An MCP App through the real Envoy, on /mcp and on its server's endpoint: its page is a resource, its calls are calls.
// https://github.com/modelcontextprotocol/ext-apps
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client as OldClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as OldTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePorts } from "../../demo/ports.ts";
import { findTool } from "../../src/files/program.ts";
import { startApp, type TestServer } from "./servers.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-app-"));
/** alice shows and refreshes; the page is granted as a resource of its own. */
const POLICY = `package mcp.authz
import data.mcp_authz

may := {"alice": {
  "tool": ["show_chart", "refresh_chart"],
  "resource": ["ui://chart/*"],
}, "bob": {"tool": ["show_chart"]}}

allow if mcp_authz.matches(may[input.identity.username][input.mcp.kind], input.mcp.name)
`;

interface App {
  tools(): Promise<{ name: string; _meta?: { ui?: { resourceUri?: string } } }[]>;
  call(name: string): Promise<{ content: { type: string; uri?: string; text?: string }[] }>;
  read(uri: string): Promise<{ contents: { uri: string; text?: string; _meta?: unknown }[] }>;
}

let lab: Lab;
let other: TestServer;
let app: TestServer;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  mkdirSync(join(folder, "policies"), { recursive: true });
  writeFileSync(join(folder, "policies/policy.rego"), POLICY);
  [app, other] = await Promise.all([startApp(), startApp()]);
  lab = await startLab({
    folder,
    ports: await freePorts(),
    policyFolder: join(folder, "policies"),
    progress: () => {},
    config: (config) => {
      const credential = [{ none: {} }];
      config["servers"] = { apps: { url: app.url, credential }, "other-app": { url: other.url, credential } };
    },
  });
  const tools = async () => (await (await connect("alice", "/mcp", "modern")).tools()).length;
  await vi.waitFor(async () => expect(await tools()).toBe(4), 20_000);
}, 60_000);
afterAll(async () => {
  for (const close of closing) await close();
  await lab.stop();
  await Promise.all([app.stop(), other.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

/** The official clients, of both eras. */
async function connect(person: string, path: string, era: "modern" | "older"): Promise<App> {
  const headers = { authorization: `Bearer ${await lab.idp.mint(person)}` };
  const [url, options] = [new URL(`${lab.gateway}${path}`), { requestInit: { headers } }];
  const info = { name: "host", version: "1" };
  const client = era === "modern" ? modernClient(info) : new OldClient(info);
  const transport = era === "modern" ? new StreamableHTTPClientTransport(url, options) : new OldTransport(url, options);
  await client.connect(transport as never);
  closing.push(() => client.close());
  return {
    tools: async () => (await client.listTools()).tools as never,
    call: async (name) => client.callTool({ name, arguments: {} }) as never,
    read: async (uri) => client.readResource({ uri }) as never,
  };
}

const modernClient = (info: { name: string; version: string }) =>
  new Client(info, { versionNegotiation: { mode: { pin: "2026-07-28" } } });

const hasTools = findTool("envoy") !== null && findTool("opa") !== null;

describe.skipIf(!hasTools).each(["modern", "older"] as const)("a host of the %s era", (era) => {
  it.each([
    ["/mcp", "apps_", "ui://apps/chart/view.html"],
    ["/mcp", "other-app_", "ui://other-app/chart/view.html"],
    ["/servers/apps/mcp", "", "ui://chart/view.html"],
  ])("on %s (%j) opens the page that the tool names, and its links", async (path, prefix, expected) => {
    const host = await connect("alice", path, era);
    const tool = (await host.tools()).find(({ name }) => name === `${prefix}show_chart`);
    const { _meta: meta } = tool ?? {};
    const uri = meta?.ui?.resourceUri ?? "";
    expect(uri).toBe(expected);
    const { contents } = await host.read(uri);
    const csp = { ui: { csp: { connectDomains: ["https://api.example.com"] } } };
    expect(contents).toMatchObject([{ uri, text: "<html></html>", _meta: csp }]);
    const { content } = await host.call(`${prefix}show_chart`);
    expect(content).toMatchObject([{ uri }, { text: "see ui://chart/view.html" }]);
    expect((await host.call(`${prefix}refresh_chart`)).content).toMatchObject([{ text: "fresh" }]);
  });

  it("F77: what the page calls without her right is refused, and so is a page that policy withholds", async () => {
    for (const [path, prefix, ui] of [
      ["/mcp", "apps_", "ui://apps/"],
      ["/servers/apps/mcp", "", "ui://"],
    ] as const) {
      const [alice, bob] = [await connect("alice", path, era), await connect("bob", path, era)];
      await expect(alice.call(`${prefix}delete_chart`)).rejects.toThrow("Not allowed");
      await expect(alice.read(`${ui}secret/view.html`)).rejects.toThrow("Not allowed");
      await expect(bob.call(`${prefix}refresh_chart`)).rejects.toThrow("Not allowed");
      await expect(bob.read(`${ui}chart/view.html`)).rejects.toThrow("Not allowed");
      expect((await bob.call(`${prefix}show_chart`)).content).toHaveLength(2);
    }
  });

  it("a page is read under its one name only", async () => {
    const alice = await connect("alice", "/mcp", era);
    for (const uri of ["ui://chart/view.html", "apps+ui://chart/view.html", "ui://nobody/chart/view.html"])
      await expect(alice.read(uri)).rejects.toThrow("Not allowed");
  });
});
