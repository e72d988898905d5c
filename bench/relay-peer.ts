// What the relay is measured with and against: `upstream`, an MCP server that answers at once, and `proxy URL`, which
// passes bytes on by node:http and does nothing else.
import { Agent, createServer, request as httpRequest, type Server } from "node:http";

const ANSWER = { content: [{ type: "text", text: "3 results" }], resultType: "complete" };
const DISCOVERY = { supportedVersions: ["2026-07-28"], capabilities: {}, resultType: "complete" };

function upstream(): Server {
  return createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { id, method } = JSON.parse(Buffer.concat(chunks).toString()) as { id: unknown; method: string };
      const body = JSON.stringify({ jsonrpc: "2.0", id, result: method === "server/discover" ? DISCOVERY : ANSWER });
      response
        .writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) })
        .end(body);
    });
  });
}

function proxy(target: string): Server {
  const { hostname, port, pathname } = new URL(target);
  const agent = new Agent({ keepAlive: true });
  return createServer((request, response) => {
    const { method, headers } = request;
    const forward = httpRequest({ hostname, port, path: pathname, method, headers, agent }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    request.pipe(forward);
  });
}

const [role, target = ""] = process.argv.slice(2);
const server = role === "proxy" ? proxy(target) : upstream();
server.keepAliveTimeout = 600_000;
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  process.stdout.write(`${typeof address === "object" ? address?.port : ""}\n`);
});
