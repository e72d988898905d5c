// Names of the rules that a policy is asked by. Pure.
/** Entrypoints of a compiled policy: the library's rules that give its answers. */
export const ENTRYPOINTS = ["mcp_authz/decision", "mcp_authz/visible"] as const;

export type Entrypoint = (typeof ENTRYPOINTS)[number];
