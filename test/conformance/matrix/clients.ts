// The clients of the matrix: the SDKs of three languages, FastMCP's, mcp-remote and the Inspector's command line. I/O.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from "@modelcontextprotocol/client";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport as SseV1 } from "@modelcontextprotocol/sdk/client/sse.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport as HttpV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { TOOLS } from "./servers.ts";
import { personsAnswer, REFUSED_MS, settled, textsOf, type Said, type Step, type Visit } from "./visits.ts";

export interface MatrixClient {
  readonly name: string;
  /** Why it cannot be had here, or null. */
  readonly missing: string | null;
  /** It does not know servers of HTTP+SSE by itself, prompts, resources or questions. */
  readonly stepsOnly?: readonly Step[];
  /** The end of the URL that it visits: it knows the older transport only. */
  readonly endpoint?: "sse";
  /** What each visit said, in their order. */
  run(visits: readonly Visit[]): Promise<readonly Said[]>;
}

const BIN = resolve(import.meta.dirname, "../../../node_modules/.bin");
const INFO = { name: "matrix", version: "1" };
const CAPABILITIES = { elicitation: { form: {} } };
const headersOf = (token: string | null) => (token === null ? {} : { authorization: `Bearer ${token}` });

/** The part of both SDKs' clients that a visit uses. */
interface Caller {
  listTools(): Promise<{ tools: readonly { name: string }[] }>;
  callTool(params: { name: string; arguments: Record<string, unknown> }): Promise<unknown>;
  getPrompt(params: { name: string }): Promise<{ messages: readonly { content: unknown }[] }>;
  readResource(params: { uri: string }): Promise<{ contents: readonly unknown[] }>;
  close(): Promise<void>;
}

type Mutable<T> = { -readonly [name in keyof T]: T[name] };

async function visit(open: () => Promise<Caller>, { asks }: Visit): Promise<Said> {
  let client: Caller | undefined;
  const failure = await settled(async () => {
    client = await open();
    return "";
  });
  if (client === undefined) return { list: failure };
  const caller = client;
  const call = async (name: string, args: object = {}) => {
    const result = await caller.callTool({ name, arguments: args as Record<string, unknown> });
    const { content, isError } = result as { content: unknown; isError?: boolean };
    return `${isError === true ? "error: " : ""}${textsOf(content)}`;
  };
  const said: Mutable<Said> = {
    list: await settled(async () => (await caller.listTools()).tools.map(({ name }) => name).join(",")),
    call: await settled(() => call(asks.tool, asks.arguments)),
  };
  const { prompt, resource, ask, calls } = asks;
  if (prompt !== undefined)
    said.prompt = await settled(async () =>
      textsOf((await caller.getPrompt({ name: prompt })).messages.map(({ content }) => content)),
    );
  if (resource !== undefined)
    said.resource = await settled(async () => textsOf((await caller.readResource({ uri: resource })).contents));
  if (ask !== undefined) said.ask = await settled(() => call(ask, asks.askArguments));
  if (calls !== undefined) {
    const all: string[] = [];
    for (const each of calls) all.push(await settled(() => call(each.tool, each.arguments), REFUSED_MS));
    said.calls = all;
  }
  await settled(async () => {
    await caller.close();
    return "";
  });
  return said;
}

/** One after the other, in this process. */
function inProcess(name: string, open: (visit: Visit) => Promise<Caller>, endpoint?: "sse"): MatrixClient {
  const run = async (visits: readonly Visit[]) => {
    const said: Said[] = [];
    for (const each of visits) said.push(await visit(() => open(each), each));
    return said;
  };
  return { name, missing: null, run, ...(endpoint !== undefined && { endpoint }) };
}

async function openV1(transport: unknown): Promise<Caller> {
  const client = new ClientV1(INFO, { capabilities: { elicitation: {} } });
  client.setRequestHandler(ElicitRequestSchema, ({ params }) => personsAnswer(params));
  await client.connect(transport as never);
  return client as unknown as Caller;
}

const v1 = ({ url, token }: Visit) => openV1(new HttpV1(new URL(url), { requestInit: { headers: headersOf(token) } }));

const v1Sse = ({ url, token }: Visit) =>
  openV1(new SseV1(new URL(url), { requestInit: { headers: headersOf(token) } }));

function v2(mode: unknown) {
  return async ({ url, token }: Visit): Promise<Caller> => {
    const negotiation = mode === null ? {} : { versionNegotiation: { mode } };
    const client = new ClientV2(INFO, { capabilities: CAPABILITIES, ...negotiation } as never);
    client.setRequestHandler("elicitation/create", ({ params }) => personsAnswer(params));
    await client.connect(new HttpV2(new URL(url), { requestInit: { headers: headersOf(token) } }));
    return client as unknown as Caller;
  };
}

const remote = (visit: Visit) => openRemote(visit, []);

