// MCP servers that nobody here wrote, as the broker meets them: one of SDK v1 that wants a session, one of SDK v2.
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { known } from "./server-gate.ts";
import { logPath, startChild, type Child } from "./child.ts";

export interface LabUpstream {
  readonly port: number;
  readonly url: string;
  readonly child: Child;
  stop(): Promise<void>;
}

export interface LabUpstreamOptions {
  readonly port: number;
  /** Where its log goes. */
  readonly folder: string;
  /** The one credential that it serves; default everybody. */
  readonly credential?: string;
}

interface Package {
  readonly name: string;
  readonly module: string;
  readonly args: readonly string[];
  readonly path?: string;
}

const PRELOAD = join(import.meta.dirname, "loopback-only.ts");
const KNOWN_ONLY = join(import.meta.dirname, "known-only.ts");
const START_MS = 20_000;

/** `@modelcontextprotocol/server-everything`: SDK v1, wants a session, streams its answers. */
export function startEverything(options: LabUpstreamOptions): Promise<LabUpstream> {
  const args = ["streamableHttp"];
  return start({ name: "everything", module: "@modelcontextprotocol/server-everything/dist/index.js", args }, options);
}

/** The same as a server of HTTP+SSE (2024-11-05). */
export function startEverythingSse(options: LabUpstreamOptions): Promise<LabUpstream> {
  const module = "@modelcontextprotocol/server-everything/dist/index.js";
  return start({ name: "everything-sse", module, args: ["sse"], path: "/sse" }, options);
}

/** `@modelcontextprotocol/server-budget-allocator`: SDK v2 by others, of the older revisions, without a session. */
export function startBudget(options: LabUpstreamOptions): Promise<LabUpstream> {
  return start({ name: "budget", module: "@modelcontextprotocol/server-budget-allocator", args: [] }, options);
}

async function start(
  { name, module, args, path = "/mcp" }: Package,
  { port, folder, credential }: LabUpstreamOptions,
): Promise<LabUpstream> {
  const knownFile = join(folder, `${name}.known.json`);
  if (credential !== undefined) writeFileSync(knownFile, JSON.stringify({ sha256: known(credential) }));
  const gate = credential === undefined ? [] : ["--import", KNOWN_ONLY];
  const child = startChild({
    name,
    command: process.execPath,
    args: ["--import", PRELOAD, ...gate, mainOf(module), ...args],
    cwd: folder,
    logFile: logPath(folder, `${name}.log`),
    env: { PORT: String(port), KNOWN_FILE: knownFile },
  });
  const deadline = Date.now() + START_MS;
  while (!/listening on|running on port/.test(child.output())) {
    if (child.running() && Date.now() < deadline) await delay(50);
    else {
      await child.stop();
      throw new Error(`${name} did not start:\n${child.output()}`);
    }
  }
  return { port, url: `http://127.0.0.1:${port}${path}`, child, stop: () => child.stop() };
}

/** Its program: the file named, or what the package's `dist` begins with. */
function mainOf(module: string): string {
  const found = createRequire(import.meta.url).resolve(module);
  return module.endsWith(".js") ? found : join(dirname(found), "index.js");
}
