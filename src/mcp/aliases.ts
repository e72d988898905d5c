// Tools that the configuration shows under another name: `aliases` of a server, its own name to the shown one. Pure.

/** By the server's own name of a tool, the name that clients see. */
export type AliasTable = Readonly<Record<string, string>>;

export interface Aliases {
  /** The name that clients see; null for a tool whose own name is the shown one of another tool. */
  shown(ownName: string): string | null;
  /** The server's own name; null for a renamed tool's own name: it is called by its new name only. */
  own(shownName: string): string | null;
}

/** Makes both directions: `own(shown(x)) === x` wherever `shown(x)` is not null. */
export function createAliases(table: AliasTable): Aliases {
  const shownBy = new Map(Object.entries(table));
  const ownBy = new Map(Object.entries(table).map(([own, shown]) => [shown, own]));
  return {
    shown: (own) => shownBy.get(own) ?? (ownBy.has(own) ? null : own),
    own: (shown) => ownBy.get(shown) ?? (shownBy.has(shown) ? null : shown),
  };
}
