// `mcp-authz why`: what would become, or became, of a call. I/O: reads files, asks issuers and on request Vault; writes nothing.
import { simulate, type SimulateOptions } from "../explain/simulate.ts";
import { argumentsOption, CALL_OPTIONS, CALL_USAGE, callSpec, readToken } from "./call-options.ts";
import {
  configPath,
  EXIT,
  InputError,
  loadWithWarnings,
  textOption,
  UsageError,
  type Arguments,
  type Command,
} from "./command.ts";
import type { Config } from "../config/load.ts";
import { pastReport } from "../explain/history.ts";
import { isUndecided, reportOf } from "../explain/report.ts";
import { reportText, type Report } from "../explain/render.ts";
import { findOpa } from "../policy/opa.ts";
import { readRevision, type KeptPolicy } from "../policy/revisions.ts";

/** As {@link EXIT}, in the words of this command. */
const CODES = { allow: EXIT.ok, refuse: EXIT.failed, unknown: EXIT.usage } as const;

export const command: Command = {
  summary: "Say whether a call would be allowed, or why a past one was refused, step by step",
  usage: [
    "--config FILE --token-file FILE --server NAME --tool NAME [--args JSON] [--credentials]",
    "                     [--revision HASH] [--json]",
    "       mcp-authz why --config FILE --request-id ID [--audit FILE] [--token-file FILE [--args JSON]]",
    "                     [--revision HASH] [--json]",
    "",
    ...CALL_USAGE,
    "  --header NAME,…     also say whether these headers of a client reach the server, as x-mcp-readonly",
    "  --credentials       also ask Vault; nothing is ever exchanged",
    "  --request-id ID     a decision of the audit log, by our id or by the mesh's x-request-id",
    "  --revision HASH     judge by this policy of policy.revisions (8 digits or more), not by the files; of a past decision",
    "                      the one that decided is taken by itself, where it is kept",
    "  --audit FILE        where to look; default audit.file of the configuration; - reads standard input",
    "  --json              for programs",
    "",
    "The same pipeline as serve's, without its traces: no audit line, no metric, nothing sent upstream. The policy is the one of the",
    "files; where a serve that runs here decides by another one, that is said.",
    "Exit code 0: allow. 1: refuse. 2: nobody can tell, because keys, policy, configuration or the audit line are not to be had,",
    "or a value of the command line is wrong.",
    "An allow reaches to the credential: the second line says if it was not fetched, for then serve may refuse after all.",
  ].join("\n"),
  options: {
    ...CALL_OPTIONS,
    credentials: { type: "boolean" },
    header: { type: "string" },
    json: { type: "boolean" },
    "request-id": { type: "string" },
    audit: { type: "string" },
    revision: { type: "string" },
  },
  positionals: { min: 0, max: 0 },
  async run(args) {
    const config = loadWithWarnings(configPath(args));
    const said = await answer(config, args);
    if (typeof said === "string") {
      console.error(`mcp-authz why: ${said}`);
      return CODES.unknown;
    }
    const { report, code } = said;
    process.stdout.write(args.values["json"] === true ? `${JSON.stringify(report, null, 2)}\n` : reportText(report));
    return code;
  },
};

/** Nothing that goes wrong on the way may look like a decision: exit code 1 is one. */
async function answer(config: Config, args: Arguments): Promise<WhyOutput | string> {
  const id = textOption(args, "request-id");
  try {
    return await (id === undefined ? whyCall(config, args) : whyPast(config, args, id));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    return error instanceof Error ? error.message : "failed";
  }
}

interface WhyOutput {
  readonly report: Report;
  readonly code: number;
}

async function simulateOptions(config: Config, args: Arguments): Promise<SimulateOptions> {
  return { findOpa, askVault: args.values["credentials"] === true, kept: await keptOption(config, args) };
}

async function keptOption({ policy }: Config, args: Arguments): Promise<KeptPolicy | null> {
  const revision = textOption(args, "revision");
  if (revision === undefined) return null;
  if (policy.revisions === null) throw new InputError("--revision: the configuration names no folder policy.revisions");
  try {
    return await readRevision(policy.revisions, revision);
  } catch (error) {
    throw new InputError(`--revision: ${error instanceof Error ? error.message : "failed"}`);
  }
}

/** @throws {UsageError} for what is no name of a header */
function headerNames(said: string | undefined): string[] {
  const names =
    said === undefined
      ? []
      : said
          .toLowerCase()
          .split(",")
          .map((name) => name.trim());
  if (!names.every((name) => /^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/.test(name)))
    throw new UsageError("--header: names of headers, with commas between them");
  return names;
}

async function whyCall(config: Config, args: Arguments): Promise<WhyOutput> {
  const spec = callSpec(args, config);
  const simulation = await simulate(config, spec, await simulateOptions(config, args));
  const headers = headerNames(textOption(args, "header"));
  const report = reportOf({ config, spec, now: Date.now(), headers }, simulation);
  if (simulation.outcome.ok) return { report, code: CODES.allow };
  return { report, code: isUndecided(simulation.outcome.reason) ? CODES.unknown : CODES.refuse };
}

async function whyPast(config: Config, args: Arguments, id: string): Promise<WhyOutput | string> {
  if (["server", "endpoint", "tool", "prompt", "resource"].some((name) => textOption(args, name) !== undefined))
    throw new UsageError(
      "--request-id names the call by itself: leave --server, --endpoint, --tool, --prompt and --resource out",
    );
  const withToken = textOption(args, "token-file") !== undefined;
  if (!withToken && textOption(args, "args") !== undefined)
    throw new UsageError("--args with --request-id needs --token-file: a call is repeated with both");
  const again = withToken ? { token: readToken(args), args: argumentsOption(args) } : null;
  const auditFile = textOption(args, "audit") ?? null;
  if (auditFile === "-" && textOption(args, "token-file") === "-")
    throw new UsageError("only one of --audit and --token-file can be standard input");
  const options = await simulateOptions(config, args);
  const report = await pastReport(config, { ...options, id, auditFile, again }, Date.now());
  if (typeof report === "string") return report;
  return { report, code: report.verdict === "refuse" ? CODES.refuse : CODES.allow };
}
