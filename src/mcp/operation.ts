// An MCP operation as policy, grant and broker see it. Types only.
import type { JsonObject } from "../json/types.ts";

/** A JSON-RPC id (JSON-RPC 2.0 §4), within our limits: a string of at most 256 bytes, or a safe integer. */
export type RpcId = string | number;

/** The kinds of names on which policy decides. */
export type Kind = "tool" | "prompt" | "resource";

/** What the filter of `subscriptions/listen` names one by one. Each name once, in the order of the client. */
export interface WatchedNames {
  /** URIs of resources, as on the endpoint. */
  readonly uris: readonly string[];
  /** Ids of tasks. */
  readonly taskIds: readonly string[];
}

/** One MCP request or notification, read strictly, with its headers compared. */
export interface Operation {
  /** Null for a notification. For a response it is the id of the server's request. */
  readonly id: RpcId | null;
  /** For a JSON-RPC response of a client: `response`. */
  readonly method: string;
  /**
   * Class in the method table. Policy decides on `named`, and filters `list` and `listen`; the broker answers all but
   * `named` itself. `session` acts on the client's own session and names nothing.
   */
  readonly class: "handshake" | "list" | "listen" | "notification" | "session" | "named";
  /** For `named` and for `list`: the kind of the name, or of the listed names. Null otherwise. */
  readonly kind: Kind | null;
  /** For `named`: the name, URI or URI template exactly as sent (on `/mcp` still with its prefix). */
  readonly name: string | null;
  /** For `tools/call` and `prompts/get`; `{}` when absent. */
  readonly arguments: JsonObject;
  /** Protocol revision, as "2025-11-25". */
  readonly version: string;
  /** For a request about a task: true if its client declares the extension of tasks. */
  readonly declaresTasks?: boolean;
  /** For `listen`: the resources and tasks whose changes its client wants to hear of. */
  readonly watched?: WatchedNames;
  /** True for a call inside a call of `call_tool` (search-mode.ts): name and arguments are those of the inner one. */
  readonly wrapped?: boolean;
  /** For a list of tools that a call of `search_tools` is: what it looks for. */
  readonly search?: ToolSearch;
}

/** A search of tools, within the limits of search-mode.ts. */
export interface ToolSearch {
  readonly query: string;
  readonly limit: number;
}

/** The fault of a body that is no operation. The reason is a key of the refusal table. */
export interface OperationFault {
  readonly reason:
    | "body_malformed"
    | "body_batch"
    | "params_invalid"
    | "header_mismatch"
    | "header_malformed"
    | "version_unsupported"
    | "method_unknown";
  /** JSON-RPC error code instead of the table's. */
  readonly rpcCode?: number;
  /** In our words, without a value of the message: for the audit log and its sender. No code reads it to decide. */
  readonly detail: string;
}

/** The facts that the response to a body needs, as far as the body could be read before a fault. */
export interface RpcContext {
  /** Null for a response too: its id is one of the server's, and no request of the client's. */
  readonly id: RpcId | null;
  /** True for what gets no JSON-RPC response: a notification or a response. */
  readonly notification: boolean;
  /** Protocol revision: the HTTP status of an error depends on its era. */
  readonly version: string;
  /** True for a whole `tools/call`: a refusal of it can be a tool's result. */
  readonly isToolCall?: boolean;
}

/** Access to the request headers that must agree with the body. */
export interface McpHeaders {
  get(name: string): string | undefined;
  repeated(name: string): boolean;
}

export type ReadOperation =
  /** `params`: as received, for members that an operation does not hold (the cursor; the revision in `initialize`). */
  | { readonly ok: true; readonly operation: Operation; readonly params: JsonObject }
  | { readonly ok: false; readonly fault: OperationFault; readonly rpc: RpcContext };
