import { readFileSync } from "node:fs";
import { createCheck } from "../authz/check.ts";
import { refuse } from "../authz/outcome.ts";
import type { PolicyInput } from "../authz/policy-input.ts";
import type { AuthzRequest, Ports } from "../authz/ports.ts";
import { newTrail } from "../authz/trail.ts";
import { createIdentity } from "../identity/identity.ts";
import { checkSettings } from "./check-settings.ts";
import { configPath, EXIT, loadWithWarnings, textOption, UsageError, type Arguments, type Command } from "./cli.ts";

export const command: Command = {
  summary: "Print the policy input of a call, to write policy tests with",
  usage: [
    "--config FILE --token-file FILE --server NAME --tool NAME [--args JSON]",
    "",
    "  --token-file FILE   the caller's access token; - reads standard input",
    "  --server NAME       a server of the configuration",
    "  --tool NAME         the tool, without the prefix it has on /mcp",
    "  --prompt NAME, --resource URI   in place of --tool",
    "  --args JSON         the arguments of the call, default {}",
    "",
    "The token is verified as serve would do it. Exit code 0, or 1 when the call would be refused before policy is asked.",
  ].join("\n"),
  options: {
    config: { type: "string", short: "c" },
    "token-file": { type: "string" },
    server: { type: "string" },
    tool: { type: "string" },
    prompt: { type: "string" },
    resource: { type: "string" },
    args: { type: "string" },
  },
  positionals: { min: 0, max: 0 },
  async run(args) {
    const config = loadWithWarnings(configPath(args));
    const server = textOption(args, "server") ?? "";
    if (!Object.hasOwn(config.servers, server)) {
      throw new UsageError(`--server must be one of: ${Object.keys(config.servers).join(", ")}`);
    }
    const identity = createIdentity({ issuers: config.identity.issuers, now: Date.now });
    await identity.start();
    let input: PolicyInput | null = null;
    const ports: Ports = {
      identify: identity.identify,
      decide: (seen) => {
        input = seen;
        return refuse("internal", "input only");
      },
      visible: () => refuse("internal"),
      fetchCredential: () => refuse("internal"),
      signWristband: () => refuse("internal"),
    };
    const request = callRequest(args, server, new URL(config.publicOrigin).hostname);
    const trail = newTrail("input", Date.now());
    const outcome = await createCheck(checkSettings(config), ports)(request, trail, AbortSignal.timeout(5000));
    identity.close();
    if (input !== null) {
      console.log(JSON.stringify(input, null, 2));
      return EXIT.ok;
    }
    const reason = outcome.ok
      ? "internal"
      : `${outcome.reason}${outcome.detail === undefined ? "" : `: ${outcome.detail}`}`;
    console.error(`refused before policy: ${reason}`);
    return EXIT.failed;
  },
};

/** The HTTP request of a call, as a client of the 2025-11-25 revision sends it. */
function callRequest(args: Arguments, server: string, host: string): AuthzRequest {
  const message = { jsonrpc: "2.0", id: 1, ...operation(args) };
  const headers = new Map([
    ["authorization", `Bearer ${readToken(args)}`],
    ["content-type", "application/json"],
    ["mcp-protocol-version", "2025-11-25"],
  ]);
  return {
    method: "POST",
    path: `/servers/${server}/mcp`,
    query: null,
    host,
    headers: { get: (name) => headers.get(name), repeated: () => false, names: () => headers.keys() },
    body: { kind: "bytes", bytes: Buffer.from(JSON.stringify(message)) },
    peer: "127.0.0.1",
  };
}

function operation(args: Arguments): object {
  const tool = textOption(args, "tool");
  const prompt = textOption(args, "prompt");
  const uri = textOption(args, "resource");
  if ([tool, prompt, uri].filter((value) => value !== undefined).length !== 1) {
    throw new UsageError("name exactly one of --tool, --prompt, --resource");
  }
  if (uri !== undefined) return { method: "resources/read", params: { uri } };
  const method = tool === undefined ? "prompts/get" : "tools/call";
  return { method, params: { name: tool ?? prompt, arguments: parseArguments(textOption(args, "args") ?? "{}") } };
}

function parseArguments(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError("--args is not JSON");
  }
}

function readToken(args: Arguments): string {
  const file = textOption(args, "token-file");
  if (file === undefined) throw new UsageError("name the token: --token-file FILE, or - for standard input");
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8").trim();
  } catch {
    throw new UsageError(`--token-file: ${file} cannot be read`);
  }
}
