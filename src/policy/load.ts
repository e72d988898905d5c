// Loads the policy that stands at `policy.path`: a bundle, or a folder whose rules are compiled where nothing compiled fits.
import { ConfigProblem } from "../files/config-problem.ts";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { artifact, withSettings, type Artifact } from "./artifact.ts";
import { readPolicyBundle, type AuthoredRules } from "./bundle.ts";
import { compileData, compileRules, type CompiledRules } from "./compile.ts";
import { differences, readCompiled } from "./compiled-folder.ts";
import { entrypointOf } from "./envoy/entrypoint.ts";
import { hostFindings, openPlace, readsCaller, refuseHiddenData, ruleFindings } from "./findings.ts";
import type { FindOpa } from "./opa.ts";
import { PolicyError } from "./policy-error.ts";
import { OPEN_TO_ALL, selfTest, type SelfTestResult } from "./self-test.ts";
import { settingsText, type PolicySettings } from "./settings.ts";
import { authoredRules, policyHash, readSources, unreadData, type SourceFile } from "./sources.ts";

/** Where a policy is, and what makes it one that runs. */
export interface PolicySource extends PolicySettings {
  /** A folder of sources, or a bundle. */
  readonly path: string;
  readonly rego: "v0" | "v1";
  /** `policy.openToAll`: with `compat`, a policy that allows everybody while its other rules read the caller is meant. */
  readonly openToAll?: boolean;
  /** Asked at each compile, and only then. */
  readonly findOpa: FindOpa;
}

/** A policy that is not tried yet, with what is known of it. */
interface Candidate {
  readonly artifact: Artifact;
  /** Null for a bundle that somebody else made. */
  readonly rules: AuthoredRules | null;
  /** What its author may not mean: lines as `policy.rego:12: …`. */
  readonly findings: readonly string[];
}

/** A policy that passed its self-test. */
export interface LoadedPolicy extends Candidate {
  readonly tried: SelfTestResult;
  /** For people, with file and line: null where the policy asks for something. */
  readonly open: string | null;
  /** Hash of the files that it was made from. */
  readonly sources: string;
}

/** The files that stand at `policy.path` now, read once: the bytes that were hashed are the bytes that are loaded. */
export interface PolicyFiles {
  /** Of contents, not of times (editors and mounts play tricks with those), and of the settings by which they are judged. */
  readonly hash: string;
  /** @param live whose compiled rules are taken where they are the same. @throws {PolicyError} for what an author can mend */
  load(live: Artifact | null): Promise<LoadedPolicy>;
}

export function readPolicy(source: PolicySource): PolicyFiles {
  const { path } = source;
  if (!existsSync(path)) throw new ConfigProblem("policy.path", `${path} does not exist`);
  const { files, load } = statSync(path).isDirectory() ? folderAt(source) : bundleAt(source);
  const hash = judgedBy(source, files);
  return {
    hash,
    async load(live) {
      const { artifact: made, ...candidate } = await load(live);
      const settled = withSettings(made, source);
      const tried = await selfTest(settled);
      const open = tried.allowsStrangers ? `${placeOf(candidate.rules)}${OPEN_TO_ALL}` : null;
      const findings = [...candidate.findings, ...openPaths(source, tried)];
      const loaded = { ...candidate, findings, artifact: settled, tried, open, sources: hash };
      refuseUnreadRules(source, loaded);
      return loaded;
    },
  };
}

/** `policy.openToAll` says that it is meant. */
function openPaths(
  { envoy = null, openToAll = false }: PolicySource,
  { allowsAnyPath = false }: SelfTestResult,
): string[] {
  if (envoy === null || !allowsAnyPath || openToAll) return [];
  return [
    `${entrypointOf(envoy).replaceAll("/", ".")} allows a DELETE without a token of a path that nobody has: if that is not the purpose, begin with \`default ${envoy.rule ?? "allowed"} := false\` and name what is allowed`,
  ];
}

/** With `mode: envoy` there is no package of ours that could allow nobody. */
function findingsOf({ mode = "mcp", rego, envoy = null }: PolicySource, files: readonly SourceFile[]): string[] {
  return [
    ...ruleFindings(files, rego, mode === "mcp"),
    ...(envoy === null ? [] : hostFindings(files, envoy.truncatedBody === "ask")),
  ];
}

