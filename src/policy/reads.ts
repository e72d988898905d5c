// What a policy reads of its input, as it stands beside the compiled rules. Pure.
import { isObject } from "../json/object.ts";

/** What is read of one value: all of it, at most its type, or members of it (then its type too). */
export type Reads = "value" | "type" | { readonly [member: string]: Reads };

/** By entrypoint: what of the input its answer depends on. Whatever is not named changes no answer. */
export interface PolicyReads {
  readonly "mcp_authz/decision": Reads;
  readonly "mcp_authz/visible": Reads;
}

/** Version of the analysis in plan-reads.ts; results of another version are ignored. */
const VERSION = 1;

/** As it is written beside compiled rules. */
export interface StoredReads extends PolicyReads {
  readonly version: number;
}

export function storedReads(reads: PolicyReads): StoredReads {
  return { version: VERSION, ...reads };
}

/**
 * What was written, or null where it is of another version or form: then all may be read. By hand, since a member may have
 * any name, `__proto__` too, and a schema library leaves that one out.
 */
export function readStored(stored: unknown): PolicyReads | null {
  if (!isObject(stored) || stored["version"] !== VERSION) return null;
  const [decision, visible] = [stored["mcp_authz/decision"], stored["mcp_authz/visible"]];
  return isReads(decision) && isReads(visible)
    ? { "mcp_authz/decision": decision, "mcp_authz/visible": visible }
    : null;
}

function isReads(value: unknown): value is Reads {
  if (value === "value" || value === "type") return true;
  return isObject(value) && Object.values(value).every(isReads);
}

/** What is read of a member, or null where it is not read at all. */
export function readsOf(reads: Reads, member: string): Reads | null {
  if (typeof reads === "string") return reads === "value" ? reads : null;
  return Object.hasOwn(reads, member) ? (reads[member] ?? null) : null;
}
