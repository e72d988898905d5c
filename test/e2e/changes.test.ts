// What changes while everything runs, through the real Envoy: clients that listen are told, and servers come, go and move
// without a restart and without a lost call.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Client as OldClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as OldTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  ResourceListChangedNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { parse, stringify } from "yaml";
import { writeXdsFolder } from "../../src/cli/xds-folder.ts";
import { loadConfig } from "../../src/config/load.ts";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePorts } from "../../demo/ports.ts";
import { legacy, type Reply } from "./client.ts";
import { startLive, startOldLive, type LiveServer } from "./servers.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-changes-"));
const policies = join(folder, "policies");
/** Generous, for a machine that does everything at once. */
const SOON = { timeout: 20_000, interval: 100 };

let lab: Lab;
let modern: LiveServer;
let old: LiveServer;
let late: LiveServer;
let moved: LiveServer;
let alice: string;
const closing: (() => Promise<void>)[] = [];

const EVERYTHING = { tool: ["*"] };

function grant(grants: object): void {
  writeFileSync(
    join(policies, "data.yaml"),
    stringify({ grants: { engineering: grants }, limits: { transfer: 1000 } }),
  );
}
const GRANTS = {
  demo: { tool: ["echo"] },
  modern: { tool: ["read", "fresh_*", "wait"], resource: ["docs://page"] },
  old: { tool: ["read", "fresh_*"], resource: ["docs://page"] },
  late: EVERYTHING,
};

beforeAll(async () => {
  mkdirSync(policies, { recursive: true });
  cpSync(join(ROOT, "policies/demo/policy.rego"), join(policies, "policy.rego"));
  grant(GRANTS);
  modern = await startLive("modern", new Set(["read", "secret"]));
  old = await startOldLive("old", new Set(["read", "secret"]));
  late = await startLive("late", new Set(["read"]));
  moved = await startLive("moved", new Set(["read"]));
  lab = await startLab({
    folder,
    ports: await freePorts(),
    policyFolder: policies,
    envoyXds: true,
    progress: () => {},
    config(config) {
      const servers = config["servers"] as Record<string, object>;
      // Endpoints of direct servers have no sessions.
      servers["demo"] = { ...servers["demo"], callRouting: "broker" };
      for (const [name, { url }] of Object.entries({ modern, old }))
        servers[name] = { url, credential: [{ none: {} }] };
    },
  });
  alice = await lab.idp.mint("alice");
  const names = ["demo_echo", "modern_read", "modern_wait", "old_read"];
  await vi.waitFor(async () => expect(await namesAt("/mcp")).toEqual(names), SOON);
}, 60_000);
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
afterAll(async () => {
  await lab.stop();
  await Promise.all([modern, old, late, moved].map((server) => server.stop()));
  rmSync(folder, { recursive: true, force: true });
});

const requestInit = () => ({ requestInit: { headers: { authorization: `Bearer ${alice}` } } });

async function namesAt(path: string): Promise<readonly string[] | number> {
  const { status, message } = await legacy(lab.gateway, "tools/list", {}, { token: alice, path });
  const result = message?.["result"] as { tools: { name: string }[] } | undefined;
  return result === undefined ? status : result.tools.map(({ name }) => name);
}

/** A client that listens: how often it was told, and the tools that it saw when it listed at once. */
interface Listening {
  readonly told: readonly string[][];
}

/** Of today: `subscriptions/listen`. */
async function listeningNew(path: string): Promise<Listening> {
  const told: string[][] = [];
  const onChanged = async () => {
    told.push((await client.listTools()).tools.map(({ name }) => name));
  };
  const client = new Client({ name: "e2e", version: "1" }, { versionNegotiation: { mode: { pin: "2026-07-28" } } });
  client.setNotificationHandler("notifications/tools/list_changed", onChanged);
  await client.connect(new StreamableHTTPClientTransport(new URL(lab.gateway + path), requestInit()));
  closing.push(() => client.close());
  const { honoredFilter } = await client.listen({ toolsListChanged: true });
  expect(honoredFilter).toEqual({ toolsListChanged: true });
  await client.listTools();
  return { told };
}

