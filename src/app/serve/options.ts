// What a serving thread is given to start with.
import type { Config } from "../../config/load.ts";
import type { Log } from "../../ops/log.ts";
import type { FromThread, Handover } from "../../ops/supervisor/messages.ts";
import type { LoadedPolicy } from "../../policy/load.ts";
import type { FindOpa } from "../../policy/opa.ts";

export interface ServeOptions {
  readonly config: Config;
  /** The configuration as its file says now: SIGHUP takes its wristband keys. */
  readonly reread: () => Config;
  readonly log: Log;
  readonly findOpa: FindOpa;
  /** What the supervisor gives this thread, of earlier ones too. */
  readonly handover: Handover<LoadedPolicy>;
  readonly tell: (message: FromThread<LoadedPolicy>) => void;
}
