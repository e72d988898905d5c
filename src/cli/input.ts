// `mcp-authz input`: what policy would be asked. I/O: reads a token, fetches the issuers' keys.
import { identifyKeyOf } from "../app/callers.ts";
import { issuersOf } from "../app/issuers.ts";
import { createIdentity } from "../identity/identity.ts";
import { CALL_OPTIONS, CALL_USAGE, callSpec } from "./call-options.ts";
import { captureInput, requestOf } from "../explain/call.ts";
import { checkSettings } from "../config/settings.ts";
import { configPath, EXIT, loadWithWarnings, type Command } from "./command.ts";

const TIMEOUT_MS = 5000;

export const command: Command = {
  summary: "Print the policy input of a call, to write policy tests with",
  usage: [
    "--config FILE --token-file FILE --server NAME --tool NAME [--args JSON]",
    "",
    ...CALL_USAGE,
    "",
    "The token is verified as serve would do it. Exit code 0, 1 when the call would be refused before policy is",
    "asked, 2 when the command line, a value in it or the configuration is at fault.",
  ].join("\n"),
  options: CALL_OPTIONS,
  positionals: { min: 0, max: 0 },
  async run(args) {
    const config = loadWithWarnings(configPath(args));
    const request = requestOf(callSpec(args, config), config);
    const identity = createIdentity({ issuers: issuersOf(config), now: Date.now });
    await identity.start();
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const identifyKey = identifyKeyOf(config, { now: Date.now });
    const pipeline = { settings: checkSettings(config), identify: identity.identify, identifyKey, at: Date.now() };
    const { input, outcome } = await captureInput(pipeline, request, signal);
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
