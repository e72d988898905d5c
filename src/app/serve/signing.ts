// What serve signs with: the keys of wristbands and assertions as they are now, and the signer of wristbands. I/O: key files.
import { createTaskIds } from "../../authz/task-ids.ts";
import type { Config } from "../../config/load.ts";
import type { Metrics } from "../../ops/metrics/serve.ts";
import type { Prepared } from "../../ops/reload.ts";
import { loadSigningKeys, publicKeySet, type SigningKey } from "../../wristband/keys.ts";
import { createSigner, type SignerOptions } from "../../wristband/sign.ts";
import { loadAssertionKeys } from "../assertion-keys.ts";
import { createLiveSealer } from "../seal-keys.ts";
import type { ServeOptions } from "./options.ts";
import { refetchAddress } from "./refetch.ts";
import type { SigningKeys } from "./reload.ts";

export function signingKeys(config: Config): SigningKeys {
  let keys = loadSigningKeys(config.wristband.keys);
  let assertions = loadAssertionKeys(config);
  const sealer = createLiveSealer(config);
  return {
    tasks: sealer === null ? null : createTaskIds(sealer),
    prepareSealKeys: (next) => sealer?.prepare(next),
    current: () => keys,
    assertions: () => assertions,
    prepare: (next) => preparedKeys(loadSigningKeys(next.wristband.keys), (loaded) => void (keys = loaded)),
    prepareAssertions: (next) => preparedKeys(loadAssertionKeys(next), (loaded) => void (assertions = loaded)),
  };
}

function preparedKeys(loaded: SigningKey[], take: (loaded: SigningKey[]) => void): Prepared {
  return { putInForce: () => take(loaded), drop: () => {}, content: publicKeySet(loaded) };
}

export function signerOf(
  { config, log }: ServeOptions,
  sources: Pick<SignerOptions, "keys" | "listed">,
  metrics: Metrics,
) {
  const { issuer, audience, ttlSeconds } = config.wristband;
  const refetchAt = refetchAddress(config);
  const told = new Set<string>();
  const onLeftOut = (servers: readonly string[]) => {
    for (const server of servers) {
      metrics.leftOut(server);
      if (told.has(server)) continue;
      told.add(server);
      log.warn("server_left_out", { server, message: "not all of its names have room in lists of all servers" });
    }
  };
  const onCache = (result: "hit" | "miss") => metrics.cache("wristband", result);
  return createSigner({ issuer, audience, ttlSeconds, ...sources, refetchAt, now: Date.now, onCache, onLeftOut });
}
