// MCP servers for tests of lists: the official SDKs, of both eras, changing while they run.
import { randomUUID } from "node:crypto";
import { createServer, type Server as HttpServer } from "node:http";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, McpServer, ResourceTemplate } from "@modelcontextprotocol/server";
import { Server as SessionServer } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import {
  ListResourcesRequestSchema,
  ListToolsRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";

export interface TestServer {
  readonly url: string;
  start(): Promise<void>;
  stop(): Promise<void>;
}

type Handle = Parameters<typeof createServer>[1];

/** A server that can be stopped and started again in the same place. */
async function serverOf(handle: Handle): Promise<TestServer> {
  let server: HttpServer | undefined;
  let port = 0;
  const start = async () => {
    const fresh = createServer(handle as never);
    await new Promise<void>((done, fail) => {
      fresh.once("error", fail);
      fresh.listen(port, "127.0.0.1", done);
    });
    port = (fresh.address() as { port: number }).port;
    server = fresh;
  };
  await start();
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    start,
    stop: () =>
      new Promise((done) => {
        server?.closeAllConnections();
        server?.close(() => done());
      }),
  };
}

/** Stateless and of today, with all four kinds. @param tools what it offers now */
export function startDocs(tools: Set<string>): Promise<TestServer> {
  const handler = toNodeHandler(
    createMcpHandler(() => {
      const server = new McpServer({ name: "docs", version: "1.0.0" });
      for (const name of tools) {
        const annotations = { readOnlyHint: true, title: "Reads" };
        server.registerTool(
          name,
          { title: name, description: `Does ${name}`, annotations, _meta: { "x/y": 1 } },
          () => ({
            content: [],
          }),
        );
      }
      for (const name of ["summary", "secret_prompt"])
        server.registerPrompt(name, { description: `Asks for ${name}` }, () => ({ messages: [] }));
      for (const name of ["readme", "secret_page"])
        server.registerResource(name, `docs://${name}`, { description: name }, () => ({ contents: [] }));
      const complete = { id: (value: string) => [`${value}-page`] };
      for (const scheme of ["docs", "secret"])
        server.registerResource(
          scheme,
          new ResourceTemplate(`${scheme}://{id}`, { list: undefined, complete }),
          {},
          () => ({
            contents: [],
          }),
        );
      return server;
    }),
  );
  return serverOf((request, response) => void handler(request as never, response as never));
}

/** An MCP App (SEP-1865): a tool with a page, a tool that the page calls, and one for managers. */
export function startApp(): Promise<TestServer> {
  const text = (value: string) => ({ content: [{ type: "text" as const, text: value }] });
  const page = "ui://chart/view.html";
  const handler = toNodeHandler(
    createMcpHandler(() => {
      const server = new McpServer({ name: "app", version: "1.0.0" });
      const ui = { _meta: { ui: { resourceUri: page }, "ui/resourceUri": page } };
      server.registerTool("show_chart", { description: "Shows a chart", ...ui }, () => ({
        ...text("a chart"),
        content: [{ type: "resource_link" as const, uri: page, name: "page" }, ...text(`see ${page}`).content],
      }));
      const visibility = { _meta: { ui: { visibility: ["app"] } } };
      server.registerTool("refresh_chart", { description: "For the page", ...visibility }, () => text("fresh"));
      server.registerTool("delete_chart", { description: "For managers", ...visibility }, () => text("deleted"));
      for (const name of ["chart/view.html", "secret/view.html"]) {
        const contents = [{ uri: `ui://${name}`, mimeType: "text/html;profile=mcp-app", text: "<html></html>" }];
        const csp = { _meta: { ui: { csp: { connectDomains: ["https://api.example.com"] } } } };
        server.registerResource(name, `ui://${name}`, csp, () => ({ contents: [{ ...contents[0]!, ...csp }] }));
      }
      return server;
    }),
  );
  return serverOf((request, response) => void handler(request as never, response as never));
}

