// `mcp-authz check-config`: every problem of a configuration before anything starts. I/O: reads files, no network.
import { loadConfig } from "../config/load.ts";
import { EXIT, printWarnings, textOption, UsageError, type Command } from "./command.ts";
import { checkFiles } from "../app/check-files.ts";

export const command: Command = {
  summary: "Check a configuration file and every file that it names: every problem and warning, or ok",
  usage: [
    "FILE [--for serve|broker|envoy]",
    "",
    "  --for PROCESS       only the files that this process reads, for a machine that has no others; default all",
    "",
    "The policy is compiled as serve would do it. Nothing is written, and no other machine is asked.",
    "Exit code 0 when all is good (warnings included), 2 when it is not.",
  ].join("\n"),
  options: { for: { type: "string" } },
  positionals: { min: 1, max: 1 },
  async run(args) {
    const [file = ""] = args.positionals;
    const named = textOption(args, "for") ?? null;
    const reader = (["serve", "broker", "envoy"] as const).find((one) => one === named) ?? null;
    if (named !== null && reader === null) throw new UsageError("--for is one of serve, broker, envoy");
    const { config, warnings } = loadConfig(file, process.env);
    printWarnings({ config, warnings });
    printWarnings({ config, warnings: await checkFiles(file, config, reader) });
    console.log("ok");
    return EXIT.ok;
  },
};
