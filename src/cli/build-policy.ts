// `mcp-authz build-policy`: writes a compiled bundle. I/O: reads a folder, runs opa, writes a file.
import { buildBundle } from "../policy/build.ts";
import { EXIT, textOption, UsageError, type Command } from "./command.ts";
import { findOpa } from "../policy/opa.ts";

export const command: Command = {
  summary: "Compile a policy folder into a bundle that serve can load without opa",
  usage: [
    "DIR -o FILE.tar.gz [--rego v0]",
    "",
    "  DIR                 a folder of .rego files and data.yaml; tests (*_test.rego) stay out",
    "  --out FILE, -o      the bundle to write",
    "  --rego v0|v1        the dialect of the files, default v1",
    "",
    "The bundle holds the compiled policy with the product's library, the rules and data.yaml. Name it as policy.path.",
    "Needs opa: npm run tools opa, or the variable OPA.",
  ].join("\n"),
  options: { out: { type: "string", short: "o" }, rego: { type: "string" } },
  positionals: { min: 1, max: 1 },
  async run(args) {
    const out = textOption(args, "out");
    if (out === undefined) throw new UsageError("name the bundle: -o FILE.tar.gz");
    const rego = textOption(args, "rego") ?? "v1";
    if (rego !== "v0" && rego !== "v1") throw new UsageError("--rego is v0 or v1");
    const { revision, bytes } = await buildBundle({
      dir: args.positionals[0] ?? "",
      out,
      rego,
      findOpa,
    });
    console.log(`${out}: revision ${revision}, ${bytes} bytes`);
    return EXIT.ok;
  },
};
