import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { event, json, result, startFakeServer } from "../../../test/fakes/mcp-server.ts";
import { loadConfig } from "../../config/load.ts";
import { checkSettings } from "../../config/settings.ts";
import { buildCatalog } from "./catalog.ts";
import { createUpstreams } from "../../broker/upstream/upstream.ts";
import { upstreamSettings } from "./upstreams.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-catalog-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function configOf(url: string) {
  const file = join(folder, "mcp-authz.yaml");
  const issuers = [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }];
  const base = { publicOrigin: "https://gw.example.com", identity: { issuers }, policy: { path: "policies" } };
  const wristband = { issuer: "https://gw.example.com", keys: [{ kid: "k", file: "w.pem" }] };
  writeFileSync(file, stringify({ ...base, wristband, servers: { s: { url, credential: [{ none: {} }] } } }));
  return loadConfig(file, {}).config;
}

it("TB-08, CL-11: what a server tells is effective long before the next regular listing, and a flood costs a listing a second", async () => {
  const tools = [{ name: "one", inputSchema: { type: "object" } }];
  let stream: ServerResponse | undefined;
  const upstream = await startFakeServer((arrival, response) => {
    const { http, method } = arrival;
    if (http === "GET") {
      stream = response.writeHead(200, { "content-type": "text/event-stream" });
      stream.flushHeaders();
      return undefined;
    }
    if (method === "server/discover") return void response.writeHead(404).end();
    if (method === "tools/list") return { tools };
    if (method !== "initialize") return void response.writeHead(202).end();
    response.setHeader("mcp-session-id", "session-1");
    const capabilities = { tools: { listChanged: true } };
    return json(response, 200, result(arrival, { protocolVersion: "2025-11-25", capabilities, serverInfo: {} }));
  });
  const config = configOf(upstream.url);
  const upstreams = createUpstreams(upstreamSettings(config));
  const outputSchemas = { compile: (texts: readonly unknown[]) => Promise.resolve(texts.map(() => true)) };
  const observers = { monotonic: () => performance.now(), onListed: () => {}, onChanged: () => {} };
  const built = buildCatalog(config, upstreams, { ...checkSettings(config), outputSchemas, ...observers });
  const { catalog } = built;
  const shown = () =>
    catalog
      .current()
      .servers.get("s")
      ?.tools.map(({ name }) => name);
  await catalog.start();
  expect(shown()).toEqual(["one"]);
  await vi.waitFor(() => expect(stream).toBeDefined());
  tools.push({ name: "two", inputSchema: { type: "object" } });
  const before = upstream.of("tools/list").length;
  stream?.write(event({ jsonrpc: "2.0", method: "notifications/tools/list_changed" }).repeat(500));
  await vi.waitFor(() => expect(shown()).toEqual(["one", "two"]), 10_000);
  expect(upstream.of("tools/list").length - before).toBeLessThanOrEqual(2);
  built.close();
  upstreams.close();
  await upstream.close();
});
