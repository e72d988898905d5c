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
import { trialText, type Block } from "./opa-block.ts";

/** Reports what does not compile, inline Rego that restricts nothing while it reads the caller, and faults of the configuration. */
export async function checkImport({ report, config, rego, policy, blocks }: Imported, findOpa: FindOpa): Promise<void> {
  const before = report.faults.length;
  for (const block of blocks) {
    const { lines, place } = block;
    for (const line of await faultsOf(
      { "p.rego": trialText(block) },
      { rego: block.rego, compat: "authorino", findOpa },
    ))
      report.unmapped(
        { line: sourceLine(line, lines, place.firstLine), key: place.key },
        line.replace(/^p\.rego:\d+: /, "").replace(/, or say policy\.openToAll: true$/, ""),
      );
  }
  for (const { key, message } of configFaults(config.tree))
    report.unmapped({ line: 1, key: `(result) ${key}` }, message);
  if (report.faults.length > before) return;
  const { headers } = config;
  for (const line of await faultsOf(Object.fromEntries(policy), { rego, headers, compat: null, findOpa }))
    report.unmapped({ line: 1, key: "(result) policy" }, line);
}

interface Trial {
  readonly rego: Block["rego"];
  readonly compat: "authorino" | null;
  readonly headers?: readonly string[];
  readonly findOpa: FindOpa;
}

/** @returns what is wrong with the rules, as `p.rego:3: …` @throws {PolicyError} where there is no opa */
async function faultsOf(files: Readonly<Record<string, string>>, trial: Trial): Promise<readonly string[]> {
  const path = await mkdtemp(join(tmpdir(), "mcp-authz-import-"));
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text);
    await loadPolicy({ path, ...trial });
    return [];
  } catch (error) {
    if (error instanceof PolicyError && error.code === "rules_invalid") return error.lines;
    throw error;
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

/** The trial has one line before the author's. */
function sourceLine(fault: string, lines: string, first: number): number {
  const row = Number(/^p\.rego:(\d+):/.exec(fault)?.[1] ?? "2") - 2;
  return first + Math.max(0, Math.min(row, lines.split("\n").length - 1));
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
