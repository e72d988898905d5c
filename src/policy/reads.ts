// What a policy reads of its input, as it stands beside the compiled rules. Pure.
import { z } from "zod";

/** What is read of one value: all of it, at most its type, or members of it (then its type too). */
export type Reads = "value" | "type" | { readonly [member: string]: Reads };

/** By entrypoint: what of the input its answer depends on. Whatever is not named changes no answer. */
export interface PolicyReads {
  readonly "mcp_authz/decision": Reads;
  readonly "mcp_authz/visible": Reads;
}

const readsSchema: z.ZodType<Reads> = z.lazy(() =>
  z.union([z.enum(["value", "type"]), z.record(z.string(), readsSchema)]),
);

export const policyReadsSchema: z.ZodType<PolicyReads> = z.strictObject({
  "mcp_authz/decision": readsSchema,
  "mcp_authz/visible": readsSchema,
});

/** What is read of a member, or null where it is not read at all. */
export function readsOf(reads: Reads, member: string): Reads | null {
  if (typeof reads === "string") return reads === "value" ? reads : null;
  return Object.hasOwn(reads, member) ? (reads[member] ?? null) : null;
}
