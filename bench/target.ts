import type { ChildProcess } from "node:child_process";
import type { World } from "./world.ts";

/** Something that is measured: a process, and one piece of work that it does over and over. */
export interface Target {
  /** One word, for the command line. */
  readonly name: string;
  /** For the table that is printed. */
  readonly title: string;
  /** The target that it is compared with; null for one that others are compared with. */
  readonly against: string | null;
  start(world: World): Promise<Running>;
}

export interface Running {
  /** Whose CPU and memory count. */
  readonly child: ChildProcess;
  /** Does the work once. Rejects when the answer is not the one that is to be measured. */
  call(): Promise<void>;
}
