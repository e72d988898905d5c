import { createLog } from "../ops/log.ts";
import { untilSignal } from "../ops/signals.ts";
import { configPath, loadWithWarnings, type Command } from "./cli.ts";
import { startBroker } from "./start-broker.ts";

export const command: Command = {
  summary: "Run the broker: the MCP handshake, lists and calls, for those with a wristband",
  usage: "--config FILE\n\nSIGTERM ends it with 0.",
  options: { config: { type: "string", short: "c" } },
  positionals: { min: 0, max: 0 },
  async run(args) {
    const config = loadWithWarnings(configPath(args));
    const log = createLog((line) => process.stderr.write(line), "info", Date.now);
    const broker = await startBroker(config, log);
    return untilSignal({ terminate: () => broker.stop(), reload: () => Promise.resolve(), log });
  },
};
