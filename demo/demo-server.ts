// The demo's MCP server: the official SDK, five tools, one prompt and one resource. `whoami` answers with the headers
// that arrived, so that everybody can see whose credential the gateway injected and whose token it did not pass on.
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";
import { isKnown, isTokenFor, refuseStranger, type AcceptedTokens, type KnownCredentials } from "./server-gate.ts";

/** One request as the server saw it. */
export interface Arrival {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  readonly path: string;
}

export interface DemoServer {
  readonly url: string;
  /** Everything that arrived, what was refused too; oldest first. */
  readonly arrivals: readonly Arrival[];
  close(): Promise<void>;
}

function text(value: string) {
  return { content: [{ type: "text" as const, text: value }] };
}

function buildServer(name: string, received: Record<string, string>): McpServer {
  const server = new McpServer({ name, version: "1.0.0" });
  server.registerTool("echo", { description: "Says it again", inputSchema: z.object({ text: z.string() }) }, (args) =>
    text(args.text),
  );
  server.registerTool("whoami", { description: "Shows the request headers that reached this server" }, () =>
    text(JSON.stringify(received, null, 2)),
  );
  server.registerTool(
    "search_docs",
    { description: "Searches the docs", inputSchema: z.object({ query: z.string() }) },
    (args) => text(`3 results for ${args.query}`),
  );
  server.registerTool(
    "delete_repo",
    { description: "Deletes a repository", inputSchema: z.object({ name: z.string() }) },
    (args) => text(`deleted ${args.name}`),
  );
  server.registerTool(
    "transfer",
    { description: "Moves money", inputSchema: z.object({ to: z.string(), amount: z.number() }) },
    (args) => text(`sent ${args.amount} to ${args.to}`),
  );
  server.registerPrompt("summary", { description: "Asks for a summary" }, () => ({
    messages: [{ role: "user" as const, content: { type: "text" as const, text: "Summarise the docs." } }],
  }));
  server.registerResource("readme", "docs://readme", { description: "The readme" }, (uri) => ({
    contents: [{ uri: uri.href, text: "Read me." }],
  }));
  return server;
}

export interface DemoServerOptions {
  /** What it calls itself, in `serverInfo`; default `demo`. */
  readonly name?: string;
  /** Default loopback; a container listens on all of its own addresses. */
  readonly listen?: string;
  readonly onArrival?: (arrival: Arrival) => void;
  /** Whom it serves; default everybody. */
  readonly serves?: { readonly known: KnownCredentials; readonly tokens?: AcceptedTokens };
}

/** @param port 0 for any free one */
export async function startDemoServer(port: number, options: DemoServerOptions = {}): Promise<DemoServer> {
  const arrivals: Arrival[] = [];
  const handler = createMcpHandler((context) =>
    buildServer(options.name ?? "demo", Object.fromEntries(context.requestInfo?.headers ?? [])),
  );
  const node = toNodeHandler(handler);
  const server = createServer((request, response) => {
    void readBody(request).then(async (body) => {
      const arrival = { headers: request.headers, body, path: request.url ?? "" };
      arrivals.push(arrival);
      options.onArrival?.(arrival);
      if (arrivals.length > 1000) arrivals.shift();
      if (!(await isServed(request.headers, options))) return refuseStranger(response);
      let parsed: unknown;
      try {
        parsed = body === "" ? undefined : JSON.parse(body);
      } catch {
        parsed = undefined;
      }
      return node(request as never, response as never, parsed);
    });
  });
  await new Promise<void>((done, fail) => {
    server.once("error", fail);
    server.listen(port, options.listen ?? "127.0.0.1", done);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `http://127.0.0.1:${address.port}/mcp`,
    arrivals,
    close: () =>
      new Promise<void>((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
}

async function isServed(headers: IncomingHttpHeaders, { serves }: DemoServerOptions): Promise<boolean> {
  if (serves === undefined || isKnown(headers, serves.known)) return true;
  return serves.tokens !== undefined && isTokenFor(headers, serves.tokens);
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
