// What the lists are measured with and against: `server N`, an MCP server with N tools, and `memory FILE`, which answers every
// request with the bytes of a file.
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";

const JSON_TYPE = { "content-type": "application/json" };
const DISCOVERY = { supportedVersions: ["2026-07-28"], capabilities: { tools: {} }, resultType: "complete" };

function toolsOf(count: number): object[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `tool_${String(i).padStart(5, "0")}`,
    description: "Searches the documents of one department and returns the passages that fit best, with their places.",
    inputSchema: {
      type: "object",
      properties: { query: { type: "string", description: "Words to look for" }, limit: { type: "integer" } },
      required: ["query"],
    },
  }));
}

function listed(count: number): Server {
  const tools = { tools: toolsOf(count), resultType: "complete", ttlMs: 0, cacheScope: "private" };
  return createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { id, method } = JSON.parse(Buffer.concat(chunks).toString()) as { id: unknown; method: string };
      const result = method === "server/discover" ? DISCOVERY : tools;
      response.writeHead(200, JSON_TYPE).end(JSON.stringify({ jsonrpc: "2.0", id, result }));
    });
  });
}

function memory(file: string): Server {
  const bytes = readFileSync(file);
  const headers = { ...JSON_TYPE, "content-length": bytes.length };
  return createServer((request, response) => {
    request.resume();
    request.on("end", () => response.writeHead(200, headers).end(bytes));
  });
}

const [role, argument = ""] = process.argv.slice(2);
const server = role === "server" ? listed(Number(argument)) : memory(argument);
server.keepAliveTimeout = 600_000;
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  process.stdout.write(`${typeof address === "object" ? address?.port : ""}\n`);
});
