// Explains a past decision from its audit line, and asks policy again: the kept one of that time, or the files. I/O: audit log, policy files.
import { loggableId } from "../authz/facts.ts";
import { createLocalTimes } from "../authz/local-time.ts";
import { REFUSALS, type Reason } from "../authz/refusal.ts";
import { remedyOf } from "./remedies.ts";
import type { PolicyInput } from "../authz/types.ts";
import type { Config } from "../config/load.ts";
import { errorCode } from "../files/read-error.ts";
import { isOrdinaryName } from "../mcp/method-table.ts";
import type { Kind } from "../mcp/operation.ts";
import { rotatedBeside, searchAuditFile, searchAuditStream, type AuditLine } from "../ops/audit/search.ts";
import { readRevision, type KeptPolicy } from "../policy/revisions.ts";
import { simulate, evaluatePolicy, underKept, type SimulateOptions, type PolicyResult } from "./simulate.ts";
import type { CallSpec } from "./call.ts";
import { policySteps, reportOf } from "./report.ts";
import { distance, firstLine, type Report, type ReportStep } from "./render.ts";

export interface PastOptions extends SimulateOptions {
  /** `request_id` or `mesh_request_id` of the audit line. */
  readonly id: string;
  /** Null means the file of the configuration, "-" standard input. */
  readonly auditFile: string | null;
  /** Token and arguments to simulate the call again, which no log holds; null to evaluate policy with the logged facts. */
  readonly again: { readonly token: string; readonly args: unknown } | null;
}

