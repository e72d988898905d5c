// A client of a test broker: says whatever a test wants, as Envoy would hand it on.
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import { bodyDigest } from "../../src/wristband/claims.ts";
import { boundFor, claimsOf, wristband } from "./wristband.ts";

export const CREDENTIAL = "Bearer upstream-credential-canary";

export interface BrokerReply {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
  /** The JSON of the body, or of each event's data. */
  readonly messages: readonly Record<string, unknown>[];
  /** The first of them. */
  readonly message: {
    id?: unknown;
    result?: Record<string, unknown>;
    error?: { code: number; data: { reason: string } };
  };
}

/** What a call says; each part can be bent by a test. */
export interface CallParts {
  readonly server?: string;
  readonly path?: string;
  readonly name?: string;
  readonly method?: string;
  readonly id?: string | number;
  readonly body?: string;
  readonly modern?: boolean;
  readonly params?: Readonly<Record<string, unknown>>;
  /** Over the headers that Envoy would bring; undefined takes one away. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly claims?: Readonly<Record<string, unknown>>;
}

const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};

const KINDS: Readonly<Record<string, string>> = {
  "tools/call": "tools",
  "prompts/get": "prompts",
  "resources/read": "resources",
};

/** What Envoy sends to the broker for an allowed call of `echo` on server `s`, unless said otherwise. */
function arrivalOf(port: number, parts: CallParts): { path: string; headers: Record<string, string>; body: string } {
  const { server = "s", name = "echo", method = "tools/call", modern = false, path } = parts;
  const sent = path === "/mcp" ? `${server}_${name}` : name;
  const mirrors = { "mcp-protocol-version": "2026-07-28", "mcp-method": method, "mcp-name": sent };
  const body = parts.body ?? bodyOf(parts, method, sent);
  const kind = KINDS[method];
  const named = kind === undefined ? {} : { [kind]: { [server]: [name] } };
  const isList = parts.claims?.["use"] === "list";
  const servers = Object.values({ ...named, ...parts.claims }).flatMap((names) =>
    isTable(names) ? Object.keys(names) : [],
  );
  const bound = { body: bodyDigest(Buffer.from(body)), ...boundFor(port, [server, ...servers]) };
  const proof = { ...(!isList && bound), ...parts.claims };
  const headers = Object.entries({
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    ...(modern && mirrors),
    "x-authorized-tools": wristband(claimsOf({ ...named, ...proof })),
    "x-mcp-server": server,
    "x-upstream-authorization": CREDENTIAL,
    ...parts.headers,
  }).filter(([, value]) => value !== undefined);
  return {
    path: path ?? `/servers/${server}/mcp`,
    headers: Object.fromEntries(headers) as Record<string, string>,
    body,
  };
}

function isTable(names: unknown): names is object {
  return typeof names === "object" && names !== null;
}

function bodyOf({ id = 1, modern = false, params }: CallParts, method: string, name: string): string {
  const member = method === "resources/read" ? "uri" : "name";
  const all = { [member]: name, ...(modern && { _meta: META }), ...params };
  return JSON.stringify({ jsonrpc: "2.0", id, method, params: all });
}

interface Sent {
  readonly http?: string;
  readonly path: string;
  readonly headers: OutgoingHttpHeaders;
  readonly body: string;
}

function send(port: number, { http = "POST", path, headers, body }: Sent, signal?: AbortSignal) {
  return new Promise<IncomingMessage>((done, fail) => {
    const options = { port, host: "127.0.0.1", method: http, path, headers, agent: false as const };
    const request = httpRequest({ ...options, ...(signal && { signal }) });
    request.on("response", done).on("error", fail);
    request.end(http === "GET" ? undefined : body);
  });
}

/** Sends a call, and gives the answer as it comes. */
export function open(port: number, parts: CallParts, signal?: AbortSignal): Promise<IncomingMessage> {
  return send(port, arrivalOf(port, parts), signal);
}

export interface BrokerRequest {
  readonly path?: string;
  /** Each text is one header line. */
  readonly wristbands?: readonly string[];
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly http?: string;
}

/** One request to the broker, as Envoy hands it on. */
export async function ask(
  { port }: { readonly port: number },
  body: string,
  asked: BrokerRequest = {},
): Promise<BrokerReply> {
  const { path = "/mcp", wristbands, http = "POST" } = asked;
  const headers = {
    "content-type": "application/json",
    ...(wristbands && { "x-authorized-tools": [...wristbands] }),
    ...asked.headers,
  };
  return replyOf(await send(port, { http, path, headers, body }));
}

export async function replyOf(response: IncomingMessage): Promise<BrokerReply> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString("utf8");
  const type = response.headers["content-type"];
  const lines = (part: string) => part.split("\n").filter((line) => line.startsWith("data: "));
  const joined = (part: string) =>
    lines(part)
      .map((line) => line.slice(6))
      .join("\n");
  const json = type === "application/json" ? [text] : [];
  const data = type === "text/event-stream" ? text.split("\n\n").map(joined) : json;
  const messages = data.filter((line) => line !== "").map((line) => JSON.parse(line) as Record<string, unknown>);
  return { status: response.statusCode ?? 0, headers: response.headers, text, messages, message: messages[0] ?? {} };
}

/** The reason of a refusal. */
export function reasonOf(message: Record<string, unknown> | undefined): unknown {
  return (message?.["error"] as { data?: { reason?: unknown } } | undefined)?.data?.reason;
}

/** A message of the older revisions. */
export const legacyBody = (method: string, params: object = {}, id: unknown = 1) =>
  JSON.stringify({ jsonrpc: "2.0", id, method, params });

/** A message of the stateless revision; it needs {@link modernHeaders}. */
export const modernBody = (method: string, params: object = {}) =>
  JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { ...params, _meta: META } });

export const modernHeaders = (method: string, name?: string) => ({
  "mcp-protocol-version": "2026-07-28",
  "mcp-method": method,
  ...(name !== undefined && { "mcp-name": name }),
});
