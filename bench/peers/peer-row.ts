// What a row asks of a peer that decides Checks.
import { badChecks, goodChecks, type Asked } from "../requests.ts";
import type { Service } from "../service.ts";
import type { World } from "../world.ts";

export interface PeerRow {
  /** `result` decides alone; `relay` and `list` add a wristband for the call or of the list, `secret` a secret that is kept. */
  readonly rule: "result" | "relay" | "list" | "secret";
  readonly asked?: Asked;
  readonly shows?: (answer: Buffer) => boolean;
}

/** Such peers read headers from the map. */
export function peerService(world: World, row: PeerRow, started: Pick<Service, "pid" | "end" | "open">): Service {
  const asked = { ...row.asked, form: "map" } as const;
  const { shows } = row;
  return {
    ...started,
    good: goodChecks(world, asked),
    bad: badChecks(world, asked),
    ...(shows !== undefined && { shows }),
  };
}
