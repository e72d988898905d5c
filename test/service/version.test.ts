// The program says one version, wherever it says one: that of package.json.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";
import { housekeeping } from "../../src/broker/housekeeping.ts";
import { handshake, META, type SendOwn } from "../../src/broker/upstream/era.ts";
import type { Operation } from "../../src/mcp/operation.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const { name, version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Record<string, string>;
const ours = { name, version };

it("--version", () => {
  const main = join(ROOT, "src/cli/mcp-authz.ts");
  expect(execFileSync(process.execPath, [main, "--version"], { encoding: "utf8" }).trim()).toBe(version);
});

it.each(["initialize", "server/discover"])("serverInfo of %s", (method) => {
  const offers = { tools: true, prompts: true, resources: true };
  const view = { offers, server: "s", snapshot: { servers: new Map() }, now: 0 } as unknown as Parameters<
    typeof housekeeping
  >[2];
  const said = method === "initialize" ? "2025-11-25" : "2026-07-28";
  const step = housekeeping({ method, version: said } as unknown as Operation, { protocolVersion: said }, view);
  expect(JSON.parse(step.ok ? step.value : "{}")).toMatchObject({ serverInfo: ours });
});

it("clientInfo towards servers of both eras", async () => {
  const seen: unknown[] = [];
  const send: SendOwn = (_dialect, method, params) => {
    if (method === "initialize") seen.push((params as { clientInfo: unknown }).clientInfo);
    return Promise.resolve({ status: 400, session: null, message: null });
  };
  await handshake(send, () => Promise.resolve()).catch(() => {});
  expect(seen).toEqual([ours]);
  expect(META["io.modelcontextprotocol/clientInfo"]).toEqual(ours);
});
