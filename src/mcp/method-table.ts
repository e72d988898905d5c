import type { Kind, Operation } from "./operation.ts";

export interface MethodRow {
  readonly class: Operation["class"];
  readonly kind: Kind | null;
  /** For `named`: the member of `params` that names what is used. */
  readonly nameParam: "name" | "uri" | null;
  /** Whether `params.arguments` says something: policy sees them of no other method. */
  readonly hasArguments: boolean;
}

const NAMELESS = { nameParam: null, hasArguments: false } as const;
const handshake: MethodRow = { class: "handshake", kind: null, ...NAMELESS };
const notification: MethodRow = { class: "notification", kind: null, ...NAMELESS };
const list = (kind: Kind): MethodRow => ({ class: "list", kind, ...NAMELESS });

/** Every method that we serve or carry, and no other (design 3.5). serve and broker use this one table. */
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

/** The methods of the table by name; notifications besides. */
export const METHOD_NAMES: readonly string[] = [...METHODS.keys()];

/** The method's row, or null for a method that we do not know. Compared byte for byte. */
export function methodRow(method: string): MethodRow | null {
  const row = METHODS.get(method);
  if (row !== undefined) return row;
  return /^notifications\/[a-z][a-zA-Z_/]{0,63}$/.test(method) ? notification : null;
}

/** True for names of ordinary letters. Others are nobody's: homoglyphs and invisible characters (threat row B15). */
export function isOrdinaryName(name: string): boolean {
  return /^[A-Za-z0-9_.\-/]{1,128}$/.test(name);
}
