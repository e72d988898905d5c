// `mcp-authz policy-capabilities`: prints the built-ins that policies have. I/O: reads that file.
import { readFileSync } from "node:fs";
import { CAPABILITIES_FILE } from "../policy/sources.ts";
import { EXIT, type Command } from "./command.ts";

export const command: Command = {
  summary: "Print the built-ins that policies have, for opa --capabilities",
  usage:
    "\n\nA built-in that is not in the list is not there when serve compiles: give the list to every opa that tests or checks.",
  options: {},
  positionals: { min: 0, max: 0 },
  async run() {
    console.log(readFileSync(CAPABILITIES_FILE, "utf8").trimEnd());
    return EXIT.ok;
  },
};
