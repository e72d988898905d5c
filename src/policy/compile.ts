import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { parseJson } from "../json/parse.ts";
import { readBundle, RESERVED, type Artifact } from "./artifact.ts";
import { CAPABILITIES_FILE, isTest, LIBRARY_FOLDER, type SourceFile } from "./sources.ts";

/** What the library answers. */
export const ENTRYPOINTS = ["mcp_authz/decision", "mcp_authz/visible"] as const;

export interface CompileOptions {
  readonly files: readonly SourceFile[];
  readonly rego: "v0" | "v1";
  /** The `opa` program, or null if there is none. */
  readonly opaPath: string | null;
}

export const OPA_MISSING =
  "compiling a policy needs opa, which is not here: run `npm run tools opa`, or name one with the variable OPA, or load a bundle made by `mcp-authz build-policy`";

const run = promisify(execFile);
const TIMEOUT_MS = 60_000;

/**
 * Compiles the author's files with the product's library (docs/policy.md).
 * @throws {Error} whose message is for the author: opa's, with file and line
 */
export async function compilePolicy({ files, rego, opaPath }: CompileOptions): Promise<Artifact> {
  if (opaPath === null) throw new Error(OPA_MISSING);
  const folder = await mkdtemp(join(tmpdir(), "mcp-authz-policy-"));
  try {
    await layOut(folder, files, rego);
    await checkPackages(opaPath, folder, rego);
    await opa(opaPath, folder, [
      "build",
      ...["-t", "wasm", "--prune-unused", "--ignore", "*_test.rego", "--capabilities", CAPABILITIES_FILE],
      ...(rego === "v0" ? ["--v0-compatible"] : []),
      ...ENTRYPOINTS.flatMap((name) => ["-e", name]),
      ...["-o", "bundle.tar.gz", "mcp_authz", "policy"],
    ]);
    return readBundle(await readFile(join(folder, "bundle.tar.gz")));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Writes library and policy as opa is to see them. Stable relative names: they are part of the compiled bytes. */
export async function layOut(folder: string, files: readonly SourceFile[], rego: "v0" | "v1"): Promise<void> {
  await cp(LIBRARY_FOLDER, join(folder, "mcp_authz"), { recursive: true });
  await mkdir(join(folder, "policy"));
  for (const { path, text } of files) {
    if (isTest(path)) continue;
    const target = join(folder, "policy", path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, path.endsWith(".rego") ? withPackage(text, rego) : text);
  }
}

function withPackage(text: string, rego: "v0" | "v1"): string {
  return lacksPackage(text, rego) ? `package mcp.authz\n${text}` : text;
}

/** Policies written for Authorino are rules without a package: one line is put before them. */
export function lacksPackage(text: string, rego: "v0" | "v1"): boolean {
  return rego === "v0" && !/^\s*package\s/m.test(text);
}

/** The library and the catalogue are ours: a file of the author in their place could allow anything. */
async function checkPackages(opaPath: string, folder: string, rego: "v0" | "v1"): Promise<void> {
  const args = ["inspect", "-f", "json", ...(rego === "v0" ? ["--v0-compatible"] : []), "policy"];
  const { namespaces = {} } = parseJson(await opa(opaPath, folder, args)) as { namespaces?: Record<string, string[]> };
  for (const [name, where] of Object.entries(namespaces)) {
    const root = /^data\.?(?:([A-Za-z0-9_]+)|\["([^"]*)"\])?/.exec(name);
    const taken = root?.[1] ?? root?.[2] ?? "";
    if (RESERVED.includes(taken))
      throw new Error(
        `${where[0]?.replace(/^policy\//, "") ?? "?"}: the package ${taken} is reserved; use package mcp.authz`,
      );
  }
  if (!("data.mcp.authz" in namespaces))
    throw new Error("no file has `package mcp.authz`: that is where `allow` is looked for");
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
    throw new Error(opaMessage(error), { cause: error });
  }
}

/**
 * Built-ins that opa has and a policy of ours has not: in WASM they take texts that opa's own engine refuses ("-" is a
 * number, "01" is JSON, "ab" is Base64), so that a policy would allow what its tests deny.
 */
const WITHHELD: Readonly<Record<string, string>> = {
  to_number: "ask for a number with is_number, or compare the text",
  "json.unmarshal": "ask for an object with is_object instead of JSON in a text",
  "json.is_valid": "ask for an object with is_object instead of JSON in a text",
  "base64.decode": "compare with base64.encode of what you expect",
  "base64.is_valid": "compare with base64.encode of what you expect",
  "base64url.decode": "compare with base64url.encode of what you expect",
};

/** What to write instead of a built-in that is withheld, if that is what opa misses. */
function alternative(message: string): string {
  const name = /undefined function ([\w.]+)/.exec(message)?.[1] ?? "";
  if (!Object.hasOwn(WITHHELD, name)) return "";
  return `; ${name} reads some texts otherwise in WASM than in opa test: ${WITHHELD[name]} (docs/policy.md)`;
}

/** opa's own words, without the folder that only we know. */
function opaMessage(error: unknown): string {
  if (!(error instanceof Error)) return "opa failed";
  if ("code" in error && error.code === "ENOENT") return OPA_MISSING;
  const output = `${"stderr" in error ? String(error.stderr) : ""}${"stdout" in error ? String(error.stdout) : ""}`;
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0) return "opa failed";
  return lines.slice(0, 8).join("; ").replaceAll("policy/", "").slice(0, 1000) + alternative(output);
}
