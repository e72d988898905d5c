// An MCP server for faults: it speaks what the test says, in either era, byte by byte if need be.
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";

export interface UpstreamRequest {
  readonly http: string;
  readonly headers: IncomingHttpHeaders;
  readonly path: string;
  readonly method: string;
  readonly params: Record<string, unknown>;
  readonly raw: string;
}

/** Answers one request, or returns the result to answer with. */
export type Respond = (request: UpstreamRequest, response: ServerResponse) => unknown;

export interface FakeUpstream {
  readonly url: string;
  readonly origin: string;
  /** Oldest first. */
  readonly requests: UpstreamRequest[];
  respond: Respond;
  /** Connections open now. */
  connections(): Promise<number>;
  close(): Promise<void>;
}

export const json = (response: ServerResponse, status: number, value: unknown) =>
  void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));

export const rpcError = (response: ServerResponse, status: number, code: number) =>
  json(response, status, { jsonrpc: "2.0", id: 1, error: { code, message: "no" } });

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

export async function startUpstream(respond: Respond): Promise<FakeUpstream> {
  const server = createServer((request, response) => {
    void read(request).then((raw) => {
      const body = (raw === "" ? {} : JSON.parse(raw)) as { id?: unknown; method?: string; params?: object };
      const arrived = {
        http: request.method ?? "",
        headers: request.headers,
        path: request.url ?? "",
        method: body.method ?? "",
        params: (body.params ?? {}) as Record<string, unknown>,
        raw,
      };
      fake.requests.push(arrived);
      const result = fake.respond(arrived, response);
      if (result !== undefined) json(response, 200, { jsonrpc: "2.0", id: body.id, result });
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const origin = `http://127.0.0.1:${port}`;
  const fake: FakeUpstream = {
    url: `${origin}/mcp`,
    origin,
    requests: [],
    respond,
    connections: () => new Promise((done) => server.getConnections((_, count) => done(count))),
    close: () =>
      new Promise((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
  return fake;
}

type Lists = Partial<Record<"tools" | "prompts" | "resources" | "resourceTemplates", readonly unknown[]>>;

const MEMBERS: Readonly<Record<string, keyof Lists>> = {
  "tools/list": "tools",
  "prompts/list": "prompts",
  "resources/list": "resources",
  "resources/templates/list": "resourceTemplates",
};

/** A server of the stateless revision that offers these lists. */
export function modernServer(lists: Lists): Respond {
  return ({ method, headers }, response) => {
    if (headers["mcp-protocol-version"] !== "2026-07-28") return rpcError(response, 400, -32022);
    if (method === "server/discover") return { supportedVersions: ["2026-07-28"], capabilities: offering(lists) };
    const member = MEMBERS[method];
    if (member === undefined) return rpcError(response, 404, -32601);
    return { resultType: "complete", [member]: lists[member] ?? [], ttlMs: 1, cacheScope: "public" };
  };
}

/** A server of an older revision, with a session, that offers these lists. */
export function sessionServer(lists: Lists, version = "2025-06-18"): Respond {
  return ({ http, method, headers }, response) => {
    if (http === "DELETE") return void response.writeHead(204).end();
    if (method === "initialize") {
      const result = {
        protocolVersion: version,
        capabilities: offering(lists),
        serverInfo: { name: "f", version: "1" },
      };
      response.setHeader("mcp-session-id", "session-1");
      return json(response, 200, { jsonrpc: "2.0", id: 1, result });
    }
    if (headers["mcp-session-id"] !== "session-1") return rpcError(response, 400, -32000);
    if (method.startsWith("notifications/")) return void response.writeHead(202).end();
    const member = MEMBERS[method];
    return member === undefined ? rpcError(response, 200, -32601) : { [member]: lists[member] ?? [] };
  };
}

function offering({ tools, prompts, resources, resourceTemplates }: Lists): object {
  return {
    ...(tools && { tools: {} }),
    ...(prompts && { prompts: {} }),
    ...((resources ?? resourceTemplates) && { resources: {} }),
  };
}
