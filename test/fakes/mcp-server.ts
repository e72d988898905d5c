// An MCP server for tests: it answers as a test says, in either era, with or without sessions, and byte by byte if need be.
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One request as it arrived. */
export interface Arrival {
  /** The HTTP method. */
  readonly http: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly rawHeaders: readonly string[];
  readonly body: string;
  readonly message: Message | null;
  /** Method and params of the message; empty where it has none. */
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

export interface Message {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
}

/** Answers one request, or returns the result to answer with. */
export type Respond = (request: Arrival, response: ServerResponse) => unknown;

export interface FakeServer {
  readonly url: string;
  readonly origin: string;
  /** Oldest first. */
  readonly requests: Arrival[];
  /** The requests for one method, as `tools/call`, `initialize` or `DELETE`. */
  of(what: string): readonly Arrival[];
  respond: Respond;
  /** Connections open now. */
  connections(): Promise<number>;
  close(): Promise<void>;
}

export async function startFakeServer(respond: Respond): Promise<FakeServer> {
  const requests: Arrival[] = [];
  const server = createServer((request, response) => {
    response.on("error", () => {});
    void readBody(request).then((body) => {
      const arrival = arrivalOf(request, body);
      requests.push(arrival);
      const value = fake.respond(arrival, response);
      if (value !== undefined) json(response, 200, result(arrival, value as object));
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const fake: FakeServer = {
    url: `${origin}/mcp`,
    origin,
    requests,
    of: (what) => requests.filter(({ http, method }) => http === what || method === what),
    respond,
    connections: () => new Promise((done) => server.getConnections((_, count) => done(count))),
    close: () =>
      new Promise<void>((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
  return fake;
}

function arrivalOf({ method: http = "", url: path = "", headers, rawHeaders }: IncomingMessage, body: string): Arrival {
  const message = parsed(body);
  const { method = "", params = {} } = message ?? {};
  return { http, path, headers, rawHeaders, body, message, method, params };
}

export function json(response: ServerResponse, status: number, body: unknown) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  if (!response.hasHeader("content-type")) response.setHeader("content-type", "application/json");
  response.writeHead(status).end(text);
}

/** An error that answers the message with the id 1. */
export const rpcError = (response: ServerResponse, status: number, code: number) =>
  json(response, status, { jsonrpc: "2.0", id: 1, error: { code, message: "no" } });

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

/** Answers a call; everything else the server answers itself. */
export type OnCall = (arrival: Arrival, response: ServerResponse) => void;

/** `sessions`: an older revision that wants a session. */
export type FakeEra = "modern" | "legacy" | "sessions";

/** A server of one era that answers all but calls by itself. */
export interface EraServer extends FakeServer {
  readonly sessions: ReadonlySet<string>;
  /** As after a restart. */
  forgetSessions(): void;
  era: FakeEra;
  onCall: OnCall;
  /** Before everything else; true if it has answered. */
  onAny: (arrival: Arrival, response: ServerResponse) => boolean;
}

export async function startEraServer(era: FakeEra = "modern", onCall: OnCall = answerOk): Promise<EraServer> {
  const sessions = new Set<string>();
  const server = await startFakeServer((arrival, response) => {
    if (!fake.onAny(arrival, response)) answer({ fake, sessions }, arrival, response);
  });
  const forgetSessions = () => sessions.clear();
  const fake: EraServer = Object.assign(server, { sessions, forgetSessions, era, onCall, onAny: () => false });
  return fake;
}

const errorOf = (id: unknown, code: number, message: string) => ({
  jsonrpc: "2.0",
  ...(id !== undefined && { id }),
  error: { code, message },
});

/** The fake, and its sessions, which it alone may change. */
interface Server {
  readonly fake: EraServer;
  readonly sessions: Set<string>;
}

function answer({ fake, sessions }: Server, arrival: Arrival, response: ServerResponse): void {
  if (fake.era === "modern") answerModern(fake, arrival, response);
  else if (arrival.http === "DELETE") {
    sessions.delete(String(arrival.headers["mcp-session-id"]));
    response.writeHead(204).end();
  } else answerLegacy({ fake, sessions }, arrival, response);
}

function answerModern(fake: EraServer, arrival: Arrival, response: ServerResponse): void {
  const { headers, message } = arrival;
  if (message?.method === "server/discover")
    json(response, 200, result(arrival, { supportedVersions: ["2026-07-28"], resultType: "complete" }));
  else if (headers["mcp-protocol-version"] === "2026-07-28") fake.onCall(arrival, response);
  else json(response, 400, errorOf(message?.id, -32_022, "Unsupported protocol version"));
}

function answerLegacy({ fake, sessions }: Server, arrival: Arrival, response: ServerResponse): void {
  const { headers, message } = arrival;
  const session = headers["mcp-session-id"];
  const isLost = fake.era === "sessions" && !sessions.has(String(session));
  if (headers["mcp-protocol-version"] === "2026-07-28")
    json(response, 400, errorOf(null, -32_000, "Bad Request: Unsupported protocol version"));
  else if (message?.method === "initialize") openSession({ fake, sessions }, arrival, response);
  else if (isLost) json(response, session === undefined ? 400 : 404, errorOf(null, -32_001, "Session not found"));
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
