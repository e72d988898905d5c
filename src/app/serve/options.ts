// The options with which a serving thread starts. Types only.
import type { ConfigSource } from "../config-source.ts";
import type { Config } from "../../config/load.ts";
import type { Log } from "../../ops/log.ts";
import type { FromThread, Handover } from "../../ops/supervisor/messages.ts";
import type { LoadedPolicy } from "../../policy/load.ts";
import type { FindOpa } from "../../policy/opa.ts";

export interface ServeOptions {
  readonly config: Config;
  /** Reads the configuration file again. */
  readonly reread: () => Config;
  /** Its files, if they are watched. */
  readonly source?: Pick<ConfigSource, "files" | "seen">;
  readonly log: Log;
  readonly findOpa: FindOpa;
  /** State that the supervisor hands over, also from earlier threads. */
  readonly handover: Handover<LoadedPolicy>;
  readonly tell: (message: FromThread<LoadedPolicy>) => void;
}