function placeOf(rules: AuthoredRules | null): string {
  return rules === null ? "" : openPlace(rules.files, rules.rego);
}

interface Found {
  /** Hash of the files. */
  readonly files: string;
  readonly load: (live: Artifact | null) => Promise<Candidate>;
}

function bundleAt(source: PolicySource): Found {
  const { path } = source;
  const bytes = readFileSync(path);
  const files = createHash("sha256").update(bytes).digest("hex");
  const load = async () => {
    const bundle = readPolicyBundle(bytes);
    const { rules } = bundle;
    return { ...bundle, findings: rules === null ? [] : findingsOf({ ...source, rego: rules.rego }, rules.files) };
  };
  return { files, load };
}

function folderAt(source: PolicySource): Found {
  const { path, rego, envoy = null } = source;
  const files = readSources(path);
  const rules = authoredRules(files, rego, envoy === null ? null : entrypointOf(envoy));
  return {
    files: policyHash(files, rules.hash),
    async load(live) {
      const data = await compileData(files);
      const known = live?.rules === rules.hash ? live : readCompiled(path, rules.hash);
      const made = known === null ? await compiled(source, files) : { ...known, findings: [] };
      const findings = [...unreadData(path), ...findingsOf(source, files), ...made.findings];
      const candidate = artifact(made, data, rules.hash);
      refuseHiddenData(files, rego);
      return { artifact: candidate, rules, findings };
    },
  };
}

/** `openToAll` changes no answer, so it is in no revision; but what it let pass is looked at again without it. */
function judgedBy(source: PolicySource, files: string): string {
  return `${files}${settingsText(source)}${source.openToAll === true ? "open" : ""}`;
}

/** A policy that was loaded earlier, by the settings of now: the caller looks at the files next. */
export function underSettings(kept: LoadedPolicy, settings: PolicySettings): LoadedPolicy {
  return { ...kept, artifact: withSettings(kept.artifact, settings) };
}

/**
 * A policy of Authorino may decide by rules that are never asked here: `allow` then lets everybody in.
 * @throws {PolicyError} with the line of such a rule
 */
function refuseUnreadRules(source: PolicySource, { rules, tried }: LoadedPolicy): void {
  if (source.compat !== "authorino" || source.openToAll === true || !tried.allowsStrangers) return;
  const where = rules === null ? "the bundle does not hold its rules, so maybe" : readsCaller(rules.files);
  if (where === null) return;
  throw new PolicyError("rules_invalid", [
    `${where}${rules === null ? "" : ":"} a rule reads the caller, but only \`allow\` and \`required_scopes\` count here, and \`allow\` lets every caller do everything: move what restricts into \`allow\`, or say policy.openToAll: true`,
  ]);
}

/** The policy that stands at `policy.path` now. For commands: what a running serve has live may be older. */
export function loadPolicy(source: PolicySource): Promise<LoadedPolicy> {
  return readPolicy(source).load(null);
}

async function compiled(
  { path, rego, findOpa, compat = null, zones = [], mode = "mcp", envoy = null }: PolicySource,
  files: readonly SourceFile[],
): Promise<CompiledRules> {
  if (!files.some((file) => file.path.endsWith(".rego")))
    throw new ConfigProblem("policy.path", `${path} holds no .rego file`);
  try {
    return await compileRules({ files, rego, findOpa, compat, zones, mode, envoy });
  } catch (error) {
    if (!isWithoutOpa(error)) throw error;
    const differing = differences(path, files);
    if (differing === null) throw error;
    const undo = `or undo the change: ${differing} differs from what ${path}/.compiled was made of, which needs no opa`;
    throw new PolicyError(error.code, [...error.lines, undo], error);
  }
}

/** True where an `opa` would help: nothing is wrong with the rules, as far as is known. */
export function isWithoutOpa(error: unknown): error is PolicyError {
  return error instanceof PolicyError && (error.code === "opa_missing" || error.code === "opa_refused");
}
