// What `opa check` says of the rules, as lines for their author: one a fault, with the author's file and line. I/O: runs opa.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { parseJson } from "../json/parse.ts";
import { alternativeTo } from "./built-ins.ts";
import type { SourceFile } from "./data.ts";
import { lacksPackage, ruleHeads } from "./rule-heads.ts";
import { CAPABILITIES_FILE, LIBRARY_FOLDER } from "./sources.ts";

const run = promisify(execFile);
const TIMEOUT_MS = 60_000;
const MAX_LINES = 50;
const MAX_LINE = 300;

const errorsSchema = z.object({
  errors: z.array(
    z.object({
      message: z.string(),
      code: z.string(),
      location: z.object({ file: z.string(), row: z.number() }).optional(),
    }),
  ),
});
type OpaFault = z.output<typeof errorsSchema>["errors"][number];

/** Rules that lie in a folder as {@link layOut} puts them. */
export interface LaidOut {
  readonly opaPath: string;
  readonly folder: string;
  readonly files: readonly SourceFile[];
  readonly rego: "v0" | "v1";
}

/**
 * Everything that opa finds, all files and all faults.
 * @param schema of `input`, a file: then also references that it does not have
 * @returns lines as `policy.rego:3: rego_type_error: undefined function f`; none for good rules; null where opa says something else
 */
export async function checkRules(rules: LaidOut, schema: string | null = null): Promise<readonly string[] | null> {
  const args = [
    ...["check", "--format", "json", "--max-errors", "-1", "--capabilities", CAPABILITIES_FILE],
    ...["--ignore", "*_test.rego"],
    ...(rules.rego === "v0" ? ["--v0-compatible"] : []),
    ...(schema === null ? [] : ["--schema", schema]),
    ...["mcp_authz", "policy"],
  ];
  try {
    await run(rules.opaPath, args, { cwd: rules.folder, timeout: TIMEOUT_MS, maxBuffer: 32 * 1024 * 1024, env: {} });
    return [];
  } catch (error) {
    const said = faultsOf(error);
    return said === null ? null : linesOf(said, rules);
  }
}

function faultsOf(error: unknown): OpaFault[] | null {
  if (!(error instanceof Error)) return null;
  for (const stream of ["stderr", "stdout"] as const) {
    const output = stream in error ? String((error as Error & Record<typeof stream, unknown>)[stream]) : "";
    const start = output.indexOf("{");
    if (start === -1) continue;
    try {
      return errorsSchema.parse(parseJson(output.slice(start))).errors;
    } catch {
      continue;
    }
  }
  return null;
}

function linesOf(faults: readonly OpaFault[], rules: LaidOut): string[] {
  // A text without an end is several faults of one line to the parser.
  const known = new Set<string>();
  const isFirst = ({ code, location }: OpaFault) => {
    const place = `${location?.file ?? ""}:${location?.row ?? 0}`;
    if (code !== "rego_parse_error") return true;
    const isNew = !known.has(place);
    known.add(place);
    return isNew;
  };
  const lines = new Set(faults.filter(isFirst).map((fault) => lineOf(fault, rules)));
  const shown = [...lines].slice(0, MAX_LINES);
  return lines.size > MAX_LINES ? [...shown, `and ${lines.size - MAX_LINES} more faults`] : shown;
}

function lineOf(fault: OpaFault, rules: LaidOut): string {
  const { message, code, location } = fault;
  const missing = /undefined function ([\w.]+)/.exec(message)?.[1];
  const instead = missing === undefined ? null : alternativeTo(missing);
  const words = `${code}: ${message.replaceAll(/\s+/g, " ")}${instead === null ? "" : `: ${instead}`}`;
  if (location === undefined || location.file === "") return words.slice(0, MAX_LINE);
  const { file, row } = location;
  if (file.startsWith("mcp_authz/")) return libraryLine(fault, file.slice("mcp_authz/".length), rules);
  const path = file.replace(/^policy\//, "");
  const text = rules.files.find((one) => one.path === path)?.text ?? "";
  return `${path}:${lacksPackage(text, rules.rego) ? Math.max(1, row - 1) : row}: ${words}`.slice(0, MAX_LINE);
}

/** What the library makes of the author's rules. */
const WANTED: Readonly<Record<string, string>> = {
  allow: "true or false",
  required_scopes: "a set of texts",
  step_up: "an object of acr_values and max_age",
  scope_covers: "an object of lists of texts",
  reason: "a text",
  labels: "a set of texts",
};

/** The library reads the author's rules: a fault there is one of the rule that it reads, which the author has to see. */
function libraryLine({ code, message, location }: OpaFault, file: string, { files, rego }: LaidOut): string {
  const lines = readFileSync(join(LIBRARY_FOLDER, file), "utf8")
    .split("\n")
    .slice(0, location?.row ?? 0);
  const name = lines
    .toReversed()
    .map((line) => /data\.mcp\.authz\.(\w+)/.exec(line)?.[1])
    .find((one) => one !== undefined);
  const wanted = name === undefined ? undefined : WANTED[name];
  if (name === undefined || wanted === undefined) return `mcp_authz/${file}: ${code}: ${message}`.slice(0, MAX_LINE);
  const words = `${code}: ${name} is of another type: it must be ${wanted}`;
  for (const one of files) {
    const head = ruleHeads(one, rego).find(({ path }) => path.join(".") === `mcp.authz.${name}`);
    if (head !== undefined) return `${one.path}:${head.line}: ${words}`;
  }
  return words;
}