/** An audit line, with the configuration and the current time. */
interface HistoryContext {
  readonly config: Config;
  readonly line: AuditLine;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Makes the report on a past request, or a sentence that says why there is none. */
export async function pastReport(config: Config, options: PastOptions, now: number): Promise<Report | string> {
  const line = await findLine(config, options);
  if (typeof line === "string") return line;
  return {
    ...pastVerdict(line),
    steps: [...pastSteps(line, now), ...(await evaluateAgain({ config, line, now }, options))],
  };
}

async function findLine(config: Config, { id, auditFile }: PastOptions): Promise<AuditLine | string> {
  if (loggableId(id) === null) return "--request-id: not an id of the audit log";
  const file = auditFile ?? config.audit.file;
  if (file === null)
    return "the configuration names no audit.file (the log goes to standard output): give it with --audit FILE, or --audit - for standard input";
  try {
    const { line, oldest } =
      file === "-" ? await searchAuditStream(process.stdin, id) : await searchAuditFile(file, id);
    return line ?? (await notFound(file, oldest));
  } catch (error) {
    return `the audit log ${file} cannot be read (${errorCode(error)}): name another with --audit FILE`;
  }
}

async function notFound(file: string, oldest: string | null): Promise<string> {
  const where = file === "-" ? "standard input" : file;
  const reach =
    oldest === null
      ? `no line of ${where} is an audit line`
      : `no line of ${where} has this id; its oldest line is of ${oldest}`;
  const others = file === "-" ? [] : await rotatedBeside(file);
  if (others.length === 0) return reach;
  const packed = others.some((name) => /\.(?:gz|zst|xz|bz2)$/.test(name))
    ? "; unpack what is compressed: zcat FILE | … --audit -"
    : "";
  return `${reach}. Older parts seem to be ${others.slice(-5).join(", ")}: name one with --audit FILE${packed}`;
}

function pastVerdict(line: AuditLine): Omit<Report, "steps"> {
  const decision = text(line, "decision");
  const reason = text(line, "reason");
  const detail = text(line, "detail");
  const caveat = null; // the line has the credential's result
  if (reason === null)
    return { verdict: decision === "allow" ? "allow" : "public", reason, detail, caveat, meaning: null, remedy: null };
  const known = Object.hasOwn(REFUSALS, reason) ? remedyOf(reason as Reason, text(line, "policy") !== null) : null;
  return { verdict: "refuse", reason, detail, caveat, meaning: known?.meaning ?? null, remedy: known?.remedy ?? null };
}

function pastSteps(line: AuditLine, now: number): ReportStep[] {
  const when = timeOf(line);
  const time = when === null ? "at an unknown time" : `${new Date(when).toISOString()} (${distance(when - now)})`;
  const step = (name: string, says: string): ReportStep => ({ step: name, outcome: "note", says: [says] });
  const detail = text(line, "detail");
  return [
    {
      ...step("decided", `${time}, request ${shown(line, "request_id")}, in ${String(line["ms"])} ms`),
      facts: { line },
    },
    step("caller", `${callerOf(line)}; from ${shown(line, "source_ip")}`),
    step("operation", operationOf(line)),
    step("policy", policyOf(line)),
    step("credential", credentialOf(line)),
    ...droppedStep(line),
    ...(detail === null ? [] : [step("detail", detail)]),
  ];
}

function droppedStep(line: AuditLine): ReportStep[] {
  const dropped: unknown = line["headers_dropped"];
  if (!Array.isArray(dropped) || dropped.length === 0) return [];
  const says = `${dropped.map(String).join(", ")} did not reach the server, whom the caller may mean to restrict her call by it`;
  const remedy = `to let it through, name it in servers.${shown(line, "server")}.passHeaders`;
  return [{ step: "headers", outcome: "note", says: [says, remedy] }];
}

function callerOf(line: AuditLine): string {
  const subject = text(line, "subject");
  const actor = text(line, "actor");
  const acting = actor === null ? "" : `, for whom ${actor} acts`;
  return subject === null ? "nobody was identified" : `${subject} of ${shown(line, "issuer")}${acting}`;
}

function operationOf(line: AuditLine): string {
  const what = ["method", "kind", "name"].map((name) => text(line, name)).filter((part) => part !== null);
  const server = text(line, "server");
  return `${what.length === 0 ? "not read" : what.join(" ")}${server === null ? "" : ` of ${server}`}`;
}

function credentialOf(line: AuditLine): string {
  const kind = text(line, "credential");
  if (kind === null) return "none was fetched";
  const path = text(line, "credential_path");
  const audience = text(line, "credential_audience");
  if (path !== null) return `${kind}: ${path}, version ${String(line["credential_version"])}`;
  return audience === null ? kind : `${kind}: for audience ${audience}`;
}

function policyOf(line: AuditLine): string {
  const revision = text(line, "policy");
  const note = text(line, "note");
  return revision === null
    ? "not asked"
    : `revision ${revision.slice(0, 12)}; reason: ${note === null ? "none given" : `"${note}"`}${labelsOf(line)}`;
}

function labelsOf({ labels }: AuditLine): string {
  return Array.isArray(labels) && labels.length > 0 ? `; labels ${labels.join(", ")}` : "";
}

/** Evaluates policy for the same call, as far as the log has its facts: the policy of that time, where it is kept. */
async function evaluateAgain(context: HistoryContext, options: PastOptions): Promise<ReportStep[]> {
  const { line } = context;
  const call = callOf(context.config, line);
  if (typeof call === "string") return [{ step: "now", outcome: "note", says: [`not asked again: ${call}`] }];
  const found = options.kept ?? (await keptThen(context));
  const kept = typeof found === "string" ? null : found;
  const notKept = typeof found === "string" ? [found] : [];
  const { again } = options;
  if (again !== null)
    return simulateWithToken(context, { ...call, ...again }, { ...options, kept, notKept, at: timeOf(line) });
  const policy = await evaluatePolicy(context.config, inputOf(underKept(context.config, kept), call, line), {
    ...options,
    kept,
  });
  return [
    {
      step: "now",
      outcome: "note",
      says: [
        "Policy was asked again with what the log holds: issuer, subject, address, time and operation.",
        "The log holds no username, groups, scopes or claims and no arguments, so this answer may differ from the one given then.",
        "To repeat it exactly, add --token-file with a token of this caller, and --args JSON.",
        revisionNote(policy, line),
        ...notKept,
      ],
    },
    ...(isSameDecision(policy, line) ? policySteps(policy).map(asNote) : [NOT_COMPARABLE]),
  ];
}

/** The policy that decided then, null where none are kept, or why it is not to be had. */
async function keptThen({ config, line }: HistoryContext): Promise<KeptPolicy | string | null> {
  const revision = text(line, "policy");
  const { revisions } = config.policy;
  if (revisions === null || revision === null) return null;
  try {
    return await readRevision(revisions, revision);
  } catch (error) {
    return error instanceof Error ? `${error.message}.` : null;
  }
}

const NOT_COMPARABLE: ReportStep = {
  step: "policy",
  outcome: "note",
  says: [
    "With what the log holds the policy answers otherwise than it did then, so its rules would mislead here:",
    "what decided is a group, a scope, a claim or an argument. Add --token-file.",
  ],
};

/** True if the policy decides as it did then, for the same reason. */
function isSameDecision({ decision }: PolicyResult, line: AuditLine): boolean {
  if (!decision.ok) return line["reason"] === decision.reason;
  // Any other refusal came after policy had allowed the call.
  const wasDenied = line["reason"] === "policy_denied" || line["reason"] === "scope_insufficient";
  return decision.value.allow === !wasDenied && decision.value.note === text(line, "note");
}

/** Turns a step into a note: most policies depend on groups, which the log does not hold, so it is no verdict. */
function asNote(step: ReportStep): ReportStep {
  const [first = "", ...rest] = step.says;
  return { ...step, outcome: "note", says: [`as far as the log goes: ${first}`, ...rest] };
}

async function simulateWithToken(
  { config, line, now }: HistoryContext,
  spec: CallSpec,
  options: SimulateOptions & { readonly notKept: readonly string[] },
): Promise<ReportStep[]> {
  const simulation = await simulate(config, spec, options);
  const report = reportOf({ config, spec, now }, simulation);
  const identity = simulation.identified?.ok === true ? simulation.identified.value : null;
  const same = identity?.issuer === line["issuer"] && identity?.subject === line["subject"];
  return [
    {
      step: "now",
      outcome: simulation.outcome.ok ? "ok" : "refused",
      says: [
        `${firstLine(report)}, asked with this token and these arguments.`,
        ...(report.caveat === null ? [] : [report.caveat]),
        ...(identity !== null && !same ? ["The token is another caller's than the one of the decision."] : []),
        ...(simulation.policy === null ? [] : [revisionNote(simulation.policy, line)]),
        ...options.notKept,
      ],
    },
    ...report.steps,
  ];
}

function revisionNote({ decision, isKept }: PolicyResult, line: AuditLine): string {
  if (!decision.ok) return "The policy cannot be asked.";
  if (isKept)
    return decision.value.revision === line["policy"]
      ? "It was asked by the revision that decided then, which is kept."
      : "It was asked by a kept revision, which is another than the one that decided then.";
  return decision.value.revision === line["policy"]
    ? "The policy is still the same revision."
    : "The policy has changed since.";
}

/** Returns the call of a line, or the reason for which it has none. */
function callOf(config: Config, line: AuditLine): Omit<CallSpec, "token" | "args"> | string {
  const server = text(line, "server");
  const name = text(line, "name");
  const kind = text(line, "kind");
  if (line["policy"] === null)
    return "policy was not asked then either. To look at a token: --token-file, --server and --tool without --request-id";
  if (server === null || name === null || !isKind(kind)) return "the line names no tool, prompt or resource";
  if (!Object.hasOwn(config.servers, server)) return `the configuration has no server ${server} any more`;
  if (kind !== "resource" && !isOrdinaryName(name)) return "the name is cut off in the log";
  return { server, endpoint: null, kind, name };
}

function inputOf(
  config: Config,
  { server, kind, name }: Omit<CallSpec, "token" | "args">,
  line: AuditLine,
): PolicyInput {
  const when = timeOf(line);
  const time = when === null ? 0 : Math.floor(when / 1000);
  const local = createLocalTimes(config.policy.zones)(time);
  return {
    identity: {
      issuer: text(line, "issuer") ?? "",
      subject: text(line, "subject") ?? "",
      username: null,
      groups: [],
      scopes: [],
      ...{ kind: "user", method: "jwt", amr: [], acr: null, auth_time: null },
      claims: {},
    },
    mcp: { method: text(line, "method") ?? "", server, kind, name, arguments: {}, version: "2025-11-25" },
    request: {
      host: new URL(config.publicOrigin).hostname,
      path: `/servers/${server}/mcp`,
      sourceIp: text(line, "source_ip") ?? "",
      time,
      headers: {},
      ...(local !== null && { local }),
    },
  };
}

function isKind(text: string | null): text is Kind {
  return text === "tool" || text === "prompt" || text === "resource";
}

function timeOf(line: AuditLine): number | null {
  const time = Date.parse(text(line, "time") ?? "");
  return Number.isNaN(time) ? null : time;
}

function shown(line: AuditLine, name: string): string {
  return text(line, name) ?? "?";
}

function text(line: AuditLine, name: string): string | null {
  const value = line[name];
  return typeof value === "string" ? value : null;
}
