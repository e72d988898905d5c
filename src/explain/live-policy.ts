// Asks a running serve at `/readyz` for its policy. I/O.
import { z } from "zod";
import type { Config } from "../config/load.ts";
import { createHttpClient } from "../http/client.ts";
import { parseJson } from "../json/parse.ts";
import { urlOf } from "../http/url.ts";

/** The policy of a running serve. */
export interface RunningPolicy {
  readonly revision: string;
  /** The fault of the files, because of which an older policy is in force; null when the files are live. */
  readonly stale: string | null;
}

const TIMEOUT_MS = 500;
const MAX_BYTES = 256 * 1024;
const readyz = z.object({ policy: z.object({ revision: z.string(), stale: z.string().nullable() }) });

/** Fetches the policy of the serve of this configuration; null if none responds, or if its listener wants a certificate. */
export async function fetchRunningPolicy({ listen, tls }: Config): Promise<RunningPolicy | null> {
  if (listen.ops.kind === "unix" || tls.ops !== undefined) return null;
  const http = createHttpClient({ origin: urlOf(listen.ops, "ops"), ca: null, maxConnections: 1 });
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const { body } = await http.fetch({ method: "GET", path: "/readyz", headers: {}, body: null, signal }, MAX_BYTES);
    return readyz.parse(parseJson(body.toString("utf8"))).policy;
  } catch {
    return null;
  } finally {
    http.close();
  }
}
