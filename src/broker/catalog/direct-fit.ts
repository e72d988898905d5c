// What of a server's protocol a direct route can carry, by what was learned when it was listed: there is no session on it, and
// each client's revision reaches the server as it is. Pure.
import { MODERN, SUPPORTED_VERSIONS } from "../../mcp/versions.ts";

/**
 * `needs_session`: clients of older revisions cannot call it. `older_only`: clients of the stateless revision cannot.
 * `stateless_only`: all other clients cannot.
 */
export const DIRECT_FAULTS = ["needs_session", "older_only", "stateless_only"] as const;
export type DirectFault = (typeof DIRECT_FAULTS)[number];

/** A server's handshake of the older revisions. */
export interface OlderHandshake {
  /** The revision that it chose. */
  readonly version: string | null;
  readonly hasSession: boolean;
}

export interface Spoken {
  readonly modern: boolean;
  /** Null for a server that has no such handshake; `unknown` where its answer said nothing about that. */
  readonly older: OlderHandshake | null | "unknown";
}

export interface DirectFit {
  /** What the server speaks, and its endpoint announces; newest first. */
  readonly revisions: readonly string[];
  readonly faults: readonly DirectFault[];
}

export function directFit({ modern, older }: Spoken): DirectFit {
  if (older === "unknown") return { revisions: SUPPORTED_VERSIONS, faults: [] };
  const faults: DirectFault[] = [];
  if (older?.hasSession === true) faults.push("needs_session");
  if (!modern) faults.push("older_only");
  if (older === null) faults.push("stateless_only");
  return { revisions: [...(modern ? [MODERN] : []), ...(older === null ? [] : upTo(older.version))], faults };
}

/** The revision of a server's own choice, and those before it: its clients may ask for each. */
function upTo(version: string | null): readonly string[] {
  const older = SUPPORTED_VERSIONS.filter((one) => one !== MODERN);
  const known = older.filter((one) => version !== null && one <= version);
  return known.length > 0 ? known : older;
}
