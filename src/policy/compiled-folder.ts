// `.compiled` in a policy folder: its rules as WebAssembly, used while it belongs to exactly these rules, so that a folder
// starts without opa. Data is no part of it.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { parseJson } from "../json/parse.ts";
import type { Rules } from "./artifact.ts";
import { readStored, storedReads } from "./reads.ts";
import { isTest, rulesHash, type SourceFile } from "./sources.ts";

const manifestSchema = z.object({
  /** {@link rulesHash} of what was compiled. */
  rules: z.string(),
  /** SHA-256 of `policy.wasm`. */
  wasm: z.string(),
  /** SHA-256 of each file of rules. */
  files: z.record(z.string(), z.string()),
  /** What these rules read; absent in what an earlier version wrote, and where it is not known. */
  reads: z.unknown().optional(),
});
type Manifest = z.output<typeof manifestSchema>;

const FOLDER = ".compiled";

export function writeCompiled(policyFolder: string, { wasm, reads }: Rules, source: RulesOf): void {
  const folder = join(policyFolder, FOLDER);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "policy.wasm"), wasm);
  const manifest: Manifest = {
    rules: rulesHash(source.files, source.rego, source.entrypoint ?? null),
    wasm: sha256(wasm),
    files: sums(source.files),
    ...(reads !== null && { reads: storedReads(reads) }),
  };
  writeFileSync(join(folder, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}

interface RulesOf {
  readonly files: readonly SourceFile[];
  readonly rego: "v0" | "v1";
  /** The rule of `policy.envoy`. */
  readonly entrypoint?: string | null;
}

/** The compiled rules, or null where there are none of this hash. @throws {Error} where the folder was tampered with */
export function readCompiled(policyFolder: string, rules: string): Rules | null {
  const manifest = readManifest(policyFolder);
  if (manifest?.rules !== rules) return null;
  const folder = join(policyFolder, FOLDER);
  const wasm = readFileSync(join(folder, "policy.wasm"));
  if (sha256(wasm) !== manifest.wasm)
    throw new Error(`${folder} does not match its manifest: restore it, or delete the folder`);
  return { wasm, reads: readStored(manifest.reads) };
}

/** Changes with what stands in `.compiled`: a hash of its contents, whole or not; null where there is nothing to read. */
export function compiledState(policyFolder: string): string | null {
  try {
    const [manifest, wasm] = ["manifest.json", "policy.wasm"].map((name) =>
      sha256(readFileSync(join(policyFolder, FOLDER, name))),
    );
    return `${manifest} ${wasm}`;
  } catch {
    return null;
  }
}

/** The difference between the rules and those that `.compiled` was made of, for people; null where there is no such folder. */
export function differences(policyFolder: string, files: readonly SourceFile[]): string | null {
  const manifest = readManifest(policyFolder);
  if (manifest === null) return null;
  const now = sums(files);
  const names = new Set([...Object.keys(manifest.files), ...Object.keys(now)]);
  const differing = [...names].filter((name) => manifest.files[name] !== now[name]).toSorted();
  return differing.length === 0 ? "the library or the dialect" : differing.join(", ");
}

function readManifest(policyFolder: string): Manifest | null {
  const file = join(policyFolder, FOLDER, "manifest.json");
  if (!existsSync(file)) return null;
  return manifestSchema.safeParse(parseJson(readFileSync(file, "utf8"))).data ?? null;
}

function sums(files: readonly SourceFile[]): Record<string, string> {
  const rules = files.filter(({ path }) => path.endsWith(".rego") && !isTest(path));
  return Object.fromEntries(rules.map(({ path, text }) => [path, sha256(text)]));
}

function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}
