// Tries what an import made, before anybody relies on it. I/O: writes a folder of its own, runs opa.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkRules } from "../config/rules.ts";
import { configSchema } from "../config/schema.ts";
import { loadPolicy } from "../policy/load.ts";
import type { FindOpa } from "../policy/opa.ts";
import { PolicyError } from "../policy/policy-error.ts";
import type { Imported } from "./authpolicy.ts";
import type { Report } from "./report.ts";
import { restrictionTrial, trialText, type Block } from "./opa-block.ts";

/** Reports what does not compile, inline Rego that restricts nothing while it reads the caller, and faults of the configuration. */
export async function checkImport({ report, config, rego, policy, blocks }: Imported, findOpa: FindOpa): Promise<void> {
  const before = report.faults.length;
  for (const block of blocks) await checkBlock(block, report, findOpa);
  for (const { key, message } of configFaults(config.tree))
    report.unmapped({ line: 1, key: `(result) ${key}` }, message);
  if (report.faults.length > before) return;
  const { headers } = config;
  const { faults } = await tried(Object.fromEntries(policy()), { rego, headers, compat: null, findOpa });
  for (const line of faults) report.unmapped({ line: 1, key: "(result) policy" }, line);
}

const CONSTANT = ": a rule reads the caller,";

async function checkBlock(block: Block, report: Report, findOpa: FindOpa): Promise<void> {
  const { lines, place, rego } = block;
  const { faults } = await tried({ "p.rego": trialText(block) }, { rego, compat: "authorino", findOpa });
  for (const line of faults) {
    if (line.includes(CONSTANT) && (await restricts(block, findOpa))) continue;
    const message = line.replace(/^p\.rego:\d+: /, "").replace(/, or say policy\.openToAll: true$/, "");
    report.unmapped({ line: place.lineAt(rowOf(line, lines)), key: place.key }, message);
  }
}

/** True for a block that refuses somebody, though it allows a caller of whom nothing is known. */
async function restricts(block: Block, findOpa: FindOpa): Promise<boolean> {
  const { faults, open } = await tried(restrictionTrial(block), { rego: block.rego, compat: null, findOpa });
  return faults.length === 0 && open === null;
}

interface Trial {
  readonly rego: Block["rego"];
  readonly compat: "authorino" | null;
  readonly headers?: readonly string[];
  readonly findOpa: FindOpa;
}

/** What is wrong with the rules, as `p.rego:3: …`, and whether they let everybody in. */
interface Tried {
  readonly faults: readonly string[];
  readonly open: string | null;
}

/** @throws {PolicyError} where there is no opa */
async function tried(files: Readonly<Record<string, string>>, trial: Trial): Promise<Tried> {
  const path = await mkdtemp(join(tmpdir(), "mcp-authz-import-"));
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text);
    const { open } = await loadPolicy({ path, ...trial });
    return { faults: [], open };
  } catch (error) {
    if (error instanceof PolicyError && error.code === "rules_invalid") return { faults: error.lines, open: null };
    throw error;
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

/** The author's row of a fault, from 0: the trial has one line before them. */
function rowOf(fault: string, lines: string): number {
  const row = Number(/^p\.rego:(\d+):/.exec(fault)?.[1] ?? "2") - 2;
  return Math.max(0, Math.min(row, lines.split("\n").length - 1));
}

/** Secrets and keys are not there yet: everything else is judged as at a start. */
function configFaults(tree: object): readonly { readonly key: string; readonly message: string }[] {
  const parsed = configSchema(
    () => "not-there-yet",
    (path) => path,
  ).safeParse(tree);
  if (parsed.success) return checkRules(parsed.data).problems;
  return parsed.error.issues.map(({ path, message }) => ({ key: path.join("."), message }));
}
