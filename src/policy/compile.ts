// Compiles a policy: the author's rules with the product's library by `opa build -t wasm`, the data by our own reader.
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { errorCode } from "../files/read-error.ts";
import { parseJson } from "../json/parse.ts";
import { artifact, readBundle, RESERVED, unpack, type Artifact, type Rules } from "./artifact.ts";
import { checkRules, type LaidOut } from "./check-rules.ts";
import { isData, readData, type SourceFile } from "./data.ts";
import type { DataResult } from "./data-worker.ts";
import { ENTRYPOINTS } from "./entrypoints.ts";
import { entrypointOf, type EnvoyRule } from "./envoy/entrypoint.ts";
import { inputSchema } from "./input-schema.ts";
import { COMPILING, opaIsGone, requireOpa, type FindOpa } from "./opa.ts";
import { planReads } from "./plan-reads.ts";
import { PolicyError } from "./policy-error.ts";
import type { PolicyReads } from "./reads.ts";
import { lacksPackage, ruleHeads } from "./rule-heads.ts";
import { CAPABILITIES_FILE, isTest, LIBRARY_FOLDER, rulesHash } from "./sources.ts";
import type { PolicySettings } from "./settings.ts";
import { onThread } from "./thread.ts";

export interface RulesSource {
  readonly files: readonly SourceFile[];
  readonly rego: "v0" | "v1";
}

/** The settings say what the input has besides, and which rules are asked. */
export interface CompileOptions extends RulesSource, Pick<PolicySettings, "compat" | "zones" | "mode" | "envoy"> {
  readonly findOpa: FindOpa;
}

export interface CompiledRules extends Rules {
  /** References to the input that it never has, and comparisons that can never hold: lines as `policy.rego:12: …`. */
  readonly findings: readonly string[];
}

const run = promisify(execFile);
const TIMEOUT_MS = 60_000;
const DATA_TIMEOUT_MS = 60_000;
/** What 4 MiB of YAML take, lists of short texts aside. */
const DATA_HEAP_MIB = 1024;
/** Characters that are read in a few milliseconds; a thread costs 200 ms of CPU. */
const SMALL_DATA = 16 * 1024;

/** The author's data as JSON text; much of it is read on a thread of its own. @throws {PolicyError} with file, line and cure */
export async function compileData(files: readonly SourceFile[]): Promise<string> {
  const data = files.filter(({ path }) => isData(path));
  if (data.reduce((sum, { text }) => sum + text.length, 0) <= SMALL_DATA) return readData(data);
  const worker = new URL("data-worker.ts", import.meta.url);
  const result = await onThread<DataResult>(worker, data, { ms: DATA_TIMEOUT_MS, heapMiB: DATA_HEAP_MIB });
  if (result.kind === "failed" && isOutOfMemory(result.error))
    throw new PolicyError("data_invalid", [
      `the policy's data needs more than ${DATA_HEAP_MIB} MiB of memory to be read: make it smaller, or write it as data.json`,
    ]);
  if (result.kind === "failed") throw new Error("the policy's data cannot be read", { cause: result.error });
  if (result.kind === "late") throw new Error(`the policy's data is not read within ${DATA_TIMEOUT_MS / 1000} s`);
  if (result.value.ok) return result.value.text;
  throw new PolicyError("data_invalid", result.value.lines);
}

function isOutOfMemory(error: unknown): boolean {
  return errorCode(error) === "ERR_WORKER_OUT_OF_MEMORY";
}

/** Compiles rules and data (docs/policy.md). @throws {PolicyError} whose lines are for the author */
export async function compilePolicy(options: CompileOptions): Promise<Artifact> {
  const data = await compileData(options.files);
  const { files, rego, envoy = null } = options;
  const entrypoint = envoy === null ? null : entrypointOf(envoy);
  const made = artifact(await compileRules(options), data, rulesHash(files, rego, entrypoint));
  return entrypoint === null ? made : { ...made, entrypoint };
}

