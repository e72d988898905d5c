// What a row asks of a peer that decides Checks.
import type { Asked } from "../requests.ts";

export interface PeerRow {
  /** `result` decides alone; `relay` and `list` add a wristband for the call or of the list, `secret` a secret that is kept. */
  readonly rule: "result" | "relay" | "list" | "secret";
  readonly asked?: Asked;
  readonly shows?: (answer: Buffer) => boolean;
}
