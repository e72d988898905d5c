// The section `limits`. Pure.
import { z } from "zod";

const KIB = 1024;
const MIB = 1024 * KIB;

/** A whole number with its default, within bounds that no configuration can leave. */
function within([least, most, usual]: readonly [number, number, number], description: string) {
  return z
    .int()
    .min(least)
    .max(most)
    .default(usual)
    .meta({ description: `${description}; at most ${most}` });
}

/**
 * Bounds of what one request, caller, source or server may cost the others (docs/limits.md). Each key has a ceiling: a
 * limit can be moved, never switched off.
 */
export const limitsSchema = z
  .strictObject({
    bodyBytes: within([KIB, MIB, 256 * KIB], "the body of one request, in bytes"),
    largeBodiesPerCaller: within([1, 64, 8], "bodies above 32 KiB of one caller that are under way at a time"),
    runawaySeconds: within([1, 3600, 60], "how long a caller is refused whose request made policy run away"),
    invalidTokensPerSecond: within(
      [1, 1000, 20],
      "tokens that fail verification, from one source address, that are verified each second",
    ),
    tokenCacheBytes: within([MIB, 1024 * MIB, 64 * MIB], "memory for tokens that were verified"),
    revocations: within([1000, 5_000_000, 1_000_000], "revocations that are remembered"),
    callsPerCaller: within(
      [1, 1024, 64],
      "calls of one caller under way at a time: at the broker, and at each `direct` server",
    ),
    streamsPerCaller: within([1, 1024, 64], "streams of `subscriptions/listen` of one caller that are open at a time"),
    heldBytesPerCaller: within(
      [MIB, 512 * MIB, 32 * MIB],
      "bytes of answers that the broker holds for one caller who does not read them",
    ),
    heldBytes: within([8 * MIB, 4096 * MIB, 128 * MIB], "bytes of answers that the broker holds in all"),
    notificationsPerSecond: within([1, 10_000, 100], "notifications of a server that one call passes on"),
    keepAliveSeconds: within(
      [1, 300, 15],
      "the longest silence of an answer that its client takes as a stream: then a comment shows that the call goes on",
    ),
    sessions: within([1, 100_000, 20_000], "sessions of clients in all; beyond, the one that was idle longest ends"),
    sessionsPerCaller: within([1, 20_000, 256], "sessions of one caller; beyond, the one that was idle longest ends"),
    serverNameBytes: within(
      [KIB, 256 * KIB, 64 * KIB],
      "names of one server's tools, prompts and resources that are listed",
    ),
    serverDefinitionBytes: within([64 * KIB, 16 * MIB, 2 * MIB], "definitions of one server that are listed"),
  })
  .prefault({});

export type Limits = z.output<typeof limitsSchema>;