/**
 * Compiles the author's rules with the product's library. opa sees no data: what it makes depends on {@link rulesHash} alone.
 * @throws {PolicyError} whose lines are for the author: opa's, with file and line
 */
export async function compileRules({
  findOpa,
  compat = null,
  zones = [],
  mode = "mcp",
  envoy = null,
  ...source
}: CompileOptions): Promise<CompiledRules> {
  const opaPath = await requireOpa(findOpa, COMPILING);
  const folder = await mkdtemp(join(tmpdir(), "mcp-authz-policy-"));
  try {
    await layOut(folder, source, null);
    const rules = { opaPath, folder, ...source };
    await requireGoodRules(rules, { mode, envoy });
    const findings = await schemaFindings(rules, { compat, zones, envoy });
    const { wasm } = readBundle(await buildRules(rules, "wasm", envoy === null ? [] : [entrypointOf(envoy)]));
    return { wasm, reads: readsIn(await buildRules(rules, "plan")), findings };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The bundle that opa makes of rules and library: WebAssembly, or the plan that this is compiled from.
 * @param more the rule of `policy.envoy`, where there is one
 */
async function buildRules(
  { opaPath, folder, rego }: LaidOut,
  target: "wasm" | "plan",
  more: readonly string[] = [],
): Promise<Uint8Array> {
  await opa(opaPath, folder, [
    "build",
    ...["-t", target, "--prune-unused", "--ignore", "*_test.rego", "--capabilities", CAPABILITIES_FILE],
    ...(rego === "v0" ? ["--v0-compatible"] : []),
    ...[...ENTRYPOINTS, ...more].flatMap((name) => ["-e", name]),
    ...["-o", `${target}.tar.gz`, "mcp_authz", "policy"],
  ]);
  return readFile(join(folder, `${target}.tar.gz`));
}

function readsIn(bundle: Uint8Array): PolicyReads | null {
  const plan = unpack(bundle).get("plan.json");
  return plan === undefined ? null : planReads(parseJson(plan.toString("utf8")));
}

async function schemaFindings(rules: LaidOut, settings: PolicySettings): Promise<readonly string[]> {
  await writeFile(join(rules.folder, "input.schema.json"), JSON.stringify(inputSchema(settings)));
  const lines = (await checkRules(rules, "input.schema.json")) ?? [];
  return lines
    .filter((line) => !line.startsWith("mcp_authz/"))
    .map((line) => line.replace("rego_type_error: undefined ref:", "there is no"));
}

/** @throws {PolicyError} with every fault that opa finds, where it finds one */
async function requireGoodRules(rules: LaidOut, asked: AskedPackages): Promise<void> {
  const faults = async () => {
    const lines = await checkRules(rules);
    if (lines !== null && lines.length > 0) throw new PolicyError("rules_invalid", lines);
  };
  try {
    await checkPackages(rules, asked);
  } catch (error) {
    // It cannot tell the packages of what it cannot parse.
    if (error instanceof PolicyError && error.cause !== undefined) await faults();
    throw error;
  }
  await faults();
}

/**
 * Writes library and rules as opa is to see them. Stable relative names: they are part of the compiled bytes.
 * @param data JSON text, or null to leave it out. @param more the author's tests as well
 */
export async function layOut(
  folder: string,
  { files, rego }: RulesSource,
  ...[data, { tests } = { tests: false }]: [data: string | null, more?: { readonly tests: boolean }]
): Promise<void> {
  await cp(LIBRARY_FOLDER, join(folder, "mcp_authz"), { recursive: true, filter: (name) => !isTest(name) });
  await mkdir(join(folder, "policy"));
  for (const { path, text } of files) {
    if ((isTest(path) && !tests) || isData(path)) continue;
    const target = join(folder, "policy", path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, withPackage(text, rego));
  }
  if (data !== null) await writeFile(join(folder, "policy/data.json"), data);
}

function withPackage(text: string, rego: "v0" | "v1"): string {
  return lacksPackage(text, rego) ? `package mcp.authz\n${text}` : text;
}

/** @throws {PolicyError} where a package that is asked is not there, or one is ours */
async function checkPackages({ opaPath, folder, rego, files }: LaidOut, { mode, envoy }: AskedPackages): Promise<void> {
  const args = ["inspect", "-f", "json", ...(rego === "v0" ? ["--v0-compatible"] : []), "policy"];
  const { namespaces = {} } = parseJson(await opa(opaPath, folder, args)) as { namespaces?: Record<string, string[]> };
  refuseReserved(namespaces);
  if (mode !== "envoy" && !("data.mcp.authz" in namespaces))
    throw new PolicyError("rules_invalid", ["no file has `package mcp.authz`: that is where `allow` is looked for"]);
  if (envoy !== null) checkEnvoyRule(Object.keys(namespaces), { files, rego }, envoy);
}

/** The library and the catalogue are ours: a file of the author in their place could allow anything. */
function refuseReserved(namespaces: Readonly<Record<string, string[]>>): void {
  for (const [name, where] of Object.entries(namespaces)) {
    const root = /^data\.?(?:([A-Za-z0-9_]+)|\["([^"]*)"\])?/.exec(name);
    const taken = root?.[1] ?? root?.[2] ?? "";
    if (RESERVED.includes(taken))
      throw new PolicyError("rules_invalid", [
        `${where[0]?.replace(/^policy\//, "") ?? "?"}: the package ${taken} is reserved; use package mcp.authz`,
      ]);
  }
}

/** The packages that must be there. */
type AskedPackages = Required<Pick<PolicySettings, "mode" | "envoy">>;

/** @throws {PolicyError} where the rule of `policy.envoy` is not there: then every path would be refused */
function checkEnvoyRule(packages: readonly string[], { files, rego }: RulesSource, { package: name, rule }: EnvoyRule) {
  if (!packages.includes(`data.${name}`))
    throw new PolicyError("rules_invalid", [`no file has \`package ${name}\`, which policy.envoy.package names`]);
  if (rule === null) return;
  const path = `${name}.${rule}`;
  const heads = files.filter((file) => !isTest(file.path)).flatMap((file) => ruleHeads(file, rego));
  if (!heads.some((head) => `${head.path.join(".")}.`.startsWith(`${path}.`)))
    throw new PolicyError("rules_invalid", [
      `the package ${name} has no rule \`${rule}\`: name the rule that decides as policy.envoy.rule`,
    ]);
}

async function opa(opaPath: string, cwd: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run(opaPath, [...args], {
      cwd,
      timeout: TIMEOUT_MS,
      maxBuffer: 32 * 1024 * 1024,
      env: {}, // opa takes flags from variables too, and needs none of ours
    });
    return stdout;
  } catch (error) {
    if (error instanceof Error && "syscall" in error) throw opaIsGone(); // no fault of the rules
    throw new PolicyError("rules_invalid", opaLines(error), error);
  }
}

const MAX_LINES = 8;
const MAX_LINE = 300;
/** Text that opa puts before its first fault. */
const PREFACE = /^error: (?:[a-z ]+: )?\d+ errors? occurred(?: during loading)?:\s*/;

/** opa's own words, the first fault first, without the folder that only we know. */
function opaLines(error: unknown): readonly string[] {
  if (!(error instanceof Error)) return ["opa failed"];
  const output = `${"stderr" in error ? String(error.stderr) : ""}${"stdout" in error ? String(error.stdout) : ""}`;
  const words = output.replace(PREFACE, "").replaceAll("policy/", "").trim();
  if (words === "") return ["killed" in error && error.killed === true ? "opa gave no answer in time" : "opa failed"];
  const lines = words.split("\n").filter((line) => line.trim() !== "");
  return lines.slice(0, MAX_LINES).map((line) => line.slice(0, MAX_LINE));
}
