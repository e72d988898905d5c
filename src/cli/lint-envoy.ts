// `mcp-authz lint-envoy`: names what an Envoy that exists lets past mcp-authz. I/O: reads one file or standard input.
import { readFileSync } from "node:fs";
import { parse as parseYaml } from "yaml";
import { UnreadableDump } from "../envoy-config/lint/dump.ts";
import { lintEnvoy, type LintReport } from "../envoy-config/lint/lint.ts";
import { lintText } from "../envoy-config/lint/render.ts";
import { readJson } from "../json/strict-reader.ts";
import { EXIT, InputError, loadWithWarnings, textOption, UsageError, type Command } from "./command.ts";

/** Deeper than any configuration of Envoy, and far from the end of the stack. */
const LIMITS = { maxDepth: 200, maxMembers: Number.POSITIVE_INFINITY, anyNames: true };

export const command: Command = {
  summary: "Check the configuration of an Envoy that runs: what it lets past mcp-authz",
  usage: [
    "FILE [--config FILE] [--format text|json]",
    "",
    "  FILE                what Envoy's admin interface says at /config_dump?include_eds, or the file that Envoy starts",
    "                      with; - for standard input",
    "  --config FILE, -c   the configuration of mcp-authz, or the variable MCP_AUTHZ_CONFIG: it names the servers, headers",
    "                      and limits. Without it, MCP routes are recognised by what the Check guards and by their names",
    "  --format FORMAT     text (default), or json",
    "",
    "Each finding has its place, a sentence and a fix: docs/lint-envoy.md. No network is used. Exit code 0 when nothing is",
    "found, 1 with findings, 2 when the file or the configuration cannot be read.",
  ].join("\n"),
  options: { config: { type: "string", short: "c" }, format: { type: "string" } },
  positionals: { min: 1, max: 1 },
  async run(args) {
    const [file = ""] = args.positionals;
    const format = textOption(args, "format") ?? "text";
    if (format !== "text" && format !== "json") throw new UsageError("--format is text or json");
    const path = textOption(args, "config") ?? process.env["MCP_AUTHZ_CONFIG"];
    const config = path === undefined ? null : loadWithWarnings(path);
    const report = judged(file, config);
    console.log(format === "json" ? JSON.stringify(report, null, 2) : lintText(report));
    return report.findings.length === 0 ? EXIT.ok : EXIT.failed;
  },
};

function judged(file: string, config: Parameters<typeof lintEnvoy>[1]): LintReport {
  const root = readRoot(file);
  try {
    return lintEnvoy(root, config);
  } catch (error) {
    if (error instanceof UnreadableDump) throw new InputError(`${file}: ${error.message}`);
    throw error;
  }
}

function readRoot(file: string): unknown {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file === "-" ? 0 : file);
  } catch (error) {
    throw new InputError(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code ?? "failed"})`);
  }
  const read = readJson(bytes, LIMITS);
  if (read.ok) return read.value;
  // Only a configuration that Envoy starts with is YAML; a dump never is.
  if (/^\s*[{[]/.test(bytes.toString("utf8", 0, 64))) throw new InputError(`${file}: not JSON (${read.detail})`);
  try {
    return parseYaml(bytes.toString("utf8")) as unknown;
  } catch {
    throw new InputError(`${file}: neither JSON nor YAML: give what Envoy's admin interface says at /config_dump`);
  }
}
