// `mcp-authz import`: our configuration and rules of another product's policy. I/O: reads a file, runs opa, writes a folder.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { errorCode } from "../files/read-error.ts";
import { importAuthPolicy, type Imported, type ImportOptions } from "../import/authpolicy.ts";
import { checkImport } from "../import/check-import.ts";
import { SourceError } from "../import/source.ts";
import { findingLine, importedFiles } from "../import/written.ts";
import { findOpa, requireOpa } from "../policy/opa.ts";
import { EXIT, InputError, textOption, UsageError, type Arguments, type Command } from "./command.ts";

const KINDS = ["authpolicy"];

export const command: Command = {
  summary: "Make a configuration and a policy of an AuthPolicy (Kuadrant) or an AuthConfig (Authorino)",
  usage: [
    "--from authpolicy FILE [--out DIR] [--partial] [--origin URL] [--server NAME=URL]…",
    "",
    "  --from authpolicy   what FILE is",
    "  FILE                YAML with the policy; other documents in it are passed over",
    "  --out DIR, -o       a new or empty folder for mcp-authz.yaml and policy/; without it they are printed",
    "  --partial           write what can be mapped too where something cannot; that is marked, and refused",
    "  --policy NAME       which policy, where the file holds several: NAMESPACE/NAME or NAME",
    "  --origin URL        publicOrigin",
    "  --server NAME=URL   an MCP server, by the name that the rules know (x-mcp-servername); may come several times",
    "  --audience NAME     what `aud` must name; may come several times",
    "  --issuer URL        `iss` of the tokens of an entry that has a jwksUrl alone",
    "",
    "What cannot be mapped is named with file, line, key and what to do. Needs opa: npm run tools opa, or the variable OPA.",
    "Exit code 0 when all is mapped, 2 when something is not.",
  ].join("\n"),
  options: {
    from: { type: "string" },
    out: { type: "string", short: "o" },
    partial: { type: "boolean" },
    policy: { type: "string" },
    origin: { type: "string" },
    server: { type: "string", multiple: true },
    audience: { type: "string", multiple: true },
    issuer: { type: "string" },
  },
  positionals: { min: 1, max: 1 },
  async run(args) {
    const file = args.positionals[0] ?? "";
    const out = textOption(args, "out");
    const options = importOptions(args, file);
    if (out !== undefined && existsSync(out) && readdirSync(out).length > 0)
      throw new InputError(`${out} is not empty: name a new folder`);
    await requireOpa(findOpa, "importing a policy");
    const imported = await importedFrom(readSource(file), options);
    const isWritten = imported.report.faults.length === 0 || args.values["partial"] === true;
    if (isWritten) write(importedFiles(file, imported), out);
    return told(file, imported, isWritten);
  },
};

/** Says what came of it, and returns the exit code. */
function told(file: string, { report: { notes, faults }, config }: Imported, isWritten: boolean): number {
  for (const note of notes) console.error(`note: ${findingLine(file, note)}`);
  for (const fault of faults) console.error(`not mapped: ${findingLine(file, fault)}`);
  for (const place of isWritten ? config.open : []) console.error(`to fill in: ${place}`);
  const [first] = faults;
  if (first === undefined) return EXIT.ok;
  const rest = isWritten
    ? "the rest is written, and what they touch is refused"
    : "nothing is written (--partial writes the rest)";
  console.error(`${file}: ${faults.length} not mapped, the first in line ${first.line}; ${rest}`);
  return EXIT.usage;
}

async function importedFrom(text: string, options: ImportOptions) {
  try {
    const imported = importAuthPolicy(text, options);
    await checkImport(imported, findOpa);
    return imported;
  } catch (error) {
    throw error instanceof SourceError ? new InputError(error.message) : error;
  }
}

function importOptions(args: Arguments, file: string): ImportOptions {
  const from = textOption(args, "from");
  if (from === undefined || !KINDS.includes(from))
    throw new UsageError("name the kind of the source: --from authpolicy");
  return {
    file,
    policy: textOption(args, "policy") ?? null,
    origin: textOption(args, "origin") ?? null,
    servers: listOption(args, "server").map(namedServer),
    audiences: listOption(args, "audience"),
    issuer: textOption(args, "issuer") ?? null,
  };
}

function listOption(args: Arguments, name: string): readonly string[] {
  const value: unknown = args.values[name];
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

function namedServer(text: string) {
  const [, name, url] = /^([^=\s]+)=(\S+)$/.exec(text) ?? [];
  if (name === undefined || url === undefined) throw new InputError(`--server ${text}: write NAME=URL`);
  return { name, url };
}

function readSource(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new InputError(`${file} cannot be read (${errorCode(error)})`);
  }
}

function write(files: ReadonlyMap<string, string>, out: string | undefined): void {
  for (const [name, text] of files) {
    if (out === undefined) {
      console.log(`# --- ${name}\n${text}`);
      continue;
    }
    const path = join(out, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
}
