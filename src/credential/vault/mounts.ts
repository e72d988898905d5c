import { singleFlightByKey } from "../../async/single-flight.ts";
import { faultOfMount, type MountFault } from "./mount.ts";
import type { VaultSession } from "./session.ts";

export interface Mounts {
  /** What is wrong with a mount, or null. Asked once per log-in for a good one, and each time for another. */
  fault(mount: string): Promise<MountFault | null>;
}

/** Remembers which mounts are KV v2, for as long as we are logged in at the same Vault. */
export function createMounts(session: VaultSession): Mounts {
  const goodSince = new Map<string, number>();
  const check = singleFlightByKey(async (mount): Promise<MountFault | null> => {
    const since = session.logins(); // a log-in while we ask makes this an old answer
    const reply = await session.ask((client) => client.read(`sys/internal/ui/mounts/${mount}`));
    const fault = faultOfMount(reply, mount);
    if (fault === null) goodSince.set(mount, since);
    return fault;
  });

  return {
    async fault(mount) {
      return goodSince.get(mount) === session.logins() ? null : check(mount);
    },
  };
}
