// The form of what `npm run bench` measures.
import type { TargetProcess } from "./harness.ts";
import type { World } from "./world.ts";

/** A process, and one piece of work that it does over and over. */
export interface Target {
  /** One word, for the command line. */
  readonly name: string;
  /** For the table that is printed. */
  readonly title: string;
  /** The target that it is compared with; null for one that others are compared with. */
  readonly against: string | null;
  start(world: World): Promise<TargetProcess>;
}
