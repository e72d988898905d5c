// The calls under way, by their callers and ids, so that a caller can cancel her own. Pure.
// https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/cancellation
import type { RpcId } from "../../mcp/operation.ts";

export interface CallsUnderWay<T> {
  /** Adds a call; the returned function removes it. @param scope whose calls count their ids together */
  add(scope: string, id: RpcId, call: T): () => void;
  /**
   * The one call of this scope with this id. Null if there is none, or several: without sessions, two windows of one user
   * can use one id, and nothing tells which of them wants her call to end.
   */
  find(scope: string, id: RpcId): T | null;
}

export function createCallsUnderWay<T>(): CallsUnderWay<T> {
  const calls = new Map<string, Set<T>>();
  return {
    add(scope, id, call) {
      const key = JSON.stringify([scope, id]);
      const same = calls.get(key) ?? new Set();
      calls.set(key, same.add(call));
      return () => {
        same.delete(call);
        if (same.size === 0 && calls.get(key) === same) calls.delete(key);
      };
    },
    find(scope, id) {
      const [call, ...others] = calls.get(JSON.stringify([scope, id])) ?? [];
      return others.length === 0 ? (call ?? null) : null;
    },
  };
}
