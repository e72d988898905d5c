import { envoyConfigYaml } from "../envoy-config/envoy-config.ts";
import { CONFIG_USAGE, configPath, EXIT, loadWithWarnings, type Command } from "./command.ts";

export const command: Command = {
  summary: "Print the Envoy configuration for a configuration file",
  usage: ["--config FILE > envoy.yaml", "", CONFIG_USAGE, "", "Run it with: envoy -c envoy.yaml"].join("\n"),
  options: { config: { type: "string", short: "c" } },
  positionals: { min: 0, max: 0 },
  async run(args) {
    process.stdout.write(envoyConfigYaml(loadWithWarnings(configPath(args))));
    return EXIT.ok;
  },
};
