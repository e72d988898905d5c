// Names the rules that decided, by opa's trace of one evaluation. For `why`; nothing is decided by it.
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { PolicyInput } from "../authz/types.ts";
import { parseJson } from "../json/parse.ts";
import { layOut, type RulesSource } from "./compile.ts";
import { requireOpa, type FindOpa } from "./opa.ts";
import { PolicyError } from "./policy-error.ts";
import { lacksPackage } from "./rule-heads.ts";
import type { AuthoredRules } from "./bundle.ts";
import { CAPABILITIES_FILE, rulesHash, type SourceFile } from "./sources.ts";
import { explainTrace, traceSchema, type RuleOutcome } from "./trace.ts";

export interface ExplainOptions extends RulesSource {
  /** As JSON text, of the loaded policy. */
  readonly data: string;
  readonly findOpa: FindOpa;
}

/** A definition of a rule, with the text of the line that decided. */
export interface RuleLine extends RuleOutcome {
  readonly text: string;
}

export type Explanation = { readonly rules: readonly RuleLine[] } | { readonly unknown: string };

/** In comprehensions, so that an undefined rule does not hide the other one. */
const QUERY = "a := [x | x := data.mcp.authz.allow]; s := [x | x := data.mcp.authz.required_scopes]";
/** Far above what a policy needs; a trace without end costs memory by the second. */
const EVAL_TIMEOUT = "1s";
const PROCESS_TIMEOUT_MS = 4000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const outputSchema = z.object({ explanation: traceSchema });

/**
 * Asks opa which rules of the author held for an input, and at which line the others stopped. Best effort, bounded in
 * time and size; what it cannot tell it says. Only places and the author's own text come out, no values of the input.
 */
export async function explain({ findOpa, data, ...source }: ExplainOptions, input: PolicyInput): Promise<Explanation> {
  const { files, rego } = source;
  let folder: string | null = null;
  try {
    const opaPath = await requireOpa(findOpa, "this");
    folder = await mkdtemp(join(tmpdir(), "mcp-authz-explain-"));
    await layOut(folder, source, data);
    const output = await evaluate({ opaPath, rego }, folder, JSON.stringify(input));
    const parsed = outputSchema.safeParse(parseJson(output));
    if (!parsed.success) return { unknown: "this opa prints its trace in another form" };
    const rules = explainTrace(parsed.data.explanation, "policy/");
    return { rules: rules.map((rule) => withText(rule, files, rego)) };
  } catch (error) {
    if (error instanceof PolicyError) return { unknown: error.lines[0] ?? "" };
    return { unknown: `opa could not be asked: ${shortReason(error)}` };
  } finally {
    if (folder !== null) await rm(folder, { recursive: true, force: true });
  }
}

/** As {@link explain}, for rules that were made somewhere else or at another time. */
export async function explainRules(
  { rules, ...more }: Pick<ExplainOptions, "data" | "findOpa"> & { readonly rules: AuthoredRules | null },
  input: PolicyInput,
): Promise<Explanation> {
  if (rules === null) return { unknown: "the bundle does not hold its rules: build it with mcp-authz build-policy" };
  if (rulesHash(rules.files, rules.rego, rules.entrypoint ?? null) !== rules.hash)
    return { unknown: "they were compiled with another version of the library, which may hold otherwise" };
  return explain({ ...rules, ...more }, input);
}

interface Opa {
  readonly opaPath: string;
  readonly rego: "v0" | "v1";
}

function evaluate({ opaPath, rego }: Opa, cwd: string, input: string): Promise<string> {
  const args = [
    "eval",
    ...["-d", "mcp_authz", "-d", "policy", "--capabilities", CAPABILITIES_FILE, "--ignore", "*_test.rego"],
    ...(rego === "v0" ? ["--v0-compatible"] : []),
    // Every definition is to be tried: the index would leave out, without a word, those that cannot hold.
    ...["--disable-indexing", "--disable-early-exit", "--explain=full", "--format=json"],
    ...["--timeout", EVAL_TIMEOUT, "--stdin-input", QUERY],
  ];
  const limits = { timeout: PROCESS_TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES };
  return new Promise((done, fail) => {
    const child = execFile(opaPath, args, { cwd, env: {}, ...limits }, (error, stdout) => {
      if (error === null) done(stdout);
      else fail(error);
    });
    child.stdin?.on("error", () => {}); // it may end without reading
    child.stdin?.end(input);
  });
}

function withText(rule: RuleOutcome, files: readonly SourceFile[], rego: "v0" | "v1"): RuleLine {
  const source = files.find(({ path }) => path === rule.file)?.text ?? "";
  const shift = lacksPackage(source, rego) ? 1 : 0;
  const line = rule.line - shift;
  const stopsAt = rule.stopsAt === null ? null : rule.stopsAt - shift;
  const text = source.split("\n")[(stopsAt ?? line) - 1]?.trim() ?? "";
  return { ...rule, line, stopsAt, text: text.slice(0, 200) };
}

/** opa's message may quote the input, so its kind has to do. */
function shortReason(error: unknown): string {
  if (!(error instanceof Error)) return "failed";
  if ("killed" in error && error.killed === true) return `no answer within ${PROCESS_TIMEOUT_MS / 1000} s`;
  if ("code" in error && error.code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER") return "its trace is too large";
  return "code" in error ? `exit ${String(error.code)}` : "failed";
}
