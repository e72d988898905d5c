// Composes the revocations of serve, with their metrics and log events. I/O: the revocation file.
import type { Config } from "../../config/load.ts";
import { createRevocations, type RevocationOptions, type Revocations } from "../../identity/revocations.ts";
import type { Log } from "../../ops/log.ts";
import type { Metrics } from "../../ops/metrics/serve.ts";

export interface RevocationStart {
  readonly config: Config;
  readonly log: Log;
  readonly metrics: Metrics;
  /** The memory of an earlier thread of this process; null in its first one. */
  readonly remembered: SharedArrayBuffer | null;
  readonly onRemember: (memory: SharedArrayBuffer) => void;
  readonly onRevoked: RevocationOptions["onRevoked"];
}

/** Without a file no token is revoked. */
const NONE: Revocations = {
  revoked: () => null,
  poll: () => Promise.resolve(),
  watch: () => {},
  status: () => ({ entries: 0, stale: null }),
  close: () => {},
};

/**
 * Reads the revocations that are in the file now. A running serve may remember more.
 * @throws {Error} that names the key at fault
 */
export async function readRevocationFile({ identity, limits }: Config): Promise<Revocations> {
  if (identity.revocationFile === null) return NONE;
  return createRevocations({
    file: identity.revocationFile,
    now: Date.now,
    monotonic: () => performance.now(),
    maxEntries: limits.revocations,
    remembered: null,
    onReload: () => {},
    onRevoked: () => {},
  });
}

/** Loads and watches the revocations. @throws {Error} if the file cannot be read at the start */
export async function startRevocations(start: RevocationStart): Promise<Revocations> {
  const { config, log, metrics, remembered, onRemember, onRevoked } = start;
  const file = config.identity.revocationFile;
  if (file === null) return NONE;
  return createRevocations({
    file,
    now: Date.now,
    monotonic: () => performance.now(),
    maxEntries: config.limits.revocations,
    remembered,
    onReload: (result, message) => {
      metrics.revocationReload(result);
      if (result === "ok") log.info("revocations_live", { message });
      else log.error("revocations_not_read", { file, message });
    },
    onMemory: onRemember,
    onRevoked,
  });
}
