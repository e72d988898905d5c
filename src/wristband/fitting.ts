// Which servers of a list have room in a wristband. Pure.
import type { Visible } from "../authz/ports.ts";

export interface Fitting {
  readonly shown: Visible;
  /** Servers that have no room, in ascending order. */
  readonly leftOut: readonly string[];
}

const KINDS = ["tools", "prompts", "resources"] as const;

/**
 * As many servers as have room, without the largest: one with very many names costs its callers its own names, not those of
 * all others. Of two that are equally large the one with the later name goes first.
 * @param room bytes for all names as JSON
 */
export function fitting(visible: Visible, room: number): Fitting {
  if (room === Infinity) return { shown: visible, leftOut: [] };
  const sizes = new Map<string, number>();
  let total = 0;
  for (const kind of KINDS)
    for (const [server, names] of Object.entries(visible[kind])) {
      const bytes = names.length === 0 ? 0 : Buffer.byteLength(JSON.stringify({ [server]: names })) - 1;
      sizes.set(server, (sizes.get(server) ?? 0) + bytes);
      total += bytes;
    }
  if (total <= room) return { shown: visible, leftOut: [] };
  const largest = [...sizes].sort(([a, one], [b, other]) => other - one || (a < b ? 1 : -1));
  const leftOut = new Set<string>();
  for (const [server, bytes] of largest) {
    if (total <= room) break;
    leftOut.add(server);
    total -= bytes;
  }
  const without = (names: Visible["tools"]) =>
    Object.fromEntries(Object.entries(names).filter(([server]) => !leftOut.has(server)));
  const { tools, prompts, resources } = visible;
  return {
    shown: { tools: without(tools), prompts: without(prompts), resources: without(resources) },
    leftOut: [...leftOut].sort(),
  };
}
