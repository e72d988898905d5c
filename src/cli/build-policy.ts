// `mcp-authz build-policy`: writes a compiled bundle. I/O: reads a folder, runs opa, writes a file.
import { buildBundle, type BuildOptions } from "../policy/build.ts";
import { EXIT, textOption, UsageError, type Command } from "./command.ts";
import { findOpa } from "../policy/opa.ts";

export const command: Command = {
  summary: "Compile a policy folder into a bundle that serve can load without opa",
  usage: [
    "DIR -o FILE.tar.gz [--rego v0] [--envoy RULE [--only-envoy]]",
    "",
    "  DIR                 a folder of .rego files and data.yaml; tests (*_test.rego) stay out",
    "  --out FILE, -o      the bundle to write",
    "  --rego v0|v1        the dialect of the files, default v1",
    "  --envoy RULE        the rule that policy.envoy names, as envoy.authz.allow",
    "  --only-envoy        for policy.mode: envoy, which needs no package mcp.authz",
    "",
    "The bundle holds the compiled policy with the product's library, the rules and data.yaml. Name it as policy.path.",
    "Needs opa: npm run tools opa, or the variable OPA.",
  ].join("\n"),
  options: {
    out: { type: "string", short: "o" },
    rego: { type: "string" },
    envoy: { type: "string" },
    "only-envoy": { type: "boolean" },
  },
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
      envoy: envoyOf(textOption(args, "envoy")),
      mode: args.values["only-envoy"] === true ? "envoy" : "mcp",
    });
    console.log(`${out}: revision ${revision}, ${bytes} bytes`);
    return EXIT.ok;
  },
};

/** `--envoy` as the compiler takes it: the last part is the rule. */
function envoyOf(name: string | undefined): NonNullable<BuildOptions["envoy"]> | null {
  if (name === undefined) return null;
  const cut = name.lastIndexOf(".");
  if (cut < 1 || !/^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$/.test(name))
    throw new UsageError("--envoy is a rule with its package, as envoy.authz.allow");
  return { package: name.slice(0, cut), rule: name.slice(cut + 1), truncatedBody: "refuse" };
}
