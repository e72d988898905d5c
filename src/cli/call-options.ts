// The options that name one call, shared by the commands `input` and `why`.
import { readFileSync } from "node:fs";
import type { Config } from "../config/load.ts";
import type { CallSpec } from "../explain/call.ts";
import { unreadable } from "../files/read-error.ts";
import { parseJson } from "../json/parse.ts";
import { CONFIG_USAGE, InputError, textOption, UsageError, type Arguments } from "./command.ts";

export const CALL_OPTIONS = {
  config: { type: "string", short: "c" },
  "token-file": { type: "string" },
  server: { type: "string" },
  endpoint: { type: "string" },
  tool: { type: "string" },
  prompt: { type: "string" },
  resource: { type: "string" },
  args: { type: "string" },
} as const;

export const CALL_USAGE = [
  CONFIG_USAGE,
  "  --token-file FILE   the caller's access token; - reads standard input",
  "  --server NAME       a server of the configuration",
  "  --endpoint NAME     where the call is made: mcp, or a virtual server; default the server's own endpoint",
  "  --tool NAME         the tool, without the prefix it has on /mcp",
  "  --prompt NAME, --resource URI   in place of --tool",
  "  --args JSON         the arguments of the call, default {}",
];

/** @throws {UsageError} that says which option is missing @throws {InputError} that says which value is wrong */
export function callSpec(args: Arguments, config: Config): CallSpec {
  const server = textOption(args, "server");
  const servers = Object.keys(config.servers).join(", ");
  if (server === undefined) throw new UsageError(`name the server: --server NAME, one of: ${servers}`);
  if (!Object.hasOwn(config.servers, server)) throw new InputError(`--server must be one of: ${servers}`);
  const named = (["tool", "prompt", "resource"] as const).flatMap((kind) => {
    const name = textOption(args, kind);
    return name === undefined ? [] : [{ kind, name }];
  });
  const [only] = named;
  if (only === undefined || named.length > 1) throw new UsageError("name exactly one of --tool, --prompt, --resource");
  return {
    server,
    endpoint: endpointOption(args, config),
    ...only,
    args: argumentsOption(args),
    token: readToken(args),
  };
}

function endpointOption(args: Arguments, { virtualServers }: Config): string | null {
  const endpoint = textOption(args, "endpoint");
  if (endpoint === undefined) return null;
  const known = ["mcp", ...Object.keys(virtualServers)];
  if (!known.includes(endpoint)) throw new InputError(`--endpoint must be one of: ${known.join(", ")}`);
  return endpoint;
}

export function argumentsOption(args: Arguments): unknown {
  try {
    return parseJson(textOption(args, "args") ?? "{}");
  } catch {
    throw new InputError(`--args is not JSON: give an object in quotes, such as '{"a": 1}'`);
  }
}

export function readToken(args: Arguments): string {
  const file = textOption(args, "token-file");
  if (file === undefined) throw new UsageError("name the token: --token-file FILE, or - for standard input");
  const token = readText(file);
  if (token !== "") return token;
  throw new InputError(`--token-file: ${file === "-" ? "standard input" : file} is empty: put an access token into it`);
}

function readText(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8").trim();
  } catch (error) {
    throw new InputError(`--token-file: ${file === "-" ? "standard input" : file} ${unreadable(error)}`);
  }
}
