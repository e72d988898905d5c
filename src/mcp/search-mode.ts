// Search mode: an endpoint shows two tools, one that finds tools and one that calls them. Reads a call of either as what it
// asks for, before anything else looks at it. Pure; serve and broker share it, so that both judge the same operation.
import type { McpHeaders, Operation, OperationFault, ReadOperation } from "./operation.ts";
import { MAX_NAME, readOperation, rpcContextOf } from "./read-operation.ts";
import { isObject } from "../json/object.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";

export const SEARCH_TOOLS = "search_tools";
export const CALL_TOOL = "call_tool";

export type ReadSearchMode =
  | { readonly ok: true; readonly operation: Operation }
  | { readonly ok: false; readonly fault: OperationFault };

const MAX_QUERY = 200;
const USUAL_LIMIT = 10;
const MAX_LIMIT = 50;

/** The definitions of the two tools, as JSON texts, in the order of the list. */
export const SEARCH_MODE_TOOLS: readonly { readonly name: string; readonly json: string }[] = [
  {
    name: SEARCH_TOOLS,
    description: `Finds tools by words of their names and descriptions. Returns the name, description and input schema of each. Call them with ${CALL_TOOL}.`,
    inputSchema: {
      type: "object",
      properties: {
        query: { type: "string", maxLength: MAX_QUERY, description: "Words to look for. Empty: the first tools." },
        limit: { type: "integer", minimum: 1, maximum: MAX_LIMIT, default: USUAL_LIMIT },
      },
      required: ["query"],
    },
    annotations: { readOnlyHint: true },
  },
  {
    name: CALL_TOOL,
    description: `Calls a tool that ${SEARCH_TOOLS} found, with arguments of its input schema. Returns what the tool returns.`,
    inputSchema: {
      type: "object",
      properties: { name: { type: "string", description: "The tool's name." }, arguments: { type: "object" } },
      required: ["name"],
    },
  },
].map((tool) => ({ name: tool.name, json: JSON.stringify(tool) }));

/**
 * Reads an operation as an endpoint in search mode takes it: a call of `search_tools` is a list of tools, a call of
 * `call_tool` is the call that it names. Everything else stays as it is.
 */
export function readSearchMode(operation: Operation): ReadSearchMode {
  if (operation.method === "tools/call" && operation.name === SEARCH_TOOLS) return readSearch(operation);
  if (operation.method === "tools/call" && operation.name === CALL_TOOL) return readCall(operation);
  return { ok: true, operation };
}

/** Reads a body, and in search mode what it means. */
export function readMeantOperation(bytes: Uint8Array, headers: McpHeaders, searchMode: boolean): ReadOperation {
  const read = readOperation(bytes, headers);
  if (!read.ok || !searchMode) return read;
  const meant = readSearchMode(read.operation);
  if (!meant.ok) return { ok: false, fault: meant.fault, rpc: rpcContextOf(read.operation) };
  return { ok: true, operation: meant.operation, params: read.params };
}

function readSearch(operation: Operation): ReadSearchMode {
  const { query, limit = USUAL_LIMIT } = operation.arguments;
  const extra = othersIn(operation.arguments, ["query", "limit"]);
  if (extra || typeof query !== "string" || query.length > MAX_QUERY || !isLimit(limit))
    return invalid(`arguments of ${SEARCH_TOOLS}`);
  const list = { ...operation, method: "tools/list", class: "list" as const, name: null, arguments: {} };
  return { ok: true, operation: { ...list, search: { query, limit } } };
}

function readCall(operation: Operation): ReadSearchMode {
  const { name, arguments: inner } = operation.arguments;
  const extra = othersIn(operation.arguments, ["name", "arguments"]);
  const isCall = typeof name === "string" && name !== "" && name.length <= MAX_NAME && !/\p{Cc}/u.test(name);
  if (extra || !isCall || (inner !== undefined && inner !== null && !isObject(inner)))
    return invalid(`arguments of ${CALL_TOOL}`);
  return { ok: true, operation: { ...operation, name, arguments: inner ?? {}, wrapped: true } };
}

function othersIn(object: JsonObject, known: readonly string[]): boolean {
  return Object.keys(object).some((name) => !known.includes(name));
}

function isLimit(limit: JsonValue): limit is number {
  return typeof limit === "number" && Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT;
}

function invalid(detail: string): ReadSearchMode {
  return { ok: false, fault: { reason: "params_invalid", detail } };
}
