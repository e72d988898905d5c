// Curation through the real Envoy: what servers do not offer is nowhere, whatever policy grants; virtual servers, other names and
// search mode.
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePorts } from "../../demo/ports.ts";
import { legacy, modern, reasonOf } from "./client.ts";
import { startDocs, type TestServer } from "./servers.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-curation-"));
const policies = join(folder, "policies");

let lab: Lab;
let docs: TestServer;
let alice: string;

/** Policy grants everything: curation alone hides. */
const grants = {
  demo: { tool: ["*"], prompt: ["*"], resource: ["*"] },
  docs: { tool: ["*"], prompt: ["*"], resource: ["docs://readme", "docs://{id}", "docs://secret"] },
  gone: { tool: ["*"] },
};

beforeAll(async () => {
  mkdirSync(policies, { recursive: true });
  cpSync(join(ROOT, "policies/demo/policy.rego"), join(policies, "policy.rego"));
  writeFileSync(
    join(policies, "data.yaml"),
    stringify({ grants: { engineering: grants }, limits: { transfer: 1000 } }),
  );
  docs = await startDocs(new Set(["doc_search", "doc_read", "secret_purge"]));
  lab = await startLab({
    folder,
    ports: await freePorts(),
    policyFolder: policies,
    progress: () => {},
    config: (config) => {
      const servers = config["servers"] as Record<string, object>;
      const none = { credential: [{ none: {} }] };
      servers["docs"] = {
        ...{ url: docs.url, callRouting: "broker", ...none },
        ...{ tools: { deny: ["secret_*"] }, aliases: { doc_search: "find" }, resources: { allow: ["docs://readme"] } },
      };
      servers["gone"] = { url: docs.url, disabled: true, ...none };
      servers["demo"] = { ...servers["demo"], tools: { deny: ["whoami"] } };
      config["virtualServers"] = { support: { servers: { docs: ["doc_*"], gone: ["*"] } } };
      config["search"] = true;
    },
  });
  alice = await lab.idp.mint("alice");
  const ready = async () => (await toolsOf("/servers/docs/mcp")).length;
  await vi.waitFor(async () => expect(await ready()).toBeGreaterThan(0), 20_000);
});
afterAll(async () => {
  await lab.stop();
  await docs.stop();
  rmSync(folder, { recursive: true, force: true });
});

const at = (path: string) => ({ token: alice, path });

async function toolsOf(path: string): Promise<string[]> {
  const reply = await legacy(lab.gateway, "tools/list", {}, at(path));
  const result = (reply.message?.["result"] ?? {}) as { tools?: { name: string }[] };
  return (result.tools ?? []).map(({ name }) => name);
}

describe.each([
  ["2025-11-25", legacy],
  ["2026-07-28", modern],
] as const)("the revision %s", (_, send) => {
  const call = (path: string, name: string, args: object = {}) =>
    send(lab.gateway, "tools/call", { name, arguments: args }, at(path));

  it("TB-03: what a server does not offer is in no list, and refused on every path, direct ones too", async () => {
    expect(await toolsOf("/servers/docs/mcp")).toEqual(["doc_read", "find"]);
    expect(await toolsOf("/servers/demo/mcp")).not.toContain("whoami");
    for (const [path, name] of [
      ["/servers/docs/mcp", "secret_purge"],
      ["/mcp", "docs_secret_purge"],
      ["/servers/demo/mcp", "whoami"],
      ["/mcp", "demo_whoami"],
      ["/servers/support/mcp", "docs_secret_purge"],
      ["/servers/support/mcp", "demo_echo"],
    ] as const)
      expect([path, name, reasonOf(await call(path, name))]).toEqual([path, name, "policy_denied"]);
    const read = await send(lab.gateway, "resources/read", { uri: "docs://secret" }, at("/servers/docs/mcp"));
    expect(reasonOf(read)).toBe("policy_denied");
  });

  it("TB-05: a disabled server has no endpoint, and no name", async () => {
    expect((await call("/servers/gone/mcp", "doc_read")).status).toBe(404);
    expect(reasonOf(await call("/mcp", "gone_doc_read"))).toBe("policy_denied");
  });

  it("CL-07: a renamed tool is called by its new name only, on all endpoints", async () => {
    const found = [];
    for (const [path, name] of [
      ["/servers/docs/mcp", "find"],
      ["/mcp", "docs_find"],
      ["/servers/support/mcp", "docs_find"],
      ["/servers/docs/mcp", "doc_search"],
      ["/mcp", "docs_doc_search"],
    ] as const) {
      const reply = await call(path, name, { query: "x" });
      found.push(reply.message?.["result"] === undefined ? reasonOf(reply) : "ok");
    }
    expect(found).toEqual(["ok", "ok", "ok", "policy_denied", "policy_denied"]);
  });

  it("CL-10, LA-03: in search mode, two tools find and call what she may use, and nothing else", async () => {
    expect(await toolsOf("/mcp")).toEqual(["search_tools", "call_tool"]);
    const search = async (path: string) => {
      const reply = await call(path, "search_tools", { query: "", limit: 50 });
      expect(reply.text).not.toMatch(/secret_purge|whoami/);
      const found = reply.message?.["result"] as { structuredContent: { tools: { name: string }[] } } | undefined;
      return found?.structuredContent.tools.map(({ name }) => name);
    };
    expect(await search("/servers/support/mcp")).toEqual(["docs_doc_read", "docs_find"]);
    expect(await search("/mcp")).toEqual(expect.arrayContaining(["demo_echo", "docs_doc_read", "docs_find"]));
    const wrapped = async (path: string, name: string, args: object = {}) => {
      const reply = await call(path, "call_tool", { name, arguments: args });
      return reply.message?.["result"] === undefined ? reasonOf(reply) : "ok";
    };
    expect(await wrapped("/mcp", "docs_find", { query: "x" })).toBe("ok");
    for (const name of [
      "docs_secret_purge",
      "docs_doc_search",
      "demo_whoami",
      "gone_doc_read",
      "call_tool",
      "search_tools",
    ])
      expect([name, await wrapped("/mcp", name, { name: "docs_find" })]).toEqual([name, "policy_denied"]);
    expect(await wrapped("/servers/support/mcp", "demo_echo")).toBe("policy_denied");
  });
});

it("CF-25: a virtual server has its own metadata document", async () => {
  const path = "/servers/support/mcp";
  const document = await fetch(`${lab.gateway}/.well-known/oauth-protected-resource${path}`);
  expect(document.status).toBe(200);
  expect(((await document.json()) as { resource: string }).resource).toMatch(new RegExp(`${path}$`));
  expect((await legacy(lab.gateway, "tools/list", {}, { path })).status).toBe(401);
});

it("the official client works with a virtual server in search mode", async () => {
  const client = new Client({ name: "t", version: "1" });
  const headers = { authorization: `Bearer ${alice}` };
  await client.connect(
    new StreamableHTTPClientTransport(new URL(`${lab.gateway}/servers/support/mcp`), { requestInit: { headers } }),
  );
  expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(["search_tools", "call_tool"]);
  const found = await client.callTool({ name: "search_tools", arguments: { query: "find" } });
  expect(found.structuredContent).toMatchObject({ tools: [{ name: "docs_find" }] });
  const called = await client.callTool({
    name: "call_tool",
    arguments: { name: "docs_find", arguments: { query: "x" } },
  });
  expect(called.isError ?? false).toBe(false);
  await client.close();
});
