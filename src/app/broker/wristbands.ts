// How the broker verifies wristbands: serve's keys, the lists that wristbands refer to, and the count of results. I/O by its parts.
import { setTimeout as delay } from "node:timers/promises";
import type { Catalog } from "../../broker/catalog/snapshot.ts";
import { jwksUrlOf } from "../../config/destinations.ts";
import type { Config } from "../../config/load.ts";
import { readCaFile } from "../../files/ca.ts";
import { createFetch } from "../../http/fetch-document.ts";
import type { RemoteKeySet } from "../../jose/remote-key-set.ts";
import { createPublicKeys, KEY_SET_LIMITS } from "../../wristband/public-keys.ts";
import { createVerifier, type Verification } from "../../wristband/verify.ts";
import type { BrokerMetrics } from "./ops.ts";

export function publicKeysOf(config: Config, monotonic: () => number): RemoteKeySet {
  const ca = readCaFile("wristband.caFile", config.wristband.caFile);
  return createPublicKeys({ url: jwksUrlOf(config), fetch: createFetch(ca, KEY_SET_LIMITS), monotonic });
}

export function keyFinder(keys: RemoteKeySet) {
  return (kid: string) => keys.get(kid)?.key;
}

interface VerifierParts {
  readonly keys: RemoteKeySet;
  readonly catalog: Catalog;
  readonly metrics: BrokerMetrics;
}

/** Longest wait for the servers' lists, when a wristband refers to one that is not known here. */
const REFRESH_WAIT_MS = 2000;

/**
 * A wristband whose key is not known yet may have been signed by one that was just rotated in; one that refers to an unknown
 * list may be of a serve that reads the catalogue of another broker.
 */
export function verifierOf({ wristband: { issuer, audience } }: Config, { keys, catalog, metrics }: VerifierParts) {
  const parts = { findKey: keyFinder(keys), findNames: catalog.findNames, now: Date.now };
  const verify = createVerifier({ issuer, audience, ...parts });
  return async (jws: string): Promise<Verification> => {
    let verified = verify(jws);
    if (!verified.ok && verified.fault === "kid") {
      await keys.refresh();
      verified = verify(jws);
    }
    if (!verified.ok && verified.fault === "catalog") {
      await Promise.race([catalog.refresh(), delay(REFRESH_WAIT_MS, null, { ref: false })]);
      verified = verify(jws);
    }
    metrics.wristband(verified.ok ? "ok" : verified.fault);
    return verified;
  };
}
