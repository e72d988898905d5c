// The session that a request belongs to: found by its id, kept in use, begun with a handshake. I/O by its parts.
import type { ServerResponse } from "node:http";
import { pass, refuse, type Step } from "../authz/step.ts";
import type { JsonObject } from "../json/types.ts";
import { MODERN } from "../mcp/versions.ts";
import type { Audience } from "./change-notices.ts";
import type { IncomingCall } from "./relay/admit.ts";
import { carriedCapabilities } from "./sessions/client-capabilities.ts";
import type { ClientSession } from "./sessions/client-session.ts";
import type { ClientSessions, Found } from "./sessions/client-sessions.ts";
import type { Forwarder } from "./sessions/forward.ts";
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
  const ids = asked.headers["mcp-session-id"];
  const [id] = ids ?? [];
  if (sessions === null || !asked.endpoint.sessions || id === undefined || version === MODERN) return pass(null);
  if (ids?.length !== 1) return refuse("session_unknown", "several");
  return sessions.clients.find(id, holderOf(asked));
}

function holderOf({ endpoint, wristband: { idp, sub, client } }: Asked): SessionHolder {
  return { idp, sub, client, resource: endpoint.resource, server: endpoint.server };
}

/** It is in use as long as this response is under way. */
export function useUntilClosed(session: ClientSession, response: ServerResponse): void {
  releaseWhenClosed(response, session.use());
}

/** The same for a stream; false if this caller has too many. */
export function streamUntilClosed(session: ClientSession, response: ServerResponse): boolean {
  const release = session.tryStream();
  if (release === null) return false;
  releaseWhenClosed(response, release);
  useUntilClosed(session, response);
  return true;
}

function releaseWhenClosed(response: ServerResponse, release: () => void): void {
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
  if (sessions === null || !incoming.endpoint.sessions) return pass(null);
  const opened = sessions.clients.open(holderOf(incoming), carriedCapabilities(capabilities), audience);
  return opened.ok ? pass(opened.value.id) : opened;
}
