import type { JsonObject } from "../json/types.ts";

/** A JSON-RPC id as we accept it: a string of at most 256 bytes, or a safe integer (JSON-RPC 2.0 §4). */
export type RpcId = string | number;

/** The kinds of names that policy decides on. */
export type Kind = "tool" | "prompt" | "resource";

/** One MCP message, read strictly, with its headers compared: what policy decides on and what goes on. */
export interface Operation {
  /** Null for a notification. */
  readonly id: RpcId | null;
  readonly method: string;
  /** Its place in the method table: who carries it, and whether policy is asked. */
  readonly class: "handshake" | "list" | "notification" | "named";
  /** For `named` and for `list`: what it names or lists. Null otherwise. */
  readonly kind: Kind | null;
  /** For `named`: the name or URI exactly as sent (on `/mcp` still with its prefix). */
  readonly name: string | null;
  /** For `tools/call` and `prompts/get`; `{}` when absent. */
  readonly arguments: JsonObject;
  /** Protocol revision, as "2025-11-25". */
  readonly version: string;
}

/** Why a body is no operation. The reason is a key of the refusal table. */
export interface OperationFault {
  readonly reason:
    | "body_malformed"
    | "body_batch"
    | "params_invalid"
    | "header_mismatch"
    | "header_malformed"
    | "version_unsupported"
    | "method_unknown";
  /** JSON-RPC error code, where it is more exact than the table's. */
  readonly rpcCode?: number;
  /** For our log only. */
  readonly detail: string;
}

/** What an answer to this body needs, as far as it could be read before a fault. */
export interface RpcContext {
  readonly id: RpcId | null;
  readonly notification: boolean;
  /** Protocol revision; decides between the eras' HTTP statuses. */
  readonly version: string;
}

/** The part of request headers that must agree with the body. */
export interface McpHeaders {
  get(name: string): string | undefined;
  repeated(name: string): boolean;
}

export type ReadOperation =
  /** `params`: as they came, for what no operation keeps (a cursor, the revision that `initialize` asks for). */
  | { readonly ok: true; readonly operation: Operation; readonly params: JsonObject }
  | { readonly ok: false; readonly fault: OperationFault; readonly rpc: RpcContext };
