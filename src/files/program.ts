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

/** The program's path, or null. A variable (ENVOY, BAO, OPA) wins, then `.tools/bin`, then the PATH. */
export function findTool(name: ToolName): string | null {
  const named = process.env[VARIABLES[name]];
  if (named !== undefined && named !== "") return named;
  const folders = [TOOL_FOLDER, ...(process.env["PATH"] ?? "").split(delimiter)];
  return folders.map((folder) => join(folder, name)).find(isExecutable) ?? null;
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
