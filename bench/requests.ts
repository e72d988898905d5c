// What is asked: Checks as Envoy sends them, with twenty headers, and those that must be refused. Pure, but for keys.
import { makeKey, compact } from "../test/fakes/issuer.ts";
import { checkMessage, codecs, FULL_PROTO } from "../test/fakes/check-request.ts";
import { ALL_TOOLS, GRANTED, type Tool, type World } from "./world.ts";

const { request } = codecs(FULL_PROTO);
const PREFIX = 5;
/** Steps through callers and tools that meet all pairs. */
const [CALLER_STEP, TOOL_STEP] = [7919, 104_729];

export interface Asked {
  /** Bytes of the JSON-RPC message, at least. */
  readonly bodyBytes?: number;
  /** Headers as the list with raw values, or as the map. */
  readonly form?: "list" | "map";
  readonly method?: "tools/call" | "tools/list";
  /** In place of the callers' tokens. */
  readonly tokens?: readonly string[];
}

/** How many different Checks are sent in turn. */
const CHECKS = 1000;
/** Above this size fewer, so that they are held in memory. */
const MAX_BYTES = 64 * 1024 * 1024;

/** Checks of all callers for the tools that they may use. */
export function goodChecks(world: World, asked: Asked = {}): readonly Buffer[] {
  const tokens = asked.tokens ?? world.tokens;
  const count = Math.min(Math.max(CHECKS, asked.tokens?.length ?? 0), Math.floor(MAX_BYTES / (asked.bodyBytes ?? 200)));
  return Array.from({ length: count }, (_, i) => {
    const token = tokens[asked.tokens === undefined ? (i * CALLER_STEP) % tokens.length : i % tokens.length] ?? "";
    return check(token, ALL_TOOLS[(i * TOOL_STEP) % GRANTED], { ...asked, id: i });
  });
}

/** Checks that nobody may allow, by what is wrong with them. A list is not refused for a grant: it shows less. */
export function badChecks(world: World, asked: Asked = {}): Readonly<Record<string, Buffer>> {
  const [token = ""] = world.tokens;
  const [head = "", payload = "", signature = ""] = token.split(".");
  const flipped = `${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`;
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as object;
  const foreign = makeKey("k1", "RS256");
  const forged = compact(foreign, JSON.parse(Buffer.from(head, "base64url").toString()), claims);
  const [tool] = ALL_TOOLS;
  const ask = (other: string) => check(other, tool, { ...asked, id: 1 });
  const others =
    asked.method === "tools/list" ? {} : { ungranted: check(token, ALL_TOOLS.at(-1), { ...asked, id: 1 }) };
  return {
    tampered: ask(`${head}.${payload}.${flipped}`),
    foreign: ask(forged),
    garbage: ask("x.y.z"),
    none: ask(""),
    ...others,
  };
}

function check(token: string, tool: Tool | undefined, asked: Asked & { readonly id: number }): Buffer {
  const { server, name } = tool ?? { server: "", name: "" };
  const isList = asked.method === "tools/list";
  const body = isList ? listBody(asked.id) : callBody(name, asked);
  const path = isList ? "/mcp" : `/servers/${server}/mcp`;
  const headers = {
    ...HEADERS,
    ...(token !== "" && { authorization: `Bearer ${token}` }),
    "content-length": String(body.length),
  };
  const message = checkMessage({ path, host: "127.0.0.1:8080", body, headers, form: asked.form ?? "list" });
  return framed(request.encode(asked.form === "map" ? withText(message, body) : message));
}

/** Where headers are the map the body is text, too, as Envoy has it without `encode_raw_headers` and `pack_as_bytes`. */
function withText(message: object, body: string): object {
  const { attributes } = message as { attributes: { request: { http: Record<string, unknown> } } };
  const { raw_body: _, ...http } = attributes.request.http;
  return { attributes: { ...attributes, request: { http: { ...http, body } } } };
}

/** A message as gRPC sends it. */
export function framed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

const HEADERS = {
  accept: "application/json, text/event-stream",
  "accept-encoding": "gzip, deflate, br",
  "accept-language": "*",
  "mcp-protocol-version": "2025-11-25",
  "sec-fetch-mode": "cors",
  traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
  "user-agent": "node",
  "x-envoy-external-address": "203.0.113.77",
  "x-forwarded-for": "203.0.113.77",
  "x-forwarded-proto": "https",
  "x-request-id": "c6b0f1de-3d30-4e9b-8f33-1f6c1c2b7b3f",
};

const listBody = (id: number) => JSON.stringify({ jsonrpc: "2.0", id, method: "tools/list", params: {} });

function callBody(name: string, { id, bodyBytes = 200 }: { readonly id: number; readonly bodyBytes?: number }): string {
  const args = { repo: "acme/widgets", title: "Broken build on main", labels: ["bug", "ci"] };
  const text = (body: string) =>
    JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params: { name, arguments: { ...args, body } } });
  const missing = bodyBytes - text("").length;
  return text("lorem ipsum ".repeat(Math.max(0, Math.ceil(missing / 12))).slice(0, Math.max(0, missing)));
}
