// `mcp-authz test-policy`: an author's Rego tests, on the files that serve would load. I/O: reads a folder, runs opa.
import { testPolicy } from "../policy/test-policy.ts";
import { findOpa } from "../policy/opa.ts";
import { EXIT, textOption, UsageError, type Command } from "./command.ts";

export const command: Command = {
  summary: "Run the Rego tests of a policy folder, with the files and built-ins that serve takes",
  usage: [
    "DIR [--run REGEX] [--rego v0] [--verbose]",
    "",
    "  DIR                 a folder of .rego files, their tests (*_test.rego) and data.yaml",
    "  --run REGEX         only tests whose full name (data.mcp.authz_test.test_x) fits",
    "  --rego v0|v1        the dialect of the files, default v1",
    "  --verbose, -v       each test by name",
    "",
    "The product's library is there, its own tests are not. Data is read by our reader; what serve does not load is left out.",
    "Exit code 0 when every test passed, 1 when one failed or the rules do not compile, 2 when the command line is at fault.",
  ].join("\n"),
  options: { run: { type: "string" }, rego: { type: "string" }, verbose: { type: "boolean", short: "v" } },
  positionals: { min: 1, max: 1 },
  async run(args) {
    const rego = textOption(args, "rego") ?? "v1";
    if (rego !== "v0" && rego !== "v1") throw new UsageError("--rego is v0 or v1");
    const { passed, output } = await testPolicy({
      dir: args.positionals[0] ?? "",
      rego,
      findOpa,
      only: textOption(args, "run") ?? null,
      verbose: args.values["verbose"] === true,
    });
    process.stdout.write(output);
    return passed ? EXIT.ok : EXIT.failed;
  },
};
