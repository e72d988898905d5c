// The servers of the matrix, as processes on loopback: what each is asked for, and what it says then. I/O.
import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { logPath, startChild, type Child } from "../../../demo/child.ts";
import { freePort } from "../../../demo/ports.ts";

export const TOOLS = resolve(import.meta.dirname, "../../../.tools");
const PRELOAD = resolve(import.meta.dirname, "../../../demo/loopback-only.ts");
const START_MS = 60_000;

export interface ToolCall {
  readonly tool: string;
  readonly arguments: object;
}

/** What a client does at a server, and what it must hear; the last two where the server has them. */
export interface Asks {
  readonly tool: string;
  readonly arguments: object;
  readonly prompt?: string;
  readonly resource?: string;
  /** A tool that asks the person back. */
  readonly ask?: string;
  readonly askArguments?: object;
  /** Calls one after the other, each with its own outcome. */
  readonly calls?: readonly ToolCall[];
  readonly says: Readonly<Record<string, string>>;
}

export interface MatrixServer {
  readonly name: string;
  readonly asks: Asks;
  /** Why it cannot be had here, or null. */
  readonly missing: string | null;
  /** The path of its endpoint. */
  readonly path: string;
  command(port: number): readonly string[];
}

const PYTHON_ASKS: Asks = {
  tool: "add",
  arguments: { a: 2, b: 3 },
  prompt: "greeting",
  resource: "note://one",
  says: { list: "add", call: "5", prompt: "Greet everybody.", resource: "a note of the server" },
};

/** Nobody can answer one without sessions. */
const PYTHON_SESSION_ASKS: Asks = {
  ...PYTHON_ASKS,
  ask: "ask",
  askArguments: {},
  says: { ...PYTHON_ASKS.says, ask: "asked: Ada" },
};

const EVERYTHING_ASKS: Asks = {
  tool: "echo",
  arguments: { message: "hello" },
  prompt: "simple-prompt",
  resource: "demo://resource/static/document/features.md",
  says: { list: "echo", call: "Echo: hello", prompt: "simple prompt", resource: "Features" },
};

/** The fixture's: an SDK v2 server of both eras. */
export const FIXTURE_ASKS: Asks = {
  tool: "test_simple_text",
  arguments: {},
  prompt: "test_simple_prompt",
  resource: "test://static-text",
  ask: "test_elicitation",
  askArguments: { message: "Your name?" },
  says: {
    list: "test_simple_text",
    call: "This is a simple text response",
    prompt: "This is a simple prompt",
    resource: "the static text resource",
    ask: "Ada",
  },
};

function everything(name: string, mode: string, path: string): MatrixServer {
  const program = createRequire(import.meta.url).resolve("@modelcontextprotocol/server-everything/dist/index.js");
  const command = () => [process.execPath, "--import", PRELOAD, program, mode];
  return { name, asks: EVERYTHING_ASKS, missing: null, path, command };
}

/** @param environment 1: `mcp` 1 and FastMCP 2; 2: `mcp` 2 and FastMCP 4 */
function python(name: string, environment: 1 | 2, kind: string): MatrixServer {
  const program = join(TOOLS, `python-mcp${environment}/bin/python`);
  const script = join(import.meta.dirname, "server.py");
  return {
    name,
    asks: kind.endsWith("-stateless") ? PYTHON_ASKS : PYTHON_SESSION_ASKS,
    missing: existsSync(program) ? null : `npm run tools python-mcp${environment}`,
    path: "/mcp",
    command: (port) => [program, script, kind, String(port)],
  };
}

export const SERVERS: readonly MatrixServer[] = [
  everything("everything", "streamableHttp", "/mcp"),
  everything("everything-sse", "sse", "/sse"),
  python("fastmcp2", 1, "fastmcp"),
  python("fastmcp2-stateless", 1, "fastmcp-stateless"),
  python("python-sdk1", 1, "sdk"),
  python("fastmcp4", 2, "fastmcp"),
  python("fastmcp4-stateless", 2, "fastmcp-stateless"),
  python("python-sdk2", 2, "sdk"),
];

export interface Running {
  readonly server: MatrixServer;
  readonly url: string;
  readonly child: Child;
}

/** All of these that can be had, at the same time. */
export async function startServers(
  folder: string,
  servers: readonly MatrixServer[] = SERVERS,
): Promise<readonly Running[]> {
  const running: Running[] = [];
  for (const server of servers) {
    if (server.missing !== null) continue;
    const port = await freePort();
    const [command = "", ...args] = server.command(port);
    const logFile = logPath(folder, `${server.name}.log`);
    const env = { PORT: String(port), FASTMCP_CHECK_FOR_UPDATES: "off" };
    const child = startChild({ name: server.name, command, args, cwd: folder, logFile, env });
    running.push({ server, url: `http://127.0.0.1:${port}${server.path}`, child });
  }
  await Promise.all(running.map(untilListening));
  return running;
}

async function untilListening({ server, url, child }: Running): Promise<void> {
  const deadline = Date.now() + START_MS;
  while (child.running() && Date.now() < deadline) {
    const answered = await fetch(new URL("/", url), { signal: AbortSignal.timeout(1000) }).then(
      () => true,
      () => false,
    );
    if (answered) return;
    await delay(100);
  }
  throw new Error(`${server.name} did not start:\n${child.output()}`);
}
