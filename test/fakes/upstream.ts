// An MCP server that does as a test says: of either era, with or without sessions, and as hostile as need be.
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One request as it arrived. */
export interface Arrival {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly rawHeaders: readonly string[];
  readonly body: string;
  readonly message: Message | null;
}

export interface Message {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
}

/** Answers a call; everything else the fake answers itself. */
export type OnCall = (arrival: Arrival, response: ServerResponse) => void;

export interface FakeUpstream {
  readonly url: string;
  readonly origin: string;
  readonly arrivals: readonly Arrival[];
  /** The requests for one method, as `tools/call`, `initialize` or `DELETE`. */
  of(what: string): readonly Arrival[];
  readonly sessions: ReadonlySet<string>;
  /** As after a restart. */
  forgetSessions(): void;
  era: FakeEra;
  onCall: OnCall;
  /** Before everything else; true if it has answered. */
  onAny: (arrival: Arrival, response: ServerResponse) => boolean;
  close(): Promise<void>;
}

/** `sessions`: an older revision that wants a session. */
export type FakeEra = "modern" | "legacy" | "sessions";

export function json(response: ServerResponse, status: number, body: unknown) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  if (!response.hasHeader("content-type")) response.setHeader("content-type", "application/json");
  response.writeHead(status).end(text);
}

/** The response, with headers that the server makes up. */
export function withHeaders(response: ServerResponse, headers: Readonly<Record<string, string>>): ServerResponse {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  return response;
}

export function result(arrival: Arrival, value: object = { content: [{ type: "text", text: "ok" }] }) {
  return { jsonrpc: "2.0", id: arrival.message?.id, result: value };
}

export const answerOk: OnCall = (arrival, response) => json(response, 200, result(arrival));

/** Streams these pieces, with a moment between them, and ends unless told otherwise. */
export function stream(
  response: ServerResponse,
  pieces: readonly (string | Buffer)[],
  { end = true, headers = {} }: { end?: boolean; headers?: Record<string, string> } = {},
): void {
  response.writeHead(200, { "content-type": "text/event-stream", ...headers });
  const next = (i: number) => {
    const piece = pieces[i];
    if (piece === undefined) {
      if (end) response.end();
      return;
    }
    response.write(piece, () => setImmediate(next, i + 1));
  };
  next(0);
}

export const event = (message: unknown, type = "message") =>
  `event: ${type}\ndata: ${typeof message === "string" ? message : JSON.stringify(message)}\n\n`;

export async function startFakeUpstream(era: FakeEra = "modern", onCall: OnCall = answerOk): Promise<FakeUpstream> {
  const arrivals: Arrival[] = [];
  const sessions = new Set<string>();
  const server = createServer((request, response) => {
    response.on("error", () => {});
    void readBody(request).then((body) => {
      const { method = "", url: path = "", headers, rawHeaders } = request;
      const arrival = { method, path, headers, rawHeaders, body, message: parsed(body) };
      arrivals.push(arrival);
      if (!fake.onAny(arrival, response)) answer({ fake, sessions }, arrival, response);
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const fake: FakeUpstream = {
    url: `${origin}/mcp`,
    origin,
    arrivals,
    of: (what) => arrivals.filter(({ method, message }) => method === what || message?.method === what),
    sessions,
    forgetSessions: () => sessions.clear(),
    era,
    onCall,
    onAny: () => false,
    close: () =>
      new Promise<void>((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
  return fake;
}

const rpcError = (id: unknown, code: number, message: string) => ({
  jsonrpc: "2.0",
  ...(id !== undefined && { id }),
  error: { code, message },
});

/** The fake, and its sessions, which it alone may change. */
interface Server {
  readonly fake: FakeUpstream;
  readonly sessions: Set<string>;
}

function answer({ fake, sessions }: Server, arrival: Arrival, response: ServerResponse): void {
  if (fake.era === "modern") answerModern(fake, arrival, response);
  else if (arrival.method === "DELETE") {
    sessions.delete(String(arrival.headers["mcp-session-id"]));
    response.writeHead(204).end();
  } else answerLegacy({ fake, sessions }, arrival, response);
}

function answerModern(fake: FakeUpstream, arrival: Arrival, response: ServerResponse): void {
  const { headers, message } = arrival;
  if (message?.method === "server/discover")
    json(response, 200, result(arrival, { supportedVersions: ["2026-07-28"], resultType: "complete" }));
  else if (headers["mcp-protocol-version"] === "2026-07-28") fake.onCall(arrival, response);
  else json(response, 400, rpcError(message?.id, -32_022, "Unsupported protocol version"));
}

function answerLegacy({ fake, sessions }: Server, arrival: Arrival, response: ServerResponse): void {
  const { headers, message } = arrival;
  const session = headers["mcp-session-id"];
  const isLost = fake.era === "sessions" && !sessions.has(String(session));
  if (headers["mcp-protocol-version"] === "2026-07-28")
    json(response, 400, rpcError(null, -32_000, "Bad Request: Unsupported protocol version"));
  else if (message?.method === "initialize") openSession({ fake, sessions }, arrival, response);
  else if (isLost) json(response, session === undefined ? 400 : 404, rpcError(null, -32_001, "Session not found"));
  else if (message?.method?.startsWith("notifications/") === true) response.writeHead(202).end();
  else fake.onCall(arrival, response);
}

function openSession({ fake, sessions }: Server, arrival: Arrival, response: ServerResponse): void {
  const opened = randomUUID();
  const wantsSession = fake.era === "sessions";
  if (wantsSession) sessions.add(opened);
  const welcome = result(arrival, { protocolVersion: "2025-06-18", capabilities: {}, serverInfo: {} });
  json(wantsSession ? withHeaders(response, { "mcp-session-id": opened }) : response, 200, welcome);
}

function parsed(body: string): Message | null {
  try {
    return JSON.parse(body) as Message;
  } catch {
    return null;
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    return "";
  }
  return Buffer.concat(chunks).toString("utf8");
}
