// Caches which mounts are KV version 2. I/O through the session.
import { singleFlightByKey } from "../../async/single-flight.ts";
import { faultOfMount, type MountFault } from "./mount.ts";
import type { VaultSession } from "./session.ts";

export interface Mounts {
  /** Returns the fault of a mount, or null. A good result is cached until the next log-in, a fault never. */
  fault(mount: string): Promise<MountFault | null>;
}

/** Makes the cache. A result holds for one log-in: after the next one the Vault may be another. */
export function createMounts(session: VaultSession): Mounts {
  const goodSince = new Map<string, number>();
  const check = singleFlightByKey(async (mount): Promise<MountFault | null> => {
    const since = session.logins(); // a log-in during the request makes its result an old one
    const response = await session.ask((client) => client.read(`sys/internal/ui/mounts/${mount}`));
    const fault = faultOfMount(response, mount);
    if (fault === null) goodSince.set(mount, since);
    return fault;
  });

  return {
    async fault(mount) {
      return goodSince.get(mount) === session.logins() ? null : check(mount);
    },
  };
}
