// The options that name one call, shared by the commands `input` and `why`.
import { readFileSync } from "node:fs";
import type { Config } from "../config/load.ts";
import type { CallSpec } from "../explain/call.ts";
import { parseJson } from "../json/parse.ts";
import { CONFIG_USAGE, textOption, UsageError, type Arguments } from "./command.ts";

export const CALL_OPTIONS = {
  config: { type: "string", short: "c" },
  "token-file": { type: "string" },
  server: { type: "string" },
  tool: { type: "string" },
  prompt: { type: "string" },
  resource: { type: "string" },
  args: { type: "string" },
} as const;

export const CALL_USAGE = [
  CONFIG_USAGE,
  "  --token-file FILE   the caller's access token; - reads standard input",
  "  --server NAME       a server of the configuration",
  "  --tool NAME         the tool, without the prefix it has on /mcp",
  "  --prompt NAME, --resource URI   in place of --tool",
  "  --args JSON         the arguments of the call, default {}",
];

/** @throws {UsageError} that says which option is wrong */
export function callSpec(args: Arguments, config: Config): CallSpec {
  const server = textOption(args, "server") ?? "";
  if (!Object.hasOwn(config.servers, server)) {
    throw new UsageError(`--server must be one of: ${Object.keys(config.servers).join(", ")}`);
  }
  const named = (["tool", "prompt", "resource"] as const).flatMap((kind) => {
    const name = textOption(args, kind);
    return name === undefined ? [] : [{ kind, name }];
  });
  const [only] = named;
  if (only === undefined || named.length > 1) throw new UsageError("name exactly one of --tool, --prompt, --resource");
  return { server, ...only, args: argumentsOption(args), token: readToken(args) };
}

export function argumentsOption(args: Arguments): unknown {
  try {
    return parseJson(textOption(args, "args") ?? "{}");
  } catch {
    throw new UsageError("--args is not JSON");
  }
}

export function readToken(args: Arguments): string {
  const file = textOption(args, "token-file");
  if (file === undefined) throw new UsageError("name the token: --token-file FILE, or - for standard input");
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8").trim();
  } catch {
    throw new UsageError(`--token-file: ${file} cannot be read`);
  }
}
