// The closed table of MCP methods that serve and broker accept, and the form of names. Pure.
import type { Kind, Operation } from "./operation.ts";

export interface MethodRow {
  readonly class: Operation["class"];
  readonly kind: Kind | null;
  /** For `named`: the member of `params` with the name. */
  readonly nameParam: "name" | "uri" | null;
  /** True if `params.arguments` has a meaning: policy sees the arguments of these methods only. */
  readonly hasArguments: boolean;
}

const NAMELESS = { nameParam: null, hasArguments: false } as const;
const handshake: MethodRow = { class: "handshake", kind: null, ...NAMELESS };
const notification: MethodRow = { class: "notification", kind: null, ...NAMELESS };
const list = (kind: Kind): MethodRow => ({ class: "list", kind, ...NAMELESS });

/** Every method that the gateway serves or relays. serve and broker use this one table. */
const METHODS: ReadonlyMap<string, MethodRow> = new Map([
  ["initialize", handshake],
  ["ping", handshake],
  ["server/discover", handshake],
  ["tools/list", list("tool")],
  ["prompts/list", list("prompt")],
  ["resources/list", list("resource")],
  ["resources/templates/list", list("resource")],
  ["tools/call", { class: "named", kind: "tool", nameParam: "name", hasArguments: true }],
  ["prompts/get", { class: "named", kind: "prompt", nameParam: "name", hasArguments: true }],
  ["resources/read", { class: "named", kind: "resource", nameParam: "uri", hasArguments: false }],
]);

/** The methods of the table; notifications are not among them. */
export const METHOD_NAMES: readonly string[] = [...METHODS.keys()];

/** Finds the row of a method, or null for an unknown one. Names are compared byte for byte. */
export function methodRow(method: string): MethodRow | null {
  const row = METHODS.get(method);
  if (row !== undefined) return row;
  return /^notifications\/[a-z][a-zA-Z_/]{0,63}$/.test(method) ? notification : null;
}

/** True for names of ASCII letters, digits and `_ . - /`: no homoglyphs, no invisible characters (threat model: B15). */
export function isOrdinaryName(name: string): boolean {
  return /^[A-Za-z0-9_.\-/]{1,128}$/.test(name);
}
