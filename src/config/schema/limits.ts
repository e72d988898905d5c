import { z } from "zod";

const KIB = 1024;
const MIB = 1024 * KIB;

/** A whole number with its default, within bounds that no configuration can leave. */
function within(least: number, most: number, usual: number) {
  return z.int().min(least).max(most).default(usual);
}

/**
 * What one request, one caller, one source and one server may cost the others (docs/limits.md). Each key has a ceiling:
 * a limit can be moved, never switched off.
 */
export const limitsSchema = z
  .strictObject({
    bodyBytes: within(KIB, MIB, 256 * KIB),
    largeBodiesPerCaller: within(1, 64, 8),
    runawaySeconds: within(1, 3600, 60),
    invalidTokensPerSecond: within(1, 1000, 20),
    tokenCacheBytes: within(MIB, 1024 * MIB, 64 * MIB),
    revocations: within(1000, 5_000_000, 1_000_000),
    callsPerCaller: within(1, 1024, 64),
    heldBytesPerCaller: within(MIB, 512 * MIB, 32 * MIB),
    heldBytes: within(8 * MIB, 4096 * MIB, 128 * MIB),
    notificationsPerSecond: within(1, 10_000, 100),
    serverNameBytes: within(KIB, 256 * KIB, 64 * KIB),
    serverDefinitionBytes: within(64 * KIB, 16 * MIB, 2 * MIB),
  })
  .prefault({});

export type Limits = z.output<typeof limitsSchema>;
