// An MCP server of HTTP+SSE (2024-11-05) for tests: GET opens a stream that names an endpoint, messages are posted there.
import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import { event, result, startFakeServer, type Arrival, type FakeServer } from "./mcp-server.ts";

/** Writes an event to the stream of a session. */
export type Say = (message: unknown, type?: string) => void;

export interface SseServer extends FakeServer {
  /** URL of the stream. */
  readonly url: string;
  /** The streams that are open, by session. */
  readonly streams: Map<string, ServerResponse>;
  /** The data of the `endpoint` event. */
  endpoint: (session: string) => string;
  /** Answers a posted request on the stream; by default a list of the tool `t`, and `ok`. */
  onMessage: (arrival: Arrival, say: Say, session: string) => void;
  /** Before everything else; true if it has answered. */
  onAny: (arrival: Arrival, response: ServerResponse) => boolean;
}

const RESULTS: Readonly<Record<string, object>> = {
  initialize: { protocolVersion: "2024-11-05", capabilities: { tools: {} }, serverInfo: { name: "s", version: "1" } },
  "tools/list": { tools: [{ name: "t", inputSchema: { type: "object" } }] },
};

export const answerOnStream: SseServer["onMessage"] = (arrival, say) => {
  if (arrival.message?.id !== undefined) say(result(arrival, RESULTS[arrival.method]));
};

export async function startSseServer(onMessage = answerOnStream): Promise<SseServer> {
  const streams = new Map<string, ServerResponse>();
  const server = await startFakeServer((arrival, response) => {
    const url = new URL(arrival.path, server.origin);
    if (fake.onAny(arrival, response)) return;
    if (arrival.http === "GET" && url.pathname === "/sse") {
      const session = randomUUID();
      streams.set(session, response);
      response.on("close", () => streams.delete(session));
      response.writeHead(200, { "content-type": "text/event-stream" }).write(event(fake.endpoint(session), "endpoint"));
      return;
    }
    const session = url.searchParams.get("session") ?? "";
    const stream = streams.get(session);
    if (arrival.http !== "POST" || url.pathname !== "/messages" || stream === undefined) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(202).end("Accepted");
    fake.onMessage(arrival, (message, type) => void stream.write(event(message, type)), session);
  });
  const fake: SseServer = Object.assign(server, {
    url: `${server.origin}/sse`,
    streams,
    endpoint: (session: string) => `/messages?session=${session}`,
    onMessage,
    onAny: () => false,
  });
  return fake;
}
