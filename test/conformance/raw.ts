// One request of MCP over HTTP as a test writes it, and the message that came back. I/O: fetch.

export const MODERN = "2026-07-28";
export const OLDER = "2025-11-25";

export interface Sent {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON, a text as it is. */
  readonly body?: unknown;
  /** Ends the request; default 10 s. */
  readonly timeoutMs?: number;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The answer: the body, or the last message of its stream. */
  readonly message: Message | null;
}

interface Message {
  readonly id?: unknown;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: {
    readonly code: number;
    readonly message: string;
    readonly data?: Readonly<Record<string, unknown>>;
  };
}

const TIMEOUT_MS = 10_000;

/** @throws when nothing came in time */
export async function send(url: string, { method = "POST", headers = {}, body, timeoutMs }: Sent = {}): Promise<Reply> {
  const response = await fetch(url, {
    method,
    redirect: "manual",
    signal: AbortSignal.timeout(timeoutMs ?? TIMEOUT_MS),
    headers: {
      ...(body !== undefined && { "content-type": "application/json" }),
      accept: "application/json, text/event-stream",
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, message: messageOf(text) };
}

function messageOf(text: string): Message | null {
  const last = text.startsWith("{")
    ? text
    : text
        .match(/^data: (.+)$/gm)
        ?.at(-1)
        ?.slice("data: ".length);
  try {
    return JSON.parse(last ?? "null") as Message | null;
  } catch {
    return null;
  }
}

type Params = Readonly<Record<string, unknown>>;

/** A request of 2026-07-28 with the headers that mirror it. @param meta over its own envelope */
export function modernRequest(method: string, params: Params = {}, meta: Params = {}): Sent {
  const envelope = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    ...meta,
  };
  const name = params["name"] ?? params["uri"];
  return {
    headers: {
      "mcp-protocol-version": MODERN,
      "mcp-method": method,
      ...(typeof name === "string" && { "mcp-name": name }),
    },
    body: { jsonrpc: "2.0", id: 1, method, params: { ...params, _meta: envelope } },
  };
}

export function olderRequest(method: string, params: Params = {}): Sent {
  return { headers: { "mcp-protocol-version": OLDER }, body: { jsonrpc: "2.0", id: 1, method, params } };
}

/** The same with further headers. */
export const withHeaders = (sent: Sent, headers: Readonly<Record<string, string>>): Sent => ({
  ...sent,
  headers: { ...sent.headers, ...headers },
});
