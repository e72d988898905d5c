// An MCP server with N tools, for brokers: `stateless N` knows the stateless revision, `sessions N` the one before alone.
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

const JSON_TYPE = { "content-type": "application/json" };
const DISCOVERY = { supportedVersions: ["2026-07-28"], capabilities: { tools: {} }, resultType: "complete" };

const tools = Array.from({ length: Number(process.argv[3] ?? 1) }, (_, i) => ({
  name: `tool_${String(i).padStart(5, "0")}`,
  description: "Searches the documents of one department and returns the passages that fit best, with their places.",
  inputSchema: {
    type: "object",
    properties: { query: { type: "string", description: "Words to look for" }, limit: { type: "integer" } },
    required: ["query"],
  },
}));
const RESULTS: Readonly<Record<string, object>> = {
  initialize: {
    protocolVersion: "2025-11-25",
    capabilities: { tools: { listChanged: true } },
    serverInfo: { name: "peer", version: "1" },
  },
  ...(process.argv[2] === "stateless" && { "server/discover": DISCOVERY }),
  "tools/list": { tools, resultType: "complete", ttlMs: 0, cacheScope: "private" },
  "prompts/list": { prompts: [] },
  "resources/list": { resources: [] },
  ping: {},
};

function answer(text: string, response: ServerResponse): void {
  const { id, method } = JSON.parse(text) as { id?: unknown; method: string };
  const result = RESULTS[method];
  if (id === undefined) response.writeHead(202).end();
  else {
    const session = method === "initialize" ? { "mcp-session-id": randomUUID() } : {};
    const error = { code: -32_601, message: "Method not found" };
    response
      .writeHead(200, { ...JSON_TYPE, ...session })
      .end(JSON.stringify({ jsonrpc: "2.0", id, ...(result === undefined ? { error } : { result }) }));
  }
}

function receive(request: IncomingMessage, response: ServerResponse): void {
  if (request.method === "GET") response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
  else if (request.method === "DELETE") response.writeHead(204).end();
  else {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => answer(Buffer.concat(chunks).toString(), response));
  }
}

const server = createServer(receive);
server.keepAliveTimeout = 600_000;
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  process.stdout.write(`${typeof address === "object" ? address?.port : ""}\n`);
});
