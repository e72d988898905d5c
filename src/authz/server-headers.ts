// Client headers that a server may have beside the credential, and those that it always gets. A restriction may travel in one, as
// `x-mcp-readonly`: both routes carry the same set, and what is dropped is counted. Pure.
import type { RequestHeaders } from "./types.ts";
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

/** Headers with which clients of real servers restrict themselves. To lose one is to widen what a call may do. */
const KNOWN_RESTRICTIONS = ["x-mcp-readonly", "x-mcp-toolsets", "x-mcp-tools", "x-mcp-lockdown", "x-read-only"];

/** Names that are counted when they are dropped: those, and all that the configuration names for any server. */
export function watchedHeaders(servers: Iterable<ServerHeaders>): ReadonlySet<string> {
  const named = [...servers].flatMap(({ fixed, passes }) => [...fixed.keys(), ...passes]);
  return new Set([...KNOWN_RESTRICTIONS, ...named]);
}

/**
 * The watched headers of a request that do not reach this server. Refuses one that may pass but comes twice, or with a value
 * that data planes read differently: the server must not choose.
 */
export function droppedHeaders(
  headers: RequestHeaders,
  { passes }: ServerHeaders,
  watched: ReadonlySet<string>,
): Step<readonly string[]> {
  const dropped: string[] = [];
  for (const name of headers.names()) {
    if (!passes.has(name)) {
      if (watched.has(name)) dropped.push(name);
    } else if (headers.repeated(name) || !HEADER_VALUE.test(headers.get(name) ?? "")) {
      return refuse("header_malformed", "a header of passHeaders");
    }
  }
  return pass(dropped);
}
