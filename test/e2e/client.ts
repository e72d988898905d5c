// One MCP request over HTTP, as a plain client sends it.
export interface CallOptions {
  readonly token?: string | null;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Reply {
  /** Of HTTP; for a refusal that is 200, the status that is its code: what is refused is the same. */
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The JSON-RPC message of a JSON or SSE answer, or null. */
  readonly message: Record<string, unknown> | null;
}

const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
  "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
};

export async function post(gateway: string, body: string, options: CallOptions = {}): Promise<Reply> {
  const response = await fetch(`${gateway}${options.path ?? "/servers/demo/mcp"}`, {
    method: "POST",
    body,
    redirect: "manual",
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      ...(options.token !== null && options.token !== undefined && { authorization: `Bearer ${options.token}` }),
      ...options.headers,
    },
  });
  return replyOf(response);
}

/** A request of the 2025-11-25 revision. */
export function legacy(gateway: string, method: string, params: object, options: CallOptions = {}): Promise<Reply> {
  return post(gateway, JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }), options);
}

/** A request of the 2026-07-28 revision, with the headers that mirror it. */
export function modern(
  gateway: string,
  method: string,
  params: Record<string, unknown>,
  options: CallOptions = {},
): Promise<Reply> {
  const name = params["name"] ?? params["uri"];
  return post(gateway, JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { ...params, _meta: META } }), {
    ...options,
    headers: {
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": method,
      ...(typeof name === "string" && { "mcp-name": name }),
      ...options.headers,
    },
  });
}

async function replyOf(response: Response): Promise<Reply> {
  const text = await response.text();
  const data = text.startsWith("{") ? text : (/^data: (.*)$/m.exec(text)?.[1] ?? "");
  let message: Record<string, unknown> | null = null;
  try {
    message = JSON.parse(data) as Record<string, unknown>;
  } catch {
    message = null;
  }
  const status = data === text ? refusedStatus(response.status, message) : response.status;
  return { status, headers: response.headers, text, message };
}

/** `policy_denied` has a form of its own (`denial`). */
function refusedStatus(status: number, message: Reply["message"]): number {
  const { code, data } = (message?.["error"] ?? {}) as { code?: number; data?: { reason?: string } };
  const isRefusal = data?.reason !== undefined && data.reason !== "policy_denied";
  if (status !== 200 || !isRefusal || code === undefined) return status;
  return code === -32_602 ? 400 : Math.max(code, status);
}

/** The reason in a refusal's body. */
export function reasonOf(reply: Reply): unknown {
  const error = reply.message?.["error"] as { data?: { reason?: unknown } } | undefined;
  return error?.data?.reason ?? reply.message?.["error"];
}
