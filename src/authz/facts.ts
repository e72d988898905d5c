import type { Kind, RpcContext } from "../mcp/operation.ts";
import type { Endpoint } from "./endpoint.ts";
import type { CredentialKind, CredentialOrigin, Identity } from "./types.ts";

/**
 * What became known on the way of one request, for its answer and its audit line. The pipeline alone writes to it, and
 * only facts: an identity stands here once it is verified, never before.
 */
export interface CheckFacts {
  /** Our own id of this Check. */
  readonly requestId: string;
  /** Milliseconds since the epoch at which the Check arrived. */
  readonly arrivedAt: number;
  /** Where the supervisor finds this Check if the serving thread ends; {@link NO_SLOT} before and after. */
  slot: number;
  path: string | null;
  endpoint: Endpoint | null;
  /** The listed cross-origin `Origin` of the request, to be answered with CORS headers. */
  corsOrigin: string | null;
  identity: Identity | null;
  rpc: RpcContext | null;
  server: string | null;
  method: string | null;
  kind: Kind | null;
  name: string | null;
  credential: CredentialKind | null;
  origin: CredentialOrigin | null;
  /** Revision of the policy that decided. */
  policy: string | null;
  /** The author's `reason`, or the servers that a list has no room for. */
  note: string | null;
  /** `jti` of the wristband. */
  wristband: string | null;
  sourceIp: string | null;
  meshRequestId: string | null;
  /** The caller's trace, out of a well-formed `traceparent`. */
  traceId: string | null;
}

export const NO_SLOT = -1;

export function newCheckFacts(requestId: string, arrivedAt: number): CheckFacts {
  return {
    requestId,
    arrivedAt,
    slot: NO_SLOT,
    path: null,
    endpoint: null,
    corsOrigin: null,
    identity: null,
    rpc: null,
    server: null,
    method: null,
    kind: null,
    name: null,
    credential: null,
    origin: null,
    policy: null,
    note: null,
    wristband: null,
    sourceIp: null,
    meshRequestId: null,
    traceId: null,
  };
}
