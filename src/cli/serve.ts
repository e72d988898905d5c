// `mcp-authz serve`: runs the ext_authz service in a supervised thread until a signal. I/O.
import {
  CONFIG_USAGE,
  configPath,
  InputError,
  loadWithWarnings,
  LOG_LEVEL_USAGE,
  logLevel,
  textOption,
  UsageError,
  type Arguments,
  type Command,
} from "./command.ts";
import { requireFiles } from "../app/check-files.ts";
import { createStderrLog } from "../ops/log.ts";
import { untilSignal } from "../ops/signals.ts";
import { superviseServe } from "../app/serve/supervised.ts";
import { MAX_WORKERS } from "../config/schema/listen.ts";
import type { Config } from "../config/load.ts";
import { checkWorkers } from "../config/rules/listen.ts";

export const command: Command = {
  summary: "Run the ext_authz service that Envoy asks",
  usage: [
    "--config FILE [--workers N] [--log-level LEVEL]",
    "",
    CONFIG_USAGE,
    "  --workers N         threads that decide, each on a core of its own; in place of `workers` of the configuration",
    LOG_LEVEL_USAGE,
    "",
    "SIGTERM drains and ends with 0, and so does the end of an npm that started it. SIGHUP takes servers and wristband.keys",
    "from the file anew, re-reads TLS files and revocations, and reopens the audit file; but for the last two so does a change of",
    "the files, unless watchFiles is false.",
    "The audit log goes to audit.file, or to standard output; everything else to standard error.",
  ].join("\n"),
  options: { config: { type: "string", short: "c" }, workers: { type: "string" }, "log-level": { type: "string" } },
  positionals: { min: 0, max: 0 },
  async run(args) {
    const level = logLevel(args);
    const configFile = configPath(args);
    const config = loadWithWarnings(configFile); // every problem and warning, before anything starts
    await requireFiles(configFile, config, "serve");
    const log = createStderrLog(level);
    const workers = workersOf(args, config);
    const supervisor = await superviseServe({ config, workers, data: { configFile, level }, log });
    const signalled = untilSignal({
      terminate: async () => {
        supervisor.terminate();
        if ((await supervisor.ended) !== 0) throw new Error("not ended in order");
      },
      reload: () => Promise.resolve(supervisor.reload()),
      log,
    });
    const code = await Promise.race([signalled, supervisor.ended]);
    process.exit(code);
  },
};

/** @throws {UsageError} for no such number @throws {InputError} where the listeners are not for so many */
function workersOf(args: Arguments, config: Config): number {
  const text = textOption(args, "workers");
  if (text === undefined) return config.workers;
  const workers = Number(text);
  if (!/^\d{1,3}$/.test(text) || workers < 1 || workers > MAX_WORKERS)
    throw new UsageError(`--workers is a number from 1 to ${MAX_WORKERS}`);
  const problems: string[] = [];
  checkWorkers({ ...config, workers }, { problem: (key, message) => problems.push(`--workers: ${key}: ${message}`) });
  if (problems.length > 0) throw new InputError(problems.join("\n"));
  return workers;
}
