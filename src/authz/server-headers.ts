// The one list of headers that reach a server beside the credential, for both routes: the grant of a direct call and the broker's
// relay ask it. A restriction may travel in one, as `x-mcp-readonly`: what is dropped is counted. Pure.
import type { RequestHeaders } from "./types.ts";
import { acceptedMedia } from "../mcp/accept-header.ts";
import { MODERN } from "../mcp/versions.ts";
import { HEADER_VALUE } from "./header-value.ts";
import { pass, refuse, type Step } from "./step.ts";

/** The headers of one server, as configured. */
export interface ServerHeaders {
  /** With every request to this server; names are in lower case. */
  readonly fixed: ReadonlyMap<string, string>;
  /** Names of the client's headers that pass. */
  readonly passes: ReadonlySet<string>;
}

export const NO_SERVER_HEADERS: ServerHeaders = { fixed: new Map(), passes: new Set() };

/** A client's headers that reach a server, by name. */
export interface ClientHeaders {
  /** The protocol's: `mcp-*`, the trace, and the request's id, which the printed Envoy makes. */
  readonly protocol: ReadonlyMap<string, string>;
  /** Those that the configuration lets pass. */
  readonly passed: ReadonlyMap<string, string>;
}

/** Headers with which clients of real servers restrict themselves. To lose one is to widen what a call may do. */
const KNOWN_RESTRICTIONS = ["x-mcp-readonly", "x-mcp-toolsets", "x-mcp-tools", "x-mcp-lockdown", "x-read-only"];

export const SESSION_HEADER = "mcp-session-id";
const TRACE_MEMBER = String.raw`[a-z0-9][a-z0-9_*/@\-]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]`;
/** Headers that pass in this form alone, others do not pass: of W3C Trace Context §3.2 and §3.3, and the data plane's id of the request. */
const FORMS: Readonly<Record<string, RegExp>> = {
  traceparent: /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/,
  tracestate: new RegExp(`^(?=.{1,512}$)${TRACE_MEMBER}(?:,[ \\t]*${TRACE_MEMBER}){0,31}$`),
  "x-request-id": /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
};

/** The list as a data plane needs it that knows names alone: in lower case, and beginnings of names. */
export const LISTED = { names: ["accept", "content-type", ...Object.keys(FORMS)], prefixes: ["mcp-"] } as const;

/** Names that are counted when they are dropped: those, and all that the configuration names for any server. */
export function watchedHeaders(servers: Iterable<ServerHeaders>): ReadonlySet<string> {
  const named = [...servers].flatMap(({ fixed, passes }) => [...fixed.keys(), ...passes]);
  return new Set([...KNOWN_RESTRICTIONS, ...named]);
}

/** The watched headers of a request that do not reach this server. */
export function droppedHeaders(
  headers: RequestHeaders,
  { passes }: Pick<ServerHeaders, "passes">,
  watched: ReadonlySet<string>,
): readonly string[] {
  const dropped: string[] = [];
  for (const name of headers.names()) if (watched.has(name) && !passes.has(name)) dropped.push(name);
  return dropped;
}

/** Of the stateless revision: an older one does not know them, and the relay sends them to no server of it. */
const OF_MODERN: ReadonlySet<string> = new Set(["mcp-method", "mcp-name"]);

/**
 * The headers of a request of this revision that reach this server as the client sent them. Refuses one that may pass but comes twice, or with a
 * value that data planes read differently: the server must not choose. A malformed trace does not pass.
 */
export function clientHeaders(
  headers: RequestHeaders,
  { passes }: Pick<ServerHeaders, "passes">,
  version: string,
): Step<ClientHeaders> {
  const [protocol, passed] = [new Map<string, string>(), new Map<string, string>()];
  for (const name of headers.names()) {
    const kind = kindOf(name, version, passes);
    if (kind === null) continue;
    const value = headers.repeated(name) ? "" : (headers.get(name) ?? "");
    const form = kind === "formed" ? FORMS[name] : HEADER_VALUE;
    if (form?.test(value) === true) (kind === "passed" ? passed : protocol).set(name, value);
    else if (kind !== "formed") return refuse("header_malformed", kind === "mcp" ? "mcp-*" : "a header of passHeaders");
  }
  if (!protocol.has("traceparent")) protocol.delete("tracestate"); // §3.3: it means nothing without
  return pass({ protocol, passed });
}

/** Null for a header that reaches no server as the client sent it. */
function kindOf(name: string, version: string, passes: ReadonlySet<string>): "mcp" | "formed" | "passed" | null {
  if (name === SESSION_HEADER) return null;
  if (name.startsWith("mcp-")) return version === MODERN || !OF_MODERN.has(name) ? "mcp" : null;
  if (Object.hasOwn(FORMS, name)) return "formed";
  return passes.has(name) ? "passed" : null;
}

/** What becomes of a client's header of this name. `formed`: it passes if it is well formed. */
export function fateOf(name: string, { fixed, passes }: ServerHeaders): "passes" | "formed" | "fixed" | "dropped" {
  if (fixed.has(name) || isWritten(name)) return "fixed";
  const kind = kindOf(name, MODERN, passes);
  return kind === null ? "dropped" : kind === "formed" ? "formed" : "passes";
}

/** The headers of a direct call that the gateway writes as the relay does, of the two media types alone. */
export function writtenHeaders(headers: RequestHeaders): readonly (readonly [name: string, value: string])[] {
  return [
    ["accept", acceptedMedia(headers.get("accept"))],
    ["content-type", "application/json"],
  ];
}

/** True for the name of one of {@link writtenHeaders}. */
export function isWritten(name: string): boolean {
  return name === "accept" || name === "content-type";
}
