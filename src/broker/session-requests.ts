// The session that a request belongs to: found by its id, kept in use, begun with a handshake. I/O by its parts.
import type { LegacySse } from "../authz/endpoint.ts";
import { pass, refuse, type Step } from "../authz/step.ts";
import type { JsonObject } from "../json/types.ts";
import { MODERN } from "../mcp/versions.ts";
import type { WristbandClaims } from "../wristband/claims.ts";
import type { Audience } from "./change-notices.ts";
import type { IncomingCall } from "./relay/admit.ts";
import { carriedCapabilities, NO_CAPABILITIES } from "./sessions/client-capabilities.ts";
import type { ClientSession } from "./sessions/client-session.ts";
import type { ClientSessions, Found } from "./sessions/client-sessions.ts";
import type { Forwarder } from "./sessions/forward.ts";
import type { ResponseSink } from "./sessions/message-response.ts";
import type { SessionHolder } from "./sessions/session-id.ts";

export interface SessionParts {
  readonly clients: ClientSessions;
  readonly forwarder: Forwarder;
  /** A silent stream of a session gets a comment at least so often. */
  readonly keepAliveMs: number;
}

export const NO_SESSION = { session: null, owner: null };

/** Who asks, and where. */
export type Asked = Pick<IncomingCall, "endpoint" | "wristband" | "headers">;

/** The session whose id came; null without one. Refuses with `session_unknown` for any other id. */
export function sessionOf(sessions: SessionParts | null, asked: Asked, version: string): Step<Found | null> {
  if (asked.endpoint.legacySse !== null) return messageSessionOf(sessions, asked, asked.endpoint.legacySse);
  const ids = asked.headers["mcp-session-id"];
  const [id] = ids ?? [];
  if (sessions === null || !asked.endpoint.sessions || id === undefined || version === MODERN) return pass(null);
  if (ids?.length !== 1) return refuse("session_unknown", "several");
  return sessions.clients.find(id, holderOf(asked));
}

/** A message of HTTP+SSE belongs to the session in its path, whichever revision its client says. */
function messageSessionOf(sessions: SessionParts | null, asked: Asked, { session }: LegacySse): Step<Found> {
  if (sessions === null || session === null) return refuse("method_not_allowed", "a stream of HTTP+SSE");
  return sessions.clients.find(session, holderOf(asked));
}

/** A session of HTTP+SSE, and where its messages are posted. */
export interface OpenedSse {
  readonly session: ClientSession;
  readonly messagePath: string;
}

/** Begins the session that a stream of HTTP+SSE is, which ends with this response. */
export function beginSse(
  sessions: SessionParts | null,
  asked: Asked,
  { response, path, audience }: { readonly response: ResponseSink; readonly path: string; readonly audience: Audience },
): Step<OpenedSse> {
  if (sessions === null) return refuse("method_not_allowed", "no sessions");
  const opened = sessions.clients.open(holderOf(asked), NO_CAPABILITIES, audience);
  if (!opened.ok) return opened;
  const { id, session } = opened.value;
  if (!streamUntilClosed(session, response)) {
    session.end();
    return refuse("rate_limited", "streams of sessions");
  }
  releaseWhenClosed(response, session.end);
  return pass({ session, messagePath: `${path}/${id}` });
}

function holderOf({ endpoint, wristband: { idp, sub, client } }: Asked): SessionHolder {
  const { resource, server, legacySse } = endpoint;
  return { idp, sub, client, resource, server, isSse: legacySse !== null };
}

/** Begins a request in it: what its wristband shows is proven anew. */
export function enterSession(session: ClientSession, wristband: WristbandClaims, response: ResponseSink): void {
  useUntilClosed(session, response);
  if (wristband.use === "list") session.subscriptions.renewListed(wristband);
}

/** It is in use as long as this response is under way. */
function useUntilClosed(session: ClientSession, response: ResponseSink): void {
  releaseWhenClosed(response, session.use());
}

/** The same for a stream; false if this caller has too many. */
export function streamUntilClosed(session: ClientSession, response: ResponseSink): boolean {
  const release = session.tryStream();
  if (release === null) return false;
  releaseWhenClosed(response, release);
  useUntilClosed(session, response);
  return true;
}

function releaseWhenClosed(response: ResponseSink, release: () => void): void {
  if (response.closed) release();
  else response.once("close", release);
}

/** The client of a handshake. */
export interface SessionClient {
  /** As it came. */
  readonly capabilities: JsonObject[string] | undefined;
  readonly audience: Audience;
}

/** Opens a session for the client of a handshake, and returns its id; null where there are no sessions. */
export function beginSession(
  sessions: SessionParts | null,
  incoming: IncomingCall,
  { capabilities, audience }: SessionClient,
): Step<string | null> {
  if (incoming.endpoint.legacySse !== null) {
    incoming.session?.declare(carriedCapabilities(capabilities));
    return pass(null);
  }
  if (sessions === null || !incoming.endpoint.sessions) return pass(null);
  const opened = sessions.clients.open(holderOf(incoming), carriedCapabilities(capabilities), audience);
  return opened.ok ? pass(opened.value.id) : opened;
}
