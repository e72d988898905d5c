// Servers of HTTP+SSE (2024-11-05) that nobody here wrote, through the real Envoy, by clients of both eras.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { logPath, startChild, type Child } from "../../demo/child.ts";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePort, freePorts } from "../../demo/ports.ts";
import { startEverythingSse, type LabUpstream } from "../../demo/upstreams.ts";
import { findTool } from "../../src/files/program.ts";
import { policyForAll } from "./all-granted.ts";
import { legacy, modern, type Reply } from "./client.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-sse-"));
const hasOpa = findTool("opa") !== null;
const PYTHON = resolve(import.meta.dirname, "../../.tools/python-sdk/bin/python");
let lab: Lab | undefined;
let everything: LabUpstream | undefined;
let python: Child | undefined;
let gateway: string;
let alice: string;

beforeAll(async () => {
  const port = await freePort();
  const upstream = await startEverythingSse({ port: await freePort(), folder });
  everything = upstream;
  const child = startChild({
    name: "python-sse",
    command: PYTHON,
    args: [join(import.meta.dirname, "python/sse_server.py"), String(port)],
    cwd: folder,
    logFile: logPath(folder, "python-sse.log"),
    env: {},
  });
  python = child;
  await vi.waitFor(() => expect(child.output()).toContain("running on"), 30_000);
  lab = await startLab({
    folder,
    ports: await freePorts(),
    policyFolder: hasOpa ? policyForAll(folder, ["everything", "python"]) : null,
    progress: () => {},
    config: (config) => {
      config["checkTimeoutMs"] = 10_000;
      const servers = config["servers"] as Record<string, unknown>;
      servers["everything"] = { url: upstream.url, credential: [{ none: {} }] };
      servers["python"] = { url: `http://127.0.0.1:${port}/sse`, credential: [{ none: {} }] };
    },
  });
  gateway = lab.gateway;
  alice = await lab.idp.mint("alice");
});
afterAll(async () => {
  await lab?.stop();
  await Promise.all([everything?.stop(), python?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

describe.runIf(hasOpa).each([
  ["2025-11-25", legacy],
  ["2026-07-28", modern],
] as const)("TB-07: a client of %s", (_, send) => {
  const textOf = ({ message }: Reply) =>
    (message?.["result"] as { content?: { text?: string }[] } | undefined)?.content?.[0]?.text;

  it.each([
    ["everything", "message", "Echo: h\u00e9llo"],
    ["python", "text", "h\u00e9llo"],
  ])("lists and calls %s, on its own endpoint and on /mcp", async (server, argument, text) => {
    for (const [path, name] of [
      [`/servers/${server}/mcp`, "echo"],
      ["/mcp", `${server}_echo`],
    ] as const) {
      const options = { token: alice, path };
      const listed = await send(gateway, "tools/list", {}, options);
      const result = listed.message?.["result"] as { tools: { name: string }[] } | undefined;
      expect(result?.tools.map((tool) => tool.name)).toContain(name);
      const called = await send(gateway, "tools/call", { name, arguments: { [argument]: "h\u00e9llo" } }, options);
      expect([called.status, textOf(called), called.message?.["id"]]).toEqual([200, text, 1]);
    }
  });
});
