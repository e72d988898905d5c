// `mcp-authz broker`: runs the broker until a signal. I/O.
import { createStderrLog } from "../ops/log.ts";
import { untilSignal } from "../ops/signals.ts";
import { CONFIG_USAGE, configPath, loadWithWarnings, LOG_LEVEL_USAGE, logLevel, type Command } from "./command.ts";
import { requireFiles } from "../app/check-files.ts";
import { createConfigSource } from "../app/config-source.ts";
import { startBroker } from "../app/broker/broker.ts";

export const command: Command = {
  summary: "Run the broker: the MCP handshake, lists and calls, for those with a wristband",
  usage: [
    "--config FILE [--log-level LEVEL]",
    "",
    CONFIG_USAGE,
    LOG_LEVEL_USAGE,
    "",
    "SIGTERM ends it with 0, and so does the end of an npm that started it. SIGHUP takes the servers from",
    "the file anew and re-reads the TLS files, and so does a change of the files, unless watchFiles is false.",
  ].join("\n"),
  options: { config: { type: "string", short: "c" }, "log-level": { type: "string" } },
  positionals: { min: 0, max: 0 },
  async run(args) {
    const level = logLevel(args);
    const configFile = configPath(args);
    const config = loadWithWarnings(configFile);
    await requireFiles(configFile, config, "broker");
    const log = createStderrLog(level);
    const source = createConfigSource(configFile, process.env);
    const broker = await startBroker(source.read(), log, source);
    return untilSignal({ terminate: () => broker.stop(), reload: () => broker.reload(), log });
  },
};
