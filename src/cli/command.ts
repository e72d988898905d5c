// What all commands share: options in, exit code out. I/O: prints, and reads the configuration.
import { parseArgs, type ParseArgsOptionsConfig } from "node:util";
import { VERSION } from "../files/version.ts";
import { LOG_LEVELS, type LogLevel } from "../ops/log.ts";
import { ConfigError, loadConfig, type Config, type LoadedConfig } from "../config/load.ts";

/** Exit codes: 0 done, 1 failed, 2 the command line, a value in it or the configuration is at fault. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

export interface Command {
  readonly summary: string;
  /** Text that `--help` prints after the summary. */
  readonly usage: string;
  readonly options: ParseArgsOptionsConfig;
  readonly positionals: { readonly min: number; readonly max: number };
  run(args: Arguments): Promise<number>;
}

export interface Arguments {
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  readonly positionals: readonly string[];
}

/** The form of the command line is wrong: the message says what to do, and the usage follows. */
export class UsageError extends Error {}

/** A value is wrong, in a command line of the right form: the message says what to do, and no usage buries it. */
export class InputError extends Error {}

/** Options that every command takes. */
const COMMON = { help: { type: "boolean", short: "h" }, version: { type: "boolean", short: "V" } } as const;

type Commands = Readonly<Record<string, () => Promise<{ command: Command }>>>;

/** Runs one command line and returns its exit code. */
export async function runMain(commands: Commands, argv: readonly string[]): Promise<number> {
  const [name = "", ...rest] = argv[0] === "help" && argv[1] !== undefined ? [argv[1], "--help"] : argv;
  if (name === "--version" || name === "-V" || name === "version") {
    console.log(VERSION);
    return EXIT.ok;
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load === undefined) return unknownCommand(commands, name);
  const { command } = await load();
  try {
    return await runCommand(name, command, rest);
  } catch (error) {
    return report(name, command, error);
  }
}

async function unknownCommand(commands: Commands, name: string): Promise<number> {
  const asked = ["", "--help", "-h", "help"].includes(name);
  const text = await overview(commands);
  if (asked) console.log(text);
  else console.error(`mcp-authz: unknown command "${name}"\n\n${text}`);
  return asked && name !== "" ? EXIT.ok : EXIT.usage;
}

async function runCommand(name: string, command: Command, argv: string[]): Promise<number> {
  let parsed: ReturnType<typeof parseArgs>;
  try {
    const options = { ...command.options, ...COMMON } as const;
    parsed = parseArgs({ args: argv, options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : "wrong arguments");
  }
  if (parsed.values["help"] === true) {
    console.log(help(name, command));
    return EXIT.ok;
  }
  if (parsed.values["version"] === true) {
    console.log(VERSION);
    return EXIT.ok;
  }
  const count = parsed.positionals.length;
  if (count < command.positionals.min)
    throw new UsageError(`an argument is missing: ${command.usage.split(/\s/, 1)[0] ?? ""}`);
  if (count > command.positionals.max)
    throw new UsageError(
      `unexpected argument "${parsed.positionals.at(-1) ?? ""}": leave it out, or quote a value that holds spaces`,
    );
  return command.run({ values: parsed.values as Arguments["values"], positionals: parsed.positionals });
}

function report(name: string, command: Command, error: unknown): number {
  if (error instanceof UsageError) {
    console.error(`mcp-authz ${name}: ${error.message}\n\n${help(name, command)}`);
    return EXIT.usage;
  }
  if (error instanceof ConfigError) {
    console.error(error.message);
    return EXIT.usage;
  }
  console.error(`mcp-authz ${name}: ${error instanceof Error ? error.message : "failed"}`);
  return error instanceof InputError ? EXIT.usage : EXIT.failed;
}

function help(name: string, command: Command): string {
  return `${command.summary}\n\nUsage: mcp-authz ${name} ${command.usage}`;
}

async function overview(commands: Commands): Promise<string> {
  const lines = await Promise.all(
    Object.entries(commands).map(async ([name, load]) => `  ${name.padEnd(21)}${(await load()).command.summary}`),
  );
  const more = "mcp-authz COMMAND --help tells more; mcp-authz --version says which version this is.";
  return ["Usage: mcp-authz COMMAND [options]", "", ...lines, "", more].join("\n");
}

/** A text option's value. */
export function textOption(args: Arguments, name: string): string | undefined {
  const value = args.values[name];
  return typeof value === "string" ? value : undefined;
}

/** The file that `--config` or `MCP_AUTHZ_CONFIG` names. */
export function configPath(args: Arguments): string {
  const path = textOption(args, "config") ?? process.env["MCP_AUTHZ_CONFIG"];
  if (path === undefined)
    throw new UsageError("name the configuration: --config FILE, or the variable MCP_AUTHZ_CONFIG");
  return path;
}

export const CONFIG_USAGE = "  --config FILE, -c   the configuration; or the variable MCP_AUTHZ_CONFIG";
export const LOG_LEVEL_USAGE =
  "  --log-level LEVEL   debug, info (default), warn or error: what goes to standard error";

/** The level of `--log-level`; `info` without it. */
export function logLevel(args: Arguments): LogLevel {
  const text = textOption(args, "log-level") ?? "info";
  const level = LOG_LEVELS.find((known) => known === text);
  if (level === undefined) throw new UsageError(`--log-level is one of ${LOG_LEVELS.join(", ")}`);
  return level;
}

/** Loads the configuration and prints its warnings to standard error. */
export function loadWithWarnings(path: string): Config {
  const loaded = loadConfig(path, process.env);
  printWarnings(loaded);
  return loaded.config;
}

export function printWarnings({ warnings }: LoadedConfig): void {
  for (const { key, message } of warnings) console.error(`warning: ${key}: ${message}`);
}
