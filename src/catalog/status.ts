// What the broker tells operators of its servers, at `/status`: the contract between it and `mcp-authz status`. Pure.
import { z } from "zod";

const counts = z.record(z.string(), z.number());
/** Number of entries by reason, and the first names among them, printable. */
const remarks = z.partialRecord(z.string(), z.object({ count: z.number(), names: z.array(z.string()).readonly() }));

const upstream = z.object({
  server: z.string(),
  /** Of the last attempt to list it; `waiting` before the first one has ended. */
  state: z.enum(["healthy", "unhealthy", "waiting"]),
  /** Why the last attempt failed: a word of ours, or Node's code. */
  error: z.string().nullable(),
  /** The last fault, also after the server has come back. */
  lastError: z.object({ error: z.string(), ageSeconds: z.number() }).nullable(),
  /** Since it was listed; null if it never was. */
  ageSeconds: z.number().nullable(),
  /** False when nothing of it is in any list. */
  isShown: z.boolean(),
  /** Of its calls: they are refused while it is not closed. */
  breaker: z.enum(["closed", "open", "half_open"]),
  /** `tools`, `prompts`, `resources`, `templates`. */
  entries: counts,
  /** Lists that could not be read to their end, and why; what was read is shown. */
  incomplete: z.record(z.string(), z.string()),
  /** What its direct route cannot carry (`broker/catalog/direct-fit.ts`); none for a server whose calls are relayed. */
  direct: z.array(z.string()).default([]),
  /** Left out of its lists. */
  dropped: remarks,
  /** Shown, but not as the server wrote it. */
  changed: remarks,
});
export type UpstreamStatus = z.output<typeof upstream>;

export const statusSchema = z.object({
  ready: z.boolean(),
  /** The catalogue's revision. */
  catalog: z.string(),
  upstreams: z.array(upstream),
  /** Names by what is odd about them. */
  notes: z.record(z.string(), z.array(z.string())),
});
export type BrokerStatus = z.output<typeof statusSchema>;
