// A hostile MCP server: it lists what it likes, and answers calls as it likes.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

export interface HostileRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: string;
  readonly message: HostileMessage;
  /** Answers as JSON-RPC wants it. */
  readonly result: (result: object) => void;
}

interface HostileMessage {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: { readonly name?: string; readonly uri?: string; readonly arguments?: unknown };
}

export interface HostileOptions {
  /** What it lists, by method; asked each time. */
  readonly lists?: (method: string) => object | undefined;
  /** Answers everything else. */
  readonly call?: (request: HostileRequest) => void;
}

export interface HostileServer {
  readonly url: string;
  close(): Promise<void>;
}

const NOTHING = { tools: [], prompts: [], resources: [], resourceTemplates: [] };
const HANDSHAKE = {
  protocolVersion: "2025-11-25",
  capabilities: { tools: {}, prompts: {}, resources: {} },
  serverInfo: { name: "hostile", version: "1" },
};

export async function startHostileServer({ lists, call }: HostileOptions): Promise<HostileServer> {
  const server = createServer((request, response) => {
    void read(request).then((body) => {
      const message = parsed(body);
      const result = (value: object) => {
        response.writeHead(200, { "content-type": "application/json" });
        response.end(JSON.stringify({ jsonrpc: "2.0", id: message.id ?? null, result: value }));
      };
      const method = message.method ?? "";
      if (request.method !== "POST" || method === "server/discover") return void response.writeHead(404).end();
      if (method === "initialize") return result(HANDSHAKE);
      if (message.id === undefined) return void response.writeHead(202).end();
      if (method.endsWith("list")) return result({ ...NOTHING, ...lists?.(method) });
      if (call === undefined) return result({ content: [] });
      return call({ request, response, body, message, result });
    });
  });
  await new Promise<void>((done) => {
    server.listen(0, "127.0.0.1", done);
  });
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    close: () =>
      new Promise((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

function parsed(body: string): HostileMessage {
  try {
    return JSON.parse(body) as HostileMessage;
  } catch {
    return {};
  }
}

/** A configuration's server of this URL that wants no credential. */
export function withoutCredential(url: string, further: object = {}): object {
  return { url, credential: [{ none: {} }], ...further };
}
