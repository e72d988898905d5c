import { z } from "zod";
import type { Config } from "../config/load.ts";
import { createHttpClient } from "../http/client.ts";
import { parseJson } from "../json/parse.ts";
import { urlOf } from "../http/url.ts";

/** The policy by which a running serve decides. */
export interface LivePolicy {
  readonly revision: string;
  /** What is wrong with the files, so that an older policy stays; null when they are live. */
  readonly stale: string | null;
}

const TIMEOUT_MS = 500;
const MAX_BYTES = 256 * 1024;
const readyz = z.object({ policy: z.object({ revision: z.string(), stale: z.string().nullable() }) });

/** What the serve of this configuration says of its policy at `/readyz`; null when none answers, or not to everybody. */
export async function livePolicy({ listen, tls }: Config): Promise<LivePolicy | null> {
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
