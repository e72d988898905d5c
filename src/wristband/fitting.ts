// Chooses the names that fit into a wristband for a list of all servers. Pure.
import type { Visible } from "../authz/types.ts";
import { NAME_CLAIMS } from "./compact-names.ts";

export interface NameSelection {
  readonly shown: Visible;
  /** Servers whose names do not all fit, in ascending order. */
  readonly leftOut: readonly string[];
}

/**
 * Chooses names in equal shares by server. A server leaves the rest of its share to the others, and one with too many names
 * shows its first ones. Leaving out whole servers, the largest first, would let a server displace one that is a little
 * larger.
 * @param visible names in ascending order
 * @param room bytes for all names as JSON
 */
export function fitNames(visible: Visible, room: number): NameSelection {
  if (room === Infinity) return { shown: visible, leftOut: [] };
  const sizes = sizesOf(visible);
  const share = fairShare([...sizes.values()], room);
  const leftOut = [...sizes].filter(([, bytes]) => bytes > share).map(([server]) => server);
  if (leftOut.length === 0) return { shown: visible, leftOut };
  const left = new Map(leftOut.map((server) => [server, share]));
  const cut = (names: Visible["tools"]) =>
    Object.fromEntries(
      Object.entries(names).map(([server, list]) => [server, left.has(server) ? within(left, server, list) : list]),
    );
  const [tools, prompts, resources] = [cut(visible.tools), cut(visible.prompts), cut(visible.resources)];
  return { shown: { tools, prompts, resources }, leftOut: leftOut.sort() };
}

function sizesOf(visible: Visible): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const kind of NAME_CLAIMS)
    for (const [server, names] of Object.entries(visible[kind])) {
      const bytes = names.length === 0 ? 0 : Buffer.byteLength(JSON.stringify({ [server]: names })) - 1;
      sizes.set(server, (sizes.get(server) ?? 0) + bytes);
    }
  return sizes;
}

/** The share of each server by max-min fairness, in bytes; Infinity if all names fit. */
function fairShare(sizes: readonly number[], room: number): number {
  let left = room;
  let servers = sizes.length;
  for (const bytes of sizes.toSorted((a, b) => a - b)) {
    if (bytes * servers > left) return left / servers;
    left -= bytes;
    servers -= 1;
  }
  return Infinity;
}

/** The first names of a server that fit into the rest of its share, which is reduced by their bytes. */
function within(left: Map<string, number>, server: string, names: readonly string[]): string[] {
  let room = (left.get(server) ?? 0) - Buffer.byteLength(JSON.stringify({ [server]: [] }));
  const shown: string[] = [];
  for (const name of names) {
    const bytes = Buffer.byteLength(JSON.stringify(name)) + 1;
    if (bytes > room) break;
    shown.push(name);
    room -= bytes;
  }
  if (shown.length > 0) left.set(server, room);
  return shown;
}