/** Of the year before, with sessions. Sessions that nobody ended stay in `open`. */
export async function startSessions(open: Set<string>): Promise<TestServer> {
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  const create = async () => {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => {
        open.add(id);
        sessions.set(id, transport);
      },
      onsessionclosed: (id) => {
        open.delete(id);
        sessions.delete(id);
      },
    });
    const server = new SessionServer({ name: "old", version: "1.0.0" }, { capabilities: { tools: {} } });
    const tool = (name: string) => ({ name, inputSchema: { type: "object" as const } });
    server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: ["old_read", "old_delete"].map(tool) }));
    await server.connect(transport as never);
    return transport;
  };
  return serverOf((request, response) => {
    const id = request.headers["mcp-session-id"];
    const known = typeof id === "string" ? sessions.get(id) : undefined;
    void (known === undefined ? create() : Promise.resolve(known)).then((transport) =>
      transport.handleRequest(request, response),
    );
  });
}

/** A server that says when its tools have changed. */
export interface LiveServer extends TestServer {
  /** What it offers now, beside `wait`. */
  readonly tools: Set<string>;
  /** Tells those who listen that its tools have changed. */
  changed(): void;
  /** Tells those who listen that `docs://page` and `docs://secret` have changed. */
  updated(): void;
  /** Ends the calls of `wait` under way, each with the server's name. */
  readonly waiting: (() => void)[];
}

const PAGES = ["docs://page", "docs://secret"];

/** Stateless and of today. Each tool answers with the server's name. */
export async function startLive(name: string, tools: Set<string>): Promise<LiveServer> {
  const waiting: (() => void)[] = [];
  const answer = { content: [{ type: "text" as const, text: name }] };
  const capabilities = { resources: { subscribe: true, listChanged: true } };
  const handler = createMcpHandler(() => {
    const server = new McpServer({ name, version: "1.0.0" }, { capabilities });
    for (const uri of PAGES) server.registerResource(uri, uri, {}, () => ({ contents: [{ uri, text: name }] }));
    for (const tool of tools) server.registerTool(tool, {}, () => answer);
    server.registerTool("wait", {}, () => new Promise((done) => waiting.push(() => done(answer))));
    return server;
  });
  const node = toNodeHandler(handler);
  const server = await serverOf((request, response) => void node(request as never, response as never));
  const updated = () => {
    for (const uri of PAGES) handler.notify.resourceUpdated(uri);
  };
  return { ...server, tools, waiting, changed: () => handler.notify.toolsChanged(), updated };
}

/** Of the year before, with a session and its stream for each client. */
export async function startOldLive(name: string, tools: Set<string>): Promise<LiveServer> {
  const sessions = new Map<
    string,
    { readonly transport: StreamableHTTPServerTransport; readonly server: SessionServer }
  >();
  const create = async () => {
    const capabilities = { tools: { listChanged: true }, resources: { subscribe: true } };
    const server = new SessionServer({ name, version: "1.0.0" }, { capabilities });
    const resources = PAGES.map((uri) => ({ uri, name: uri }));
    server.setRequestHandler(ListResourcesRequestSchema, () => ({ resources }));
    for (const schema of [SubscribeRequestSchema, UnsubscribeRequestSchema])
      server.setRequestHandler(schema, () => ({}));
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void sessions.set(id, { transport, server }),
      onsessionclosed: (id) => void sessions.delete(id),
    });
    const tool = (each: string) => ({ name: each, inputSchema: { type: "object" as const } });
    server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [...tools].map(tool) }));
    await server.connect(transport as never);
    return transport;
  };
  const server = await serverOf((request, response) => {
    const id = request.headers["mcp-session-id"];
    const known = typeof id === "string" ? sessions.get(id)?.transport : undefined;
    void (known === undefined ? create() : Promise.resolve(known)).then((transport) =>
      transport.handleRequest(request, response),
    );
  });
  return {
    ...{ ...server, tools, waiting: [] },
    changed() {
      for (const each of sessions.values()) void each.server.sendToolListChanged().catch(() => {});
    },
    updated() {
      for (const each of sessions.values())
        for (const uri of PAGES) void each.server.sendResourceUpdated({ uri }).catch(() => {});
    },
  };
}
