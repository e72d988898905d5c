import { readFileSync } from "node:fs";
import { createCheck, type CheckSettings } from "../authz/check.ts";
import { refuse } from "../authz/step.ts";
import type { Outcome } from "../authz/outcome.ts";
import type { PolicyInput, AuthzRequest } from "../authz/types.ts";
import type { Ports } from "../authz/ports.ts";
import { newCheckFacts, type CheckFacts } from "../authz/facts.ts";
import type { Config } from "../config/load.ts";
import type { Kind } from "../mcp/operation.ts";
import { parseJson } from "../json/parse.ts";
import { CONFIG_USAGE, textOption, UsageError, type Arguments } from "../cli/command.ts";

/** One call as a person names it on the command line. `input` and `why` take the same options. */
export interface CallSpec {
  readonly server: string;
  readonly kind: Kind;
  /** The tool or prompt, without its prefix, or the resource's URI. */
  readonly name: string;
  readonly args: unknown;
  readonly token: string;
}

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

/** The HTTP request of a call, as a client of the 2025-11-25 revision sends it. */
export function requestOf(spec: CallSpec, config: Config): AuthzRequest {
  const message = { jsonrpc: "2.0", id: 1, ...operationOf(spec) };
  const headers = new Map([
    ["authorization", `Bearer ${spec.token}`],
    ["content-type", "application/json"],
    ["mcp-protocol-version", "2025-11-25"],
  ]);
  return {
    method: "POST",
    path: `/servers/${spec.server}/mcp`,
    query: null,
    host: new URL(config.publicOrigin).hostname,
    headers: { get: (name) => headers.get(name), repeated: () => false, names: () => headers.keys() },
    body: { kind: "bytes", bytes: Buffer.from(JSON.stringify(message)) },
    peer: "127.0.0.1",
  };
}

function operationOf({ kind, name, args }: CallSpec): object {
  if (kind === "resource") return { method: "resources/read", params: { uri: name } };
  return { method: kind === "tool" ? "tools/call" : "prompts/get", params: { name, arguments: args } };
}

/** What of serve's pipeline runs before policy. */
export interface CapturedPipeline {
  readonly settings: CheckSettings;
  readonly identify: Ports["identify"];
}

export interface Captured {
  /** Null when the call is refused before policy is asked. */
  readonly input: PolicyInput | null;
  readonly outcome: Outcome;
  readonly facts: CheckFacts;
}

/** Runs the pipeline up to policy, and tells what policy would be asked. */
export async function captureInput(
  { settings, identify }: CapturedPipeline,
  request: AuthzRequest,
  signal: AbortSignal,
): Promise<Captured> {
  let input: PolicyInput | null = null;
  const ports: Ports = {
    note: () => {},
    identify,
    decide: (seen) => {
      input = seen;
      return refuse("internal", "input only");
    },
    visible: () => refuse("internal"),
    fetchCredential: () => refuse("internal"),
    signWristband: () => refuse("internal"),
  };
  const facts = newCheckFacts("input", Date.now());
  const outcome = await createCheck(settings, ports)(request, facts, signal);
  return { input, outcome, facts };
}
