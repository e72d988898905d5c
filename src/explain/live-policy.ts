// Asks a running serve at `/readyz` for its policy. I/O.
import { z } from "zod";
import type { Config } from "../config/load.ts";
import { ownOrigin } from "../config/destinations.ts";
import { readCaFile } from "../files/ca.ts";
import { createFetch } from "../http/fetch-document.ts";
import { parseJson } from "../json/parse.ts";

/** The policy of a running serve. */
export interface RunningPolicy {
  readonly revision: string;
  /** The fault of the files, because of which an older policy is in force; null when the files are live. */
  readonly stale: string | null;
}

const LIMITS = { maxBytes: 256 * 1024, timeoutMs: 500 };
const readyz = z.object({ policy: z.object({ revision: z.string(), stale: z.string().nullable() }) });

/** Fetches the policy of the serve of this configuration; null if none responds, or if its listener wants a certificate. */
export async function fetchRunningPolicy(config: Config): Promise<RunningPolicy | null> {
  const { jwksUrl, caFile } = config.wristband;
  try {
    // By the CA of the keys, where these come from the same listener.
    const ca = jwksUrl === null ? readCaFile("wristband.caFile", caFile) : null;
    const { body } = await createFetch(ca, LIMITS)(`${ownOrigin(config, "ops")}/readyz`);
    return readyz.parse(parseJson(body.toString("utf8"))).policy;
  } catch {
    return null;
  }
}
