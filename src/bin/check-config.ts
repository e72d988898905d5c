import { loadConfig } from "../config.ts";
import { EXIT, printWarnings, type Command } from "./cli.ts";

export const command: Command = {
  summary: "Check a configuration file: every problem and warning, or ok",
  usage: "FILE\n\nExit code 0 when the file is good (warnings included), 2 when it is not.",
  options: {},
  positionals: { min: 1, max: 1 },
  async run({ positionals: [file = ""] }) {
    printWarnings(loadConfig(file, process.env));
    console.log("ok");
    return EXIT.ok;
  },
};
