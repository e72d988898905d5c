// The session of a client of an older revision: its id, and the requests without a body that only a session has. Pure.
// MCP 2025-11-25, Streamable HTTP, Session Management.
import { revisionIn, versionOf } from "../mcp/header-agreement.ts";
import { MODERN, SUPPORTED_VERSIONS } from "../mcp/versions.ts";
import type { Endpoint, LegacySse } from "./endpoint.ts";
import { pass, refuse, type Step } from "./step.ts";
import type { AuthzRequest } from "./types.ts";

type McpEndpoint = Extract<Endpoint, { kind: "mcp" }>;

/** Ids of ours have this form. Any other is nobody's, and is looked up nowhere (MS-12). */
const SESSION_ID = /^[A-Za-z0-9_.-]{1,2048}$/;

/**
 * The session id that a grant passes to the broker. Null where nobody has sessions: the stateless revision and servers that
 * Envoy reaches directly. There the header is removed.
 */
export function sessionIdOf(
  { headers }: Pick<AuthzRequest, "headers">,
  endpoint: McpEndpoint,
  version: string,
): Step<string | null> {
  if (endpoint.legacySse !== null) return messageSession(endpoint.legacySse, version);
  const value = headers.get("mcp-session-id");
  if (value === undefined || !endpoint.sessions || version === MODERN) return pass(null);
  if (headers.repeated("mcp-session-id") || !SESSION_ID.test(value)) return refuse("session_unknown", "form");
  return pass(value);
}

/** A message of HTTP+SSE belongs to the session in its path, and a stream takes none. */
function messageSession({ session }: LegacySse, version: string): Step<string | null> {
  if (session === null) return refuse("method_not_allowed", "POST to a stream of HTTP+SSE");
  return version === MODERN ? refuse("version_unsupported", "the stateless revision") : pass(session);
}

/** The session that a GET or DELETE is for; null for a GET of HTTP+SSE, which begins one. */
function sessionToUse(request: AuthzRequest, endpoint: McpEndpoint, version: string): Step<string | null> {
  const sse = endpoint.legacySse;
  if (sse === null) {
    const id = sessionIdOf(request, endpoint, version);
    return id.ok && id.value === null ? refuse("method_not_allowed", "without a session") : id;
  }
  const isStream = request.method === "GET" && sse.session === null;
  return isStream ? pass(null) : refuse("method_not_allowed", "a stream of HTTP+SSE has GET, its messages POST");
}

/** The revision of a request without a body: what its header says. */
export function revisionOf({ headers }: Pick<AuthzRequest, "headers">): string {
  return versionOf(undefined, revisionIn(headers));
}

/**
 * Admits GET (the stream of a session) and DELETE (its end), and returns the id of the session. Without one there is nothing
 * to open or to end: 405, as from a server without sessions (MS-15). A GET of HTTP+SSE begins a session: null.
 */
export function admitBodiless(request: AuthzRequest, endpoint: McpEndpoint): Step<string | null> {
  const { headers, body } = request;
  const version = revisionOf(request);
  if (!endpoint.sessions) return refuse("method_not_allowed", "no sessions");
  if (headers.repeated("mcp-protocol-version")) return refuse("header_malformed", "mcp-protocol-version");
  if (version === MODERN) return refuse("method_not_allowed", "the stateless revision");
  const id = sessionToUse(request, endpoint, version);
  if (!id.ok) return id;
  if (!SUPPORTED_VERSIONS.includes(version)) return refuse("version_unsupported", "revision");
  if ("bytes" in body && body.bytes.length > 0) return refuse("body_malformed", "a body where none may be");
  return pass(id.value);
}
