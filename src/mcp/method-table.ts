// The closed table of MCP methods that serve and broker accept, and the form of names. Pure.
import type { Kind, Operation } from "./operation.ts";
import { MODERN, SUPPORTED_VERSIONS } from "./versions.ts";

export interface MethodRow {
  readonly class: Operation["class"];
  /** Null also for `ref`, whose type says the kind. */
  readonly kind: Kind | null;
  /** For `named`: the member of `params` with the name. `ref` names a prompt or a template (MCP, Completion). */
  readonly nameParam: "name" | "uri" | "ref" | "taskId" | null;
  /** True if `params.arguments` has a meaning: policy sees the arguments of these methods only. */
  readonly hasArguments: boolean;
  /** True if the stateless revision mirrors the name in `Mcp-Name`. */
  readonly nameHeader: boolean;
  /** The revisions that have the method: `modern` is the stateless one, `legacy` each one before. */
  readonly revisions: "all" | "legacy" | "modern";
}

type Revisions = MethodRow["revisions"];

const NAMELESS = { nameParam: null, hasArguments: false, nameHeader: false } as const;
const nameless = (of: Operation["class"], revisions: Revisions): MethodRow => ({
  class: of,
  kind: null,
  ...NAMELESS,
  revisions,
});
const list = (kind: Kind): MethodRow => ({ class: "list", kind, ...NAMELESS, revisions: "all" });
const named = (kind: "tool" | "prompt"): MethodRow => ({
  ...{ class: "named", kind, nameParam: "name", hasArguments: true, nameHeader: true, revisions: "all" },
});
const resource = (revisions: Revisions): MethodRow => ({
  ...{ class: "named", kind: "resource", nameParam: "uri", hasArguments: false, nameHeader: true, revisions },
});
const completion: MethodRow = {
  ...{ class: "named", kind: null, nameParam: "ref", hasArguments: false, nameHeader: false, revisions: "all" },
};

/** The extension of tasks among capabilities (SEP-2663). */
export const TASKS_EXTENSION = "io.modelcontextprotocol/tasks";

/** A task (SEP-2663) is named by an id of ours; the Check finds the tool whose call made it. */
const task: MethodRow = {
  ...{ class: "named", kind: "tool", nameParam: "taskId", hasArguments: false, nameHeader: true, revisions: "modern" },
};

/** Every method that the gateway serves or relays. serve and broker use this one table. */
const METHODS: ReadonlyMap<string, MethodRow> = new Map([
  ["initialize", nameless("handshake", "legacy")],
  ["ping", nameless("handshake", "legacy")],
  ["server/discover", nameless("handshake", "modern")],
  ["tools/list", list("tool")],
  ["prompts/list", list("prompt")],
  ["resources/list", list("resource")],
  ["resources/templates/list", list("resource")],
  ["subscriptions/listen", nameless("listen", "modern")],
  ["logging/setLevel", nameless("session", "legacy")],
  ["tools/call", named("tool")],
  ["prompts/get", named("prompt")],
  ["resources/read", resource("all")],
  ["resources/subscribe", resource("legacy")],
  ["resources/unsubscribe", resource("legacy")],
  ["completion/complete", completion],
  ["tasks/get", task],
  ["tasks/update", task],
  ["tasks/cancel", task],
]);

/** The methods of the table; notifications are not among them. */
export const METHOD_NAMES: readonly string[] = [...METHODS.keys()];

const notification = nameless("notification", "all");
/** A client's answer to a request of a server: the stateless revision has none. Its `method` is ours. */
export const RESPONSE = "response";
export const RESPONSE_ROW: MethodRow = nameless("session", "legacy");

/** True for a method that names a task in place of a tool. */
export function isOfTask(method: string): boolean {
  return METHODS.get(method)?.nameParam === "taskId";
}

/** True for what tells of a task: in the stateless revision on a stream of `subscriptions/listen` alone, by its server's own id. */
export function isTaskNotice(method: string): boolean {
  return method === "notifications/tasks" || method.startsWith("notifications/tasks/");
}

/** Finds the row of a method, or null for an unknown one. Names are compared byte for byte. */
export function methodRow(method: string): MethodRow | null {
  const row = METHODS.get(method);
  if (row !== undefined) return row;
  return /^notifications\/[a-z][a-zA-Z_/]{0,63}$/.test(method) ? notification : null;
}

/** True if this revision has the method. A revision that we do not speak has all: it is refused for what it is. */
export function isOfRevision({ revisions }: MethodRow, version: string): boolean {
  if (revisions === "all" || !SUPPORTED_VERSIONS.includes(version)) return true;
  return (version === MODERN) === (revisions === "modern");
}

/** True for names of ASCII letters, digits and `_ . - /`: no homoglyphs, no invisible characters (threat model: B15). */
export function isOrdinaryName(name: string): boolean {
  return /^[A-Za-z0-9_.\-/]{1,128}$/.test(name);
}