async function openRemote({ url, token }: Visit, options: readonly string[]): Promise<Caller> {
  const header = token === null ? [] : ["--header", `Authorization:Bearer ${token}`];
  const home = mkdtempSync(join(tmpdir(), "mcp-authz-remote-"));
  const env = { ...process.env, HOME: home, MCP_REMOTE_CONFIG_DIR: home, BROWSER: "true" } as Record<string, string>;
  const args = [url, "--allow-http", ...options, ...header];
  return openV1(new StdioClientTransport({ command: join(BIN, "mcp-remote"), args, env, stderr: "ignore" }));
}

/** A program that reads visits, one a line, and prints what each said. */
function program(name: string, command: readonly string[], hint: string): MatrixClient {
  const [file = "", ...args] = command;
  return {
    name,
    missing: existsSync(file) ? null : hint,
    run: async (visits) => {
      const lines = visits.map(({ url, token, asks }) => JSON.stringify({ url, token, ...asks }));
      const env = { FASTMCP_CHECK_FOR_UPDATES: "off" };
      const output = await outputOf([file, ...args], { env, input: `${lines.join("\n")}\n` });
      const said = [...output.matchAll(/^visited (.*)$/gm)].map(([, json = ""]) => JSON.parse(json) as Said);
      return visits.map((_, i) => said[i] ?? { list: `failed: ${output.slice(-500)}` });
    },
  };
}

interface Ran {
  readonly env: Readonly<Record<string, string>>;
  readonly input?: string;
}

async function outputOf([command = "", ...args]: readonly string[], { env, input }: Ran): Promise<string> {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (output += data.toString()));
  child.stdin.end(input ?? "");
  await new Promise((done) => child.once("close", done));
  return output;
}

/** Its command line lists, then calls: no prompt, no resource, no answer to questions in one run. */
function inspector(name: string, era: "legacy" | "modern"): MatrixClient {
  const run = async (visits: readonly Visit[]) => {
    const said: Said[] = [];
    for (const { url, token, asks } of visits) {
      const header = token === null ? [] : ["--header", `Authorization: Bearer ${token}`];
      const server = ["--cli", "--server-url", url, "--transport", "http", "--protocol-era", era, ...header];
      const method = ["--method", "tools/call", "--tool-name", asks.tool];
      const args = ["--tool-args-json", JSON.stringify(asks.arguments), "--format", "json"];
      const env = { HOME: mkdtempSync(join(tmpdir(), "mcp-authz-inspector-")), MCP_INSPECTOR_SECRET_STORE: "file" };
      const output = await outputOf([join(BIN, "mcp-inspector"), ...server, ...method, ...args], { env });
      // It finds the tool in the list before it calls it.
      said.push({ list: asks.tool, call: /"text": ?"([^"]*)"/.exec(output)?.[1] ?? `failed: ${output.slice(-400)}` });
    }
    return said;
  };
  return { name, missing: null, stepsOnly: ["list", "call"], run };
}

const PYTHON_1 = join(TOOLS, "python-mcp1/bin/python");
const PYTHON_2 = join(TOOLS, "python-mcp2/bin/python");
const CLIENT_PY = join(import.meta.dirname, "client.py");

export const CLIENTS: readonly MatrixClient[] = [
  inProcess("TypeScript SDK 1", v1),
  inProcess("TypeScript SDK 2, older", v2(null)),
  inProcess("TypeScript SDK 2, either", v2("auto")),
  inProcess("TypeScript SDK 2, 2026-07-28", v2({ pin: "2026-07-28" })),
  program("Python SDK 1", [PYTHON_1, CLIENT_PY, "sdk"], "npm run tools python-mcp1"),
  program("FastMCP client 2", [PYTHON_1, CLIENT_PY, "fastmcp"], "npm run tools python-mcp1"),
  program("Python SDK 2, older", [PYTHON_2, CLIENT_PY, "sdk-legacy"], "npm run tools python-mcp2"),
  program("Python SDK 2, either", [PYTHON_2, CLIENT_PY, "sdk"], "npm run tools python-mcp2"),
  program("FastMCP client 4", [PYTHON_2, CLIENT_PY, "fastmcp"], "npm run tools python-mcp2"),
  program("Go SDK", [join(TOOLS, "go-client/client")], "npm run tools go-client"),
  inProcess("mcp-remote", remote),
  inProcess("TypeScript SDK 1, HTTP+SSE", v1Sse, "sse"),
  { ...program("Python SDK 1, HTTP+SSE", [PYTHON_1, CLIENT_PY, "sdk"], "npm run tools python-mcp1"), endpoint: "sse" },
  inProcess("mcp-remote, sse-only", (visit) => openRemote(visit, ["--transport", "sse-only"]), "sse"),
  inspector("Inspector, older", "legacy"),
  inspector("Inspector, 2026-07-28", "modern"),
];
