// agentgateway as a client of ExtMcp: its messages by the reference library, and what it makes of a result.
import { join } from "node:path";
import { loadSync } from "@grpc/proto-loader";

const PROTO = loadSync("agentgateway/ext_mcp.proto", {
  keepCase: true,
  longs: Number,
  enums: String,
  oneofs: true,
  includeDirs: [join(import.meta.dirname, "../../protos")],
});

interface Method {
  readonly path: string;
  readonly requestSerialize: (message: object) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => object;
}

const service = PROTO["agentgateway.dev.ext_mcp.ExtMcp"] as unknown as Record<"CheckRequest" | "CheckResponse", Method>;
export const PATHS = { request: service.CheckRequest.path, response: service.CheckResponse.path };

export interface RequestParts {
  readonly services?: readonly string[];
  readonly method?: string;
  /** An object, or raw bytes; undefined for none. */
  readonly params?: unknown;
  readonly headers?: readonly (readonly [string, string])[];
  readonly metadata?: Readonly<Record<string, string>>;
}

export const jsonOf = (value: unknown) => (Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value)));
const structOf = (texts: Readonly<Record<string, string>>) => ({
  fields: Object.fromEntries(Object.entries(texts).map(([name, stringValue]) => [name, { stringValue }])),
});

/** The client's headers as agentgateway of 2026-08-21 sends them: pseudo-headers first, one entry for each value. */
export function clientHeaders(token: string | null, path = "/mcp"): [string, string][] {
  return [
    [":method", "POST"],
    [":scheme", "http"],
    [":authority", "gw.example.com"],
    [":path", path],
    ["accept", "application/json, text/event-stream"],
    ["content-type", "application/json"],
    ...(token === null ? [] : ([["authorization", `Bearer ${token}`]] as [string, string][])),
    ["mcp-protocol-version", "2025-11-25"],
    ["user-agent", "rmcp/1.0"],
  ];
}

export function mcpRequest({
  services = ["s"],
  method = "tools/call",
  params,
  headers = clientHeaders("token"),
  metadata,
}: RequestParts): Buffer {
  return service.CheckRequest.requestSerialize({
    service_names: services,
    method,
    ...(metadata !== undefined && { metadata_context: structOf(metadata) }),
    ...(params !== undefined && { mcp_request: jsonOf(params) }),
    headers: headers.map(([key, value]) => ({ key, value: Buffer.from(value, "latin1") })),
  });
}

export interface ResponseParts {
  readonly services?: readonly string[];
  readonly method?: string;
  readonly result?: unknown;
  readonly metadata?: Readonly<Record<string, string>>;
}

export function mcpResponse({ services = ["s"], method = "tools/list", result = {}, metadata }: ResponseParts): Buffer {
  return service.CheckResponse.requestSerialize({
    service_names: services,
    method,
    ...(metadata !== undefined && { metadata_context: structOf(metadata) }),
    mcp_response: jsonOf(result),
  });
}

/** What agentgateway does with a result. `violation`: its failure mode decides. */
export type Effect =
  | { readonly kind: "pass"; readonly set: Record<string, string>; readonly remove: string[]; readonly ticket: string }
  | { readonly kind: "mutated"; readonly json: unknown; readonly text: string }
  | { readonly kind: "error"; readonly code: number; readonly message: string; readonly data: Record<string, unknown> }
  | { readonly kind: "violation" };

/** The JSON-RPC codes that it makes of AuthorizationError.Code. */
const RPC_CODES: Readonly<Record<string, number>> = {
  UNKNOWN: -32_603,
  PERMISSION_DENIED: -32_001,
  RESOURCE_EXHAUSTED: -32_003,
  INVALID: -32_600,
};

interface Result {
  readonly result?: "pass" | "mutated" | "error";
  readonly mutated?: Buffer;
  readonly error?: { readonly code?: string; readonly reason?: string; readonly mcp_error?: Buffer };
  readonly header_mutation?: { readonly set?: { key: string; value: Buffer }[]; readonly remove?: string[] };
  readonly metadata?: { readonly fields?: Record<string, { readonly stringValue?: string }> };
}

/** Both results have the same fields; that of a response has fewer. */
export function effectOf(bytes: Buffer): Effect {
  const seen = service.CheckRequest.responseDeserialize(bytes) as Result;
  if (seen.result === "pass") return passOf(seen);
  if (seen.result === "error") return errorOf(seen.error ?? {});
  if (seen.result !== "mutated") return { kind: "violation" };
  const text = seen.mutated?.toString() ?? "";
  return { kind: "mutated", json: JSON.parse(text), text };
}

function passOf({ header_mutation: mutation, metadata }: Result): Effect {
  const { set = [], remove = [] } = mutation ?? {};
  const values = Object.fromEntries(set.map(({ key, value }) => [key, value.toString("latin1")]));
  return { kind: "pass", set: values, remove, ticket: metadata?.fields?.["mcp_authz"]?.stringValue ?? "" };
}

function errorOf({ code = "UNKNOWN", reason = "", mcp_error: data }: NonNullable<Result["error"]>): Effect {
  return {
    ...{ kind: "error", code: RPC_CODES[code] ?? -32_603, message: reason },
    data: JSON.parse(data?.toString() ?? "{}") as Record<string, unknown>,
  };
}