/** Of the year before: the stream of its session. */
async function listeningOld(path: string): Promise<Listening> {
  const told: string[][] = [];
  const client = new OldClient({ name: "e2e", version: "1" });
  client.setNotificationHandler(ToolListChangedNotificationSchema, async () => {
    told.push((await client.listTools()).tools.map(({ name }) => name));
  });
  const opened = vi.fn();
  const fetchAnd = async (url: string | URL, init?: RequestInit) => {
    const response = await fetch(url, init);
    if (init?.method === "GET") opened(response.status);
    return response;
  };
  const transport = new OldTransport(new URL(lab.gateway + path), { ...requestInit(), fetch: fetchAnd });
  await client.connect(transport as never);
  closing.push(async () => {
    await transport.terminateSession();
    await client.close();
  });
  await vi.waitFor(() => expect(opened).toHaveBeenCalledWith(200), SOON);
  return { told };
}

const endpoints = ["/mcp", "/servers/modern/mcp", "/servers/old/mcp", "/servers/demo/mcp"] as const;

describe.each([
  ["of today", listeningNew],
  ["of the year before, with a session", listeningOld],
])("a client %s that listens", (_, listening) => {
  const suffix = listening === listeningNew ? "new" : "old";

  it.each([
    ["modern", () => modern],
    ["old", () => old],
  ] as const)(
    "TB-08: hears that the server %s changed, and lists what is new; others hear nothing",
    async (name, of) => {
      const clients = await Promise.all(endpoints.map((path) => listening(path)));
      const fresh = `fresh_${suffix}`;
      for (const tool of [fresh, `secret_${suffix}`]) of().tools.add(tool);
      of().changed();
      await expect.poll(() => clients[0]?.told.at(-1), SOON).toContain(`${name}_${fresh}`);
      const own = endpoints.findIndex((path) => path === `/servers/${name}/mcp`);
      await expect.poll(() => clients[own]?.told.at(-1), SOON).toContain(fresh);
      // The first time that they are told what is new can be listed.
      expect(clients[0]?.told[0]).toContain(`${name}_${fresh}`);
      for (const [i, { told }] of clients.entries()) if (i !== 0 && i !== own) expect(told).toEqual([]);
      expect(JSON.stringify(clients)).not.toContain("secret");
    },
  );

  it("hears that policy has changed", async () => {
    const client = await listening("/servers/modern/mcp");
    grant({ ...GRANTS, modern: { tool: ["wait"] } });
    await expect.poll(() => client.told.at(-1), SOON).toEqual(["wait"]);
    expect(client.told).toHaveLength(1);
    grant(GRANTS);
    await expect.poll(() => client.told.at(-1), SOON).toContain("read");
  });
});

it("N-06: a client of today hears which of the resources that policy shows have changed, until policy changes", async () => {
  const told: string[] = [];
  const client = new Client({ name: "e2e", version: "1" }, { versionNegotiation: { mode: { pin: "2026-07-28" } } });
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => void told.push(params.uri));
  await client.connect(new StreamableHTTPClientTransport(new URL(`${lab.gateway}/mcp`), requestInit()));
  closing.push(() => client.close());
  expect(client.getServerCapabilities()?.resources).toMatchObject({ subscribe: true });
  const uris = ["modern+docs://page", "modern+docs://secret"];
  const listening = await client.listen({ resourceSubscriptions: uris, toolsListChanged: true });
  expect(listening.honoredFilter).toEqual({ toolsListChanged: true, resourceSubscriptions: ["modern+docs://page"] });
  modern.updated();
  await expect.poll(() => told, SOON).toEqual(["modern+docs://page"]);
  grant({ ...GRANTS, modern: { tool: ["wait"] } });
  modern.updated();
  expect(await listening.closed).toBe("graceful");
  const before = told.length;
  const again = await client.listen({ resourceSubscriptions: uris });
  expect(again.honoredFilter).toEqual({});
  modern.updated();
  expect(told).toHaveLength(before);
  grant(GRANTS);
});

