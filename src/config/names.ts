// Names that follow from the keys of a configuration. Pure.

/** The prefix of a server's names on `/mcp`. */
export function prefixOf(name: string, prefix: string | null): string {
  return prefix ?? `${name}_`;
}

/** The host name that `{host}` stands for. */
export function hostOf(url: string): string {
  return URL.parse(url)?.hostname ?? "";
}
