// Finds how the server of a call is spoken to: in the stateless revision, or in a session of an older one. I/O by upstream/.
import { HttpFault } from "../../http/client.ts";
import { MODERN } from "../../mcp/versions.ts";
import { orAborted } from "../abort.ts";
import { createBudget, sendOwn } from "../upstream/client.ts";
import { HandshakeFault, type Eras } from "../upstream/era.ts";
import type { SessionPool } from "../upstream/session-pool.ts";
import type { Lease } from "../upstream/session.ts";
import type { RelayCall } from "./admit.ts";
import { askableCapabilities } from "./ask-back.ts";
import { hasState, type KeptCalls } from "./kept-calls.ts";
import type { CallTimeout } from "./call-timeout.ts";

/** A state that came with a call is of no call that waits. */
export const STATE_UNKNOWN = "state_unknown";

export interface LeaseOptions {
  readonly eras: Eras;
  readonly sessions: SessionPool;
  /** Calls that wait for their clients; null where clients of the stateless revision are not asked. */
  readonly kept: KeptCalls | null;
}

export interface LeasedCall {
  readonly call: RelayCall;
  readonly timeout: CallTimeout;
}

/** A session with a server of the older revisions; null for one of the stateless revision. @throws {HttpFault} */
export async function leaseOf(options: LeaseOptions, { call, timeout }: LeasedCall): Promise<Lease | null> {
  const { eras, kept } = options;
  const { upstream, credential } = call;
  const { name } = upstream;
  const { signal } = timeout;
  const ask = sendOwn(upstream, credential, createBudget(signal));
  const era = eras.known(name) ?? (await orAborted(eras.of(name, ask), signal));
  if (era === "modern") return olderLease(eras, call, signal);
  // Such a server has made no state: whatever this is, it is of no call that waits.
  if (kept !== null && hasState(call)) throw new HttpFault(STATE_UNKNOWN);
  try {
    return await legacyLease(options, call, signal);
  } catch (error) {
    if (!hasNoHandshake(error)) throw error;
    // The server no longer supports `initialize`, or our cached era came from another caller's error. Probe again with this
    // caller's credential.
    eras.forget(name);
    if ((await orAborted(eras.askAnew(name, ask), signal)) === "modern") return null;
    throw error;
  }
}

function legacyLease({ sessions, kept }: LeaseOptions, call: RelayCall, signal: AbortSignal): Promise<Lease> {
  const { upstream, credential, wristband, session } = call;
  // `sessions: caller`: one session of the server for all sessions of the client.
  if (session !== null && upstream.sessions === "client")
    return session.upstreams.acquire({ upstream, credential }, signal);
  const { idp, sub, client } = wristband;
  const capabilities = kept === null ? {} : askableCapabilities(call);
  return sessions.acquire({ upstream, credential, idp, sub, client, capabilities }, signal);
}

/** Statuses of a server that does not support `initialize`; under 200 it is an error response. */
const NO_HANDSHAKE: readonly number[] = [200, 400, 404, 405];

function hasNoHandshake(error: unknown): boolean {
  return error instanceof HandshakeFault && error.stage === "initialize" && NO_HANDSHAKE.includes(error.status);
}

/**
 * A server of both eras is spoken to in her own by a client who has a session: only there can it ask her something, tell her of
 * changes, and keep something for her. Null for a server that has no sessions.
 */
async function olderLease(eras: Eras, call: RelayCall, signal: AbortSignal): Promise<Lease | null> {
  const { upstream, credential, session, operation } = call;
  if (session === null || operation.version === MODERN || upstream.sessions !== "client") return null;
  if (!eras.mayGreet(upstream.name)) return null;
  try {
    const lease = await session.upstreams.acquire({ upstream, credential }, signal);
    if (lease.dialect.session !== null) return lease;
    lease.discard();
    lease.release();
  } catch (error) {
    const isUnspoken = error instanceof HttpFault && error.code === "initialize_version";
    if (!isUnspoken && !hasNoHandshake(error)) throw error;
  }
  eras.greetedInVain(upstream.name);
  return null;
}
