// `mcp-authz envoy-config`: prints what Envoy is started with. I/O: reads the configuration alone.
import { envoyConfigYaml } from "../envoy-config/envoy-config.ts";
import { CONFIG_USAGE, configPath, EXIT, loadWithWarnings, type Command } from "./command.ts";

export const command: Command = {
  summary: "Print the Envoy configuration for a configuration file",
  usage: [
    "--config FILE > envoy.yaml",
    "",
    CONFIG_USAGE,
    "",
    "Run it with: envoy -c envoy.yaml. Warnings go to standard error. Exit code 2 when the configuration is at fault.",
  ].join("\n"),
  options: { config: { type: "string", short: "c" } },
  positionals: { min: 0, max: 0 },
  async run(args) {
    process.stdout.write(envoyConfigYaml(loadWithWarnings(configPath(args))));
    return EXIT.ok;
  },
};
