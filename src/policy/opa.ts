// Which `opa` compiles. It is looked for at each compile: one may be installed while serve runs.
import { execFile } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { promisify } from "node:util";
import { programCandidates } from "../files/program.ts";
import { PolicyError } from "./policy-error.ts";

export type FoundOpa =
  | { readonly kind: "found"; readonly path: string }
  | { readonly kind: "missing" }
  /** @property version null where the program does not say one */
  | { readonly kind: "refused"; readonly path: string; readonly version: string | null; readonly why: string };

type JudgedOpa = Exclude<FoundOpa, { readonly kind: "missing" }>;
export type FindOpa = () => Promise<FoundOpa>;

export const NEEDED_OPA = "1.22.2";
export const COMPILING = "compiling a policy";
const CURE = "run `npm run tools opa`, or name one with the variable OPA";
const ELSEWHERE = "or load a bundle made by `mcp-authz build-policy` where opa is";
const TIMEOUT_MS = 30_000;
const run = promisify(execFile);

/** @param candidates programs in the order of preference: one that is refused hides none after it */
export function createOpaFinder(candidates: () => readonly string[]): FindOpa {
  /** The version that each program told, and the verdict on it; a program that told none is asked again. */
  const known = new Map<string, { readonly file: string; readonly found: JudgedOpa }>();
  return async () => {
    let refused: FoundOpa | null = null;
    for (const path of candidates()) {
      const file = identityOf(path);
      if (file === null) continue;
      const before = known.get(path);
      const found = before?.file === file ? before.found : await judge(path);
      if (found.kind === "found" || found.version !== null) known.set(path, { file, found });
      if (found.kind === "found") return found;
      refused ??= found;
    }
    return refused ?? { kind: "missing" };
  };
}

export const findOpa = createOpaFinder(() => programCandidates("opa"));

/** @throws {PolicyError} where there is none to use. @param what needs it, for people */
export async function requireOpa(find: FindOpa, what: string): Promise<string> {
  const found = await find();
  if (found.kind === "found") return found.path;
  throw faultOf(found, what);
}

/** Why nothing can be compiled, and what to do; null where an opa is found. */
export function opaFault(found: FoundOpa): PolicyError | null {
  return found.kind === "found" ? null : faultOf(found, COMPILING);
}

/** For a program that was found and cannot be run any more. */
export function opaIsGone(): PolicyError {
  return faultOf({ kind: "missing" }, COMPILING);
}

function faultOf(found: Exclude<FoundOpa, { readonly kind: "found" }>, what: string): PolicyError {
  const needs = `${what} needs opa ${NEEDED_OPA} or newer`;
  if (found.kind === "missing")
    return new PolicyError("opa_missing", [`${needs}, which is not here: ${CURE}`, ELSEWHERE]);
  const { path, version, why } = found;
  const fault = version === null ? why : `${version}: ${why}`;
  return new PolicyError("opa_refused", [`${needs}; ${path} is not used (${fault}). To mend it, ${CURE}`, ELSEWHERE]);
}

/** Changes when another program stands there; null where none does. */
function identityOf(path: string): string | null {
  try {
    accessSync(path, constants.X_OK);
    const { dev, ino, mtimeMs, size } = statSync(path);
    return [dev, ino, mtimeMs, size].join();
  } catch {
    return null;
  }
}

async function judge(path: string): Promise<JudgedOpa> {
  let output = "";
  try {
    ({ stdout: output } = await run(path, ["version"], { timeout: TIMEOUT_MS, env: {} }));
  } catch {
    return { kind: "refused", path, version: null, why: "it does not answer `opa version`" };
  }
  const version = /^Version: v?(\d+\.\d+\.\d+)/m.exec(output)?.[1] ?? null;
  if (version === null) return { kind: "refused", path, version, why: "it does not answer `opa version`" };
  const why = whyNot(version);
  return why === null ? { kind: "found", path } : { kind: "refused", path, version, why };
}

function whyNot(version: string): string | null {
  if (compare(version, NEEDED_OPA) >= 0) return null;
  if (compare(version, "1.21.0") >= 0)
    return `the rule index and the type checker of 1.21.0 to 1.22.1 have faults that ${NEEDED_OPA} mends`;
  return "it is older than what the library's rules were tested with";
}

function compare(a: string, b: string): number {
  const [x, y] = [a, b].map((version) => version.split(".").map(Number));
  for (const [i, part] of (x ?? []).entries()) {
    const difference = part - (y?.[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
