// `mcp-authz policy-schema`: prints the JSON Schema of the policy input. No I/O but the print.
import { zoneFault } from "../authz/local-time.ts";
import { inputSchema } from "../policy/input-schema.ts";
import { EXIT, textOption, UsageError, type Command } from "./command.ts";

export const command: Command = {
  summary: "Print the JSON Schema of the policy input, for opa check --schema and editors",
  usage: [
    "[--compat authorino] [--zones NAME,…]",
    "",
    "  --compat authorino  with input.auth.identity, as policy.compat adds it",
    "  --zones NAME,…      with input.request.local[NAME], as policy.zones adds it",
    "",
    "With it opa finds references to an input that never is: opa check --schema FILE. serve and check-config do so at each compile.",
  ].join("\n"),
  options: { compat: { type: "string" }, zones: { type: "string" } },
  positionals: { min: 0, max: 0 },
  async run(args) {
    const compat = textOption(args, "compat") ?? null;
    if (compat !== null && compat !== "authorino") throw new UsageError("--compat is authorino");
    const zones = textOption(args, "zones")?.split(",") ?? [];
    for (const zone of zones) {
      const fault = zoneFault(zone);
      if (fault !== null) throw new UsageError(`--zones: ${zone}: ${fault}`);
    }
    console.log(JSON.stringify(inputSchema({ compat, zones }), null, 2));
    return EXIT.ok;
  },
};
