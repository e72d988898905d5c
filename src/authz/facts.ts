// The facts of one Check, for its response and its audit line. Types, the empty record, and ids that may stand in it; pure.
import type { Kind, RpcContext } from "../mcp/operation.ts";
import type { Span } from "../telemetry/span.ts";
import type { Endpoint } from "./endpoint.ts";
import type { CredentialKind, CredentialOrigin, Identity } from "./types.ts";

/** The front door through which a request came. */
export type Door = "ext_authz" | "extmcp" | "authzen";

/**
 * The facts that the pipeline has proven of one Check so far. Only the pipeline writes to it, and only facts: an identity
 * is set when its token is verified, never before.
 */
export interface CheckFacts {
  /** Id of this Check, made by this process. */
  readonly requestId: string;
  /** Milliseconds since the epoch at which the Check arrived. */
  readonly arrivedAt: number;
  door: Door;
  /** Who asked about the caller, where that is another: a trusted party at the door of AuthZEN. */
  askedBy: string | null;
  /** Slot of this Check in the supervisor's table of Checks in flight; {@link NO_SLOT} before and after. */
  slot: number;
  path: string | null;
  endpoint: Endpoint | null;
  /** The listed cross-origin `Origin` of the request, whose response gets CORS headers. */
  corsOrigin: string | null;
  identity: AuditedCaller | null;
  rpc: RpcContext | null;
  server: string | null;
  method: string | null;
  kind: Kind | null;
  name: string | null;
  credential: CredentialKind | null;
  origin: CredentialOrigin | null;
  /** Revision of the policy that decided: SHA-256, hex. */
  policy: string | null;
  /** The policy author's `reason`, or the servers whose names did not all fit into the wristband of a list. */
  note: string | null;
  /** The policy author's names of what decided. */
  labels: readonly string[] | null;
  /** Headers that may be a restriction and did not reach the server: names of closed sets (server-headers.ts). */
  droppedHeaders: readonly string[];
  /** `jti` of the wristband. */
  wristband: string | null;
  sourceIp: string | null;
  meshRequestId: string | null;
  /** Trace id of a well-formed `traceparent` (W3C Trace Context §3.2.2.3). */
  traceId: string | null;
  /** Null for a call that is not sampled. */
  span: Span | null;
}

/** A verified caller, as far as its audit line says it. */
export type AuditedCaller = Pick<Identity, "issuer" | "subject" | "actors">;

export const NO_SLOT = -1;

export function newCheckFacts(requestId: string, arrivedAt: number): CheckFacts {
  return {
    requestId,
    arrivedAt,
    door: "ext_authz",
    askedBy: null,
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
    labels: null,
    droppedHeaders: [],
    wristband: null,
    sourceIp: null,
    meshRequestId: null,
    traceId: null,
    span: null,
  };
}

/** An id of others that can stand in a log and go back in a header, or null. */
export function loggableId(text: string | undefined): string | null {
  return text !== undefined && /^[\x21-\x7e]{1,128}$/.test(text) ? text : null;
}
