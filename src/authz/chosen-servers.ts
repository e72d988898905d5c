// The servers that a client chose for herself by a header: she sees and calls those alone, and never more than without it. Pure.
import { SERVER_NAME } from "../mcp/resolver.ts";
import { pass, refuse, type Step } from "./step.ts";
import type { RequestHeaders } from "./types.ts";

/** Names of servers, with commas between them; none where it is empty. */
const HEADER = "x-mcp-servers";
const MAX_CHARS = 4096;

/** The servers; null for all. */
export type Chosen = ReadonlySet<string> | null;

export function isChosen(chosen: Chosen, server: string): boolean {
  return chosen === null || chosen.has(server);
}

/** Those of `open` that are chosen, too; null for all. */
export function chosenOf(chosen: Chosen, open: Chosen): Chosen {
  return chosen === null || open === null
    ? (chosen ?? open)
    : new Set([...chosen].filter((server) => open.has(server)));
}

/** Refuses with `header_malformed` what cannot be read in one way: a restriction that is not understood is none to ignore. */
export function chosenServers(headers: RequestHeaders): Step<Chosen> {
  const value = headers.get(HEADER);
  if (value === undefined) return pass(null);
  const names = value.split(",").map((name) => name.trim());
  const isEmpty = names.length === 1 && names[0] === "";
  const isRead = isEmpty || names.every((name) => SERVER_NAME.test(name));
  if (headers.repeated(HEADER) || value.length > MAX_CHARS || !isRead)
    return { ...refuse("header_malformed", HEADER), about: HEADER };
  return pass(new Set(names));
}
