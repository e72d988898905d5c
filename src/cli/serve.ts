// `mcp-authz serve`: runs the ext_authz service in a supervised thread until a signal. I/O.
import { CONFIG_USAGE, configPath, loadWithWarnings, LOG_LEVEL_USAGE, logLevel, type Command } from "./command.ts";
import { requireFiles } from "../app/check-files.ts";
import { moduleUrl } from "../files/module-url.ts";
import { auditFailure } from "../ops/audit/log.ts";
import { createStderrLog } from "../ops/log.ts";
import { writeLostLines } from "../ops/supervisor/lost-lines.ts";
import { untilSignal } from "../ops/signals.ts";
import { supervise } from "../ops/supervisor/supervisor.ts";
import type { ServeData } from "../app/serve/thread.ts";

/** Far above what a policy needs (well under a millisecond), far below what a caller would wait. */
export const POLICY_LIMIT_MS = 500;

export const command: Command = {
  summary: "Run the ext_authz service that Envoy asks",
  usage: [
    "--config FILE [--log-level LEVEL]",
    "",
    CONFIG_USAGE,
    LOG_LEVEL_USAGE,
    "",
    "SIGTERM drains and ends with 0, and so does the end of an npm that started it. SIGHUP takes servers and wristband.keys",
    "from the file anew, re-reads TLS files and revocations, and reopens the audit file; but for the last two so does a change of",
    "the files, unless watchFiles is false.",
    "The audit log goes to audit.file, or to standard output; everything else to standard error.",
  ].join("\n"),
  options: { config: { type: "string", short: "c" }, "log-level": { type: "string" } },
  positionals: { min: 0, max: 0 },
  async run(args) {
    const level = logLevel(args);
    const configFile = configPath(args);
    const config = loadWithWarnings(configFile); // every problem and warning, before anything starts
    await requireFiles(configFile, config, "serve");
    const log = createStderrLog(level);
    const supervisor = supervise({
      script: moduleUrl(new URL("../app/serve/thread.ts", import.meta.url)),
      data: { configFile, level } satisfies ServeData,
      limitMs: POLICY_LIMIT_MS,
      suspendMs: config.limits.runawaySeconds * 1000,
      onLoss: (loss) =>
        writeLostLines(loss, { file: config.audit.file, onFailure: auditFailure(log, config.audit.file) }),
      log,
    });
    const signalled = untilSignal({
      terminate: async () => {
        supervisor.send({ type: "terminate" });
        if ((await supervisor.ended) !== 0) throw new Error("not ended in order");
      },
      reload: () => Promise.resolve(supervisor.send({ type: "reload" })),
      log,
    });
    const code = await Promise.race([signalled, supervisor.ended]);
    process.exit(code);
  },
};
