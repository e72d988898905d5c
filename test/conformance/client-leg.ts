// What the suite starts as "the client": the gateway, with the suite's server behind it, and a client that asks for whatever
// the scenario is about. So the broker is the client that the suite judges. The suite's URL is the last argument.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { startLab } from "../../demo/lab.ts";
import { freePorts } from "../../demo/ports.ts";
import { withSessions } from "./lab.ts";
import { personsAnswer } from "./matrix/visits.ts";

interface Context {
  readonly toolCalls?: readonly { readonly name: string; readonly arguments: Record<string, unknown> }[];
}

const url = process.argv.at(-1) ?? "";
const env = (name: string): string => process.env[name] ?? "";
const scenario = env("MCP_CONFORMANCE_SCENARIO");
const context = JSON.parse(env("MCP_CONFORMANCE_CONTEXT") || "{}") as Context;
const revision = env("MCP_CONFORMANCE_PROTOCOL_VERSION") || "2026-07-28";

type Schema = { readonly properties?: Record<string, Record<string, unknown>>; readonly required?: readonly string[] };

/** An argument for each that is required or mirrored into a header. */
function argumentsFor({ properties = {}, required = [] }: Schema): Record<string, unknown> {
  const values: Readonly<Record<string, unknown>> = { number: 2, integer: 2, boolean: true, string: "us-west1" };
  const wanted = Object.entries(properties).filter(
    ([name, schema]) => schema["x-mcp-header"] !== undefined || required.includes(name),
  );
  return Object.fromEntries(wanted.map(([name, { type }]) => [name, values[String(type)] ?? "x"]));
}

/** A person who takes what is proposed. */
function takesDefaults(params: unknown) {
  const { requestedSchema } = params as { requestedSchema?: Schema };
  const typed = personsAnswer(params).content;
  const proposed = Object.entries(requestedSchema?.properties ?? {}).map(([name, { default: value, type }]) => [
    name,
    value ?? (type === "boolean" ? true : type === "string" ? typed[name] : 1),
  ]);
  return { action: "accept" as const, content: Object.fromEntries(proposed) as Record<string, string> };
}

const tried = async (what: string, run: () => Promise<unknown>) => {
  const said = await run().then(
    (value) => JSON.stringify(value).slice(0, 200),
    (error: unknown) => `failed: ${String(error)}`,
  );
  process.stderr.write(`${what}: ${said}\n`);
};

async function useAll(client: Client): Promise<void> {
  const { tools } = await client.listTools();
  const focal = tools.find(({ name }) => name !== "json_schema_echo")?.inputSchema;
  const each = tools.map(({ name, inputSchema }) => ({ name, arguments: argumentsFor(inputSchema as Schema) }));
  const echo = [{ name: "json_schema_echo", arguments: { schema: focal } }];
  const calls = scenario === "json-schema-2020-12-preservation" ? echo : (context.toolCalls ?? each);
  for (const call of calls) await tried(`call ${call.name}`, () => client.callTool(call));
  const { resources } = await client.listResources().catch(() => ({ resources: [] }));
  for (const { uri } of resources) await tried(`read ${uri}`, () => client.readResource({ uri }));
  const { prompts } = await client.listPrompts().catch(() => ({ prompts: [] }));
  for (const { name } of prompts) await tried(`prompt ${name}`, () => client.getPrompt({ name }));
}

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-leg-"));
const lab = await startLab({
  folder,
  ports: await freePorts(),
  policyFolder: join(import.meta.dirname, "policy"),
  progress: () => {},
  config: (config) => {
    config["servers"] = { leg: { url, credential: [{ none: {} }] } };
    withSessions(config, folder);
  },
});
try {
  const pin = revision === "2026-07-28" ? { versionNegotiation: { mode: { pin: revision } } } : {};
  const capabilities = { elicitation: { form: { applyDefaults: true } } };
  const client = new Client({ name: "leg", version: "1" }, { capabilities, ...pin } as never);
  client.setRequestHandler("elicitation/create", ({ params }) => takesDefaults(params));
  const headers = { authorization: `Bearer ${await lab.idp.mint("alice")}` };
  const endpoint = new URL(`${lab.gateway}/servers/leg/mcp`);
  await client.connect(new StreamableHTTPClientTransport(endpoint, { requestInit: { headers } }));
  await useAll(client);
  await client.close();
} finally {
  await lab.stop();
  rmSync(folder, { recursive: true, force: true });
}
