import { findTool } from "../../scripts/lib/find-tool.ts";
import { createLog } from "../ops/log.ts";
import { untilSignal } from "../ops/signals.ts";
import { configPath, loadWithWarnings, type Command } from "./cli.ts";
import { startServe } from "./start-serve.ts";

export const command: Command = {
  summary: "Run the ext_authz service that Envoy asks",
  usage: [
    "--config FILE",
    "",
    "SIGTERM drains and ends with 0. SIGHUP re-reads the wristband keys and reopens the audit file.",
    "The audit log goes to audit.file, or to standard output; everything else to standard error.",
  ].join("\n"),
  options: { config: { type: "string", short: "c" } },
  positionals: { min: 0, max: 0 },
  async run(args) {
    const config = loadWithWarnings(configPath(args));
    const log = createLog((line) => process.stderr.write(line), "info", Date.now);
    const serve = await startServe({
      config,
      log,
      opaPath: findTool("opa"),
      guard: { enter: () => {}, leave: () => {} },
      quarantined: null,
      onRevision: () => {},
    });
    return untilSignal({ terminate: () => serve.stop(), reload: () => serve.reload(), log });
  },
};
