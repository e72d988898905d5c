// `mcp-authz/mcp-reader` (docs/api.md): the reader of MCP requests that serve and broker use. Pure: no I/O, no clock.
// JSON-RPC 2.0 and MCP (https://modelcontextprotocol.io/specification) over JSON (RFC 8259, RFC 7493).
import type { McpHeaders, ReadOperation } from "../mcp/operation.ts";
import { readOperation } from "../mcp/read-operation.ts";

export type { JsonObject, JsonValue } from "../json/types.ts";
export type { Kind, Operation, OperationFault, ReadOperation, RpcContext, RpcId } from "../mcp/operation.ts";

/**
 * Reads the body of one HTTP POST and the headers that must agree with it (`Mcp-Protocol-Version`, `Mcp-Method`,
 * `Mcp-Name`). What two JSON parsers could read differently, what is no request or notification of MCP, and headers that say
 * something else are faults; `reason` is a key of docs/refusals.md. It does not throw.
 * @param body at most as long as you want to hold: time and memory are linear in its length; at most 64 levels and 10,000 members
 * @param headers one pair for each header line, in any case. Of a `Headers` object, which has joined equal names, a repeated
 * `Mcp-Name` is not seen
 */
export function readMcpRequest(body: Uint8Array, headers: Iterable<readonly [string, string]>): ReadOperation {
  return readOperation(body, headersOf(headers));
}

function headersOf(pairs: Iterable<readonly [string, string]>): McpHeaders {
  const lines = Map.groupBy(pairs, ([name]) => name.toLowerCase());
  return {
    get: (name) =>
      lines
        .get(name)
        ?.map(([, value]) => value)
        .join(","),
    repeated: (name) => (lines.get(name)?.length ?? 0) > 1,
  };
}
