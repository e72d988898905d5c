// The transport HTTP+SSE (2024-11-05), for those who speak streamable HTTP: the connection is the session. A server is known
// by the rule of the specification: POST of `initialize` gives 400, 404 or 405, and GET a stream that begins with `endpoint`. I/O.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#backwards-compatibility
import { randomUUID } from "node:crypto";
import { drainOrClose, HttpFault, type HttpRequest, type HttpResponse } from "../../http/client.ts";
import { readObjectSpan } from "../../json/spans.ts";
import { shortValue } from "../../mcp/upstream-message.ts";
import { MODERN } from "../../mcp/versions.ts";
import { emptyResponse } from "./made-response.ts";
import { openChannel, type ChannelOptions, type SendTo, type SseChannel, type SharedBytes } from "./sse-channel.ts";

type OwnRequest = Omit<HttpRequest, "path">;
type Request = (request: OwnRequest) => Promise<HttpResponse>;

/** What is known of a server's transport, for all who speak to it. */
export interface TransportMemory {
  isSse(): boolean;
  remember(isSse: boolean): void;
}

export interface HttpSseOptions {
  readonly url: string;
  readonly path: string;
  /** Streamable HTTP, and the messages of HTTP+SSE. */
  readonly send: SendTo;
  /** The streams of HTTP+SSE: each lasts as long as its session. */
  readonly stream: SendTo;
  readonly maxChannels: number;
  readonly memory: TransportMemory;
  /** Of one event. */
  readonly maxBytes: number;
  readonly shared: SharedBytes;
}

/** Ids of channels: they never leave this process. */
const PREFIX = "mcp-authz-channel-";
const NOT_STREAMABLE: readonly number[] = [400, 404, 405];
/** A server is tried with streamable HTTP again after this time: it may have been updated. */
const SSE_TTL_MS = 10 * 60_000;

/** True for the session of an HTTP+SSE server: its id is ours, and means nothing to the server. */
export function isChannel(session: string | undefined): boolean {
  return session?.startsWith(PREFIX) === true;
}

/** @param monotonic milliseconds of a clock that never goes back */
export function createTransportMemory(monotonic: () => number): TransportMemory {
  let seenAt: number | null = null;
  return {
    isSse: () => seenAt !== null && monotonic() - seenAt < SSE_TTL_MS,
    remember: (isSse) => void (seenAt = isSse ? monotonic() : null),
  };
}

/** Sends requests to a server in the transport that it has. */
export function withHttpSse(options: HttpSseOptions): Request {
  const { send, path, memory } = options;
  const channels = new Map<string, SseChannel>();
  const streamable: Request = (request) => send({ ...request, path });
  return async (request) => {
    const session = request.headers["mcp-session-id"];
    if (session !== undefined && isChannel(session))
      return channels.get(session)?.request(request) ?? emptyResponse(404);
    if (!memory.isSse()) return discovering(options, channels, { request, streamable });
    // The probe of the era, and whatever else needs a session that is not there.
    if (session !== undefined || request.method !== "POST" || request.headers["mcp-protocol-version"] === MODERN)
      return emptyResponse(session === undefined ? 405 : 404);
    if (!isInitialize(request)) return emptyResponse(404);
    const greeted = await greet(options, channels, request);
    if (greeted !== null) return greeted;
    memory.remember(false);
    return streamable(request);
  };
}

interface Unknown {
  readonly request: OwnRequest;
  readonly streamable: Request;
}

async function discovering(
  options: HttpSseOptions,
  channels: Map<string, SseChannel>,
  { request, streamable }: Unknown,
): Promise<HttpResponse> {
  const response = await streamable(request);
  if (!NOT_STREAMABLE.includes(response.statusCode) || !isInitialize(request)) return response;
  try {
    const greeted = await greet(options, channels, request);
    if (greeted === null) return response;
    drainOrClose(response);
    options.memory.remember(true);
    return greeted;
  } catch (error) {
    drainOrClose(response);
    throw error;
  }
}

/** Opens a channel and sends its first message; null if the server has none. @throws {HttpFault} */
async function greet(
  options: HttpSseOptions,
  channels: Map<string, SseChannel>,
  request: OwnRequest,
): Promise<HttpResponse | null> {
  makeRoom(channels, options.maxChannels);
  const id = PREFIX + randomUUID();
  const { url, path, stream, send, maxBytes, shared } = options;
  const channel: ChannelOptions = {
    url,
    path,
    stream,
    post: send,
    maxBytes,
    shared,
    onClose: () => channels.delete(id),
  };
  try {
    const opened = await openChannel(channel, request);
    channels.set(id, opened);
    return await opened.request(request, { "mcp-session-id": id });
  } catch (error) {
    if (error instanceof HttpFault && error.code === "no_sse") return null;
    throw error;
  }
}

/** Ends the channel that was opened first of those without a request. @throws {HttpFault} if each has one */
function makeRoom(channels: ReadonlyMap<string, SseChannel>, max: number): void {
  if (channels.size < max) return;
  const idle = [...channels.values()].find(({ isIdle }) => isIdle);
  if (idle === undefined) throw new HttpFault("streams_exhausted");
  idle.close();
}

function isInitialize({ method, body }: OwnRequest): boolean {
  if (method !== "POST" || body === null) return false;
  return shortValue(body, readObjectSpan(body)?.members.get("method")) === "initialize";
}
