// Where the programs that we do not write are: a variable, the project's own folder, the PATH.
import { accessSync, constants } from "node:fs";
import { delimiter, join, resolve } from "node:path";

export type ToolName = "envoy" | "bao" | "opa" | "hadolint";

export const TOOL_FOLDER = resolve(import.meta.dirname, "../../.tools/bin");
const VARIABLES: Readonly<Record<ToolName, string>> = {
  envoy: "ENVOY",
  bao: "BAO",
  opa: "OPA",
  hadolint: "HADOLINT",
};

/** Where a program may be, the first choice first: what a variable (ENVOY, BAO, OPA) names, else `.tools/bin`, then the PATH. */
export function programCandidates(name: ToolName): string[] {
  const named = namedByVariable(name);
  if (named !== null) return [named];
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return [TOOL_FOLDER, ...folders].map((folder) => join(folder, name));
}

/** The program's path, or null. What a variable names is taken as it is. */
export function findTool(name: ToolName): string | null {
  return namedByVariable(name) ?? programCandidates(name).find(isExecutable) ?? null;
}

function namedByVariable(name: ToolName): string | null {
  const named = process.env[VARIABLES[name]];
  return named === undefined || named === "" ? null : named;
}

/** The program's path. @throws with what to do */
export function requireTool(name: ToolName): string {
  const found = findTool(name);
  if (found === null)
    throw new Error(
      `${name} is not there. Run: npm run tools ${name}   or name one with the variable ${VARIABLES[name]}.`,
    );
  return found;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