it("a client with a session hears of the resource that she subscribed to while policy shows it", async () => {
  const told: string[] = [];
  const client = new OldClient({ name: "e2e", version: "1" });
  const listed: string[][] = [];
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => void told.push(params.uri));
  client.setNotificationHandler(ResourceListChangedNotificationSchema, async () => {
    listed.push((await client.listResources()).resources.map(({ uri }) => uri));
  });
  const transport = new OldTransport(new URL(`${lab.gateway}/servers/old/mcp`), requestInit());
  await client.connect(transport as never);
  closing.push(() => client.close());
  await client.subscribeResource({ uri: "docs://page" });
  const hears = async () => {
    const before = told.length;
    await expect.poll(() => (old.updated(), told.length), SOON).toBeGreaterThan(before);
  };
  await hears();
  grant({ ...GRANTS, old: { tool: ["read"] } });
  await expect.poll(() => listed.at(-1), SOON).toEqual([]);
  const before = told.length;
  for (let i = 0; i < 5; i += 1) old.updated();
  await new Promise((done) => setTimeout(done, 500));
  expect(told).toHaveLength(before);
  grant(GRANTS); // she lists anew, which proves it
  await expect.poll(() => listed.at(-1), SOON).toEqual(["docs://page"]);
  await hears();
  expect(new Set(told)).toEqual(new Set(["docs://page"]));
});

/** Edits the servers of the configuration, and has serve, Envoy and the broker take them, in the order of docs/operations.md. */
async function apply(edit: (servers: Record<string, object>) => void): Promise<void> {
  const config = parse(readFileSync(lab.configFile, "utf8")) as { servers: Record<string, object> };
  edit(config.servers);
  writeFileSync(lab.configFile, stringify(config));
  const reloads = (name: "serve" | "broker") => lab.children[name].output().split('"reloaded"').length;
  const hup = async (name: "serve" | "broker") => {
    const before = reloads(name);
    lab.children[name].kill("SIGHUP");
    await expect.poll(() => reloads(name), SOON).toBeGreaterThan(before);
  };
  await hup("serve");
  await writeXdsFolder(loadConfig(lab.configFile, process.env).config, join(folder, "xds"));
  await hup("broker");
}

const call = (server: string, name: string) =>
  legacy(lab.gateway, "tools/call", { name, arguments: {} }, { token: alice, path: `/servers/${server}/mcp` });
const textOf = ({ status, message }: Reply) => {
  const result = message?.["result"] as { content: { text: string }[] } | undefined;
  return result?.content[0]?.text ?? status;
};

/** Begins a call that lasts until it is let go. */
async function underWay(): Promise<() => Promise<string | number>> {
  const reply = call("modern", "wait");
  await vi.waitFor(() => expect(modern.waiting).toHaveLength(1), SOON);
  return async () => {
    modern.waiting.shift()?.();
    return textOf(await reply);
  };
}

describe.each(["broker", "direct"])("SIGHUP and watched files, callRouting %s", (callRouting) => {
  const settings = ({ url }: LiveServer) => ({ url, callRouting, credential: [{ none: {} }] });

  it("a server comes, moves and goes; those who listen hear it, and a call under way ends as it should", async () => {
    const pids = ["serve", "broker", "envoy"].map((name) => lab.children[name as "serve"].pid);
    const [client, session] = [await listeningNew("/mcp"), await listeningOld("/mcp")];
    expect((await call("late", "read")).status).toBe(404);
    const end = await underWay();
    await apply((servers) => (servers["late"] = settings(late)));
    await expect.poll(async () => textOf(await call("late", "read")), SOON).toBe("late");
    for (const { told } of [client, session]) await expect.poll(() => told.at(-1), SOON).toContain("late_read");

    await apply((servers) => (servers["late"] = settings(moved)));
    await expect.poll(async () => textOf(await call("late", "read")), SOON).toBe("moved");

    await apply((servers) => delete servers["late"]);
    await expect.poll(async () => (await call("late", "read")).status, SOON).toBe(404);
    for (const { told } of [client, session]) await expect.poll(() => told.at(-1), SOON).not.toContain("late_read");
    expect(await end()).toBe("modern");
    expect(["serve", "broker", "envoy"].map((name) => lab.children[name as "serve"].pid)).toEqual(pids);
    for (const name of ["serve", "broker"] as const)
      expect(lab.children[name].output()).not.toMatch(/restart_needed|reload_failed/);
  });

  it("other settings of a server change under a call of its own", async () => {
    const end = await underWay();
    await apply(
      (servers) =>
        (servers["modern"] = { ...servers["modern"], timeoutMs: callRouting === "direct" ? 29_000 : 28_000 }),
    );
    expect(textOf(await call("modern", "read"))).toBe("modern");
    expect(await end()).toBe("modern");
  });
});
