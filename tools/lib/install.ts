// What every installer of tools/install-tools.ts does: run a program, check a sum, say why something could not be fetched.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, readFileSync, renameSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TOOL_FOLDER, type ToolName } from "../../src/files/program.ts";

export class ToolError extends Error {}

export const PLATFORM = `${process.platform}-${process.arch}`;

export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

export function run(
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): { ok: boolean; missing: boolean; output: string } {
  const result = spawnSync(command, [...args], {
    encoding: "utf8",
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const code = result.error !== undefined && "code" in result.error ? result.error.code : undefined;
  return {
    ok: result.status === 0,
    missing: code === "ENOENT",
    output: `${result.stdout ?? ""}${result.stderr ?? ""}`.trim(),
  };
}

export function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

export function sha256Of(file: string): string {
  return sha256(readFileSync(file));
}

export function lastLine(text: string): string {
  return text.split("\n").at(-1) ?? "";
}

export const DISK_FULL = /No space left on device|ENOSPC/i;
const NOT_REACHED =
  /Connection refused|Name or service not known|name resolution|no such host|timed? ?out|Network is unreachable|No route to host|certificate verify failed|not a trusted or secure host/i;

export const ROOM = `Make room for about 1.5 GB in ${TOOL_FOLDER} and 500 MB in ${tmpdir()}, then run the same command again.`;

/** A download that failed: what was to come, why it did not, and what helps. */
export function notFetched(
  what: string,
  output: string,
  { mirror, instead }: { mirror: string; instead: string },
): ToolError {
  if (DISK_FULL.test(output)) return new ToolError(`${what} could not be fetched: the disk is full. ${ROOM}`);
  const reached = NOT_REACHED.exec(output)?.[0];
  const said = /"Error": "(.*)"/.exec(output)?.[1] ?? lastLine(output);
  const why = reached === undefined ? said : `its registry was not reached: ${reached.toLowerCase()}`;
  const network = `Is the network there? Behind a proxy set HTTPS_PROXY; ${mirror} names a mirror.`;
  return new ToolError(`${what} could not be fetched (${why}). ${network} Or ${instead}`);
}

/** How to bring a program along oneself. */
export const bringIt = (name: ToolName, version: string) =>
  `put ${name} ${version} on the PATH, or name it with the variable ${name.toUpperCase()}.`;

/** Into place in one step, so that a broken download never stands there. */
export function place(file: string, name: ToolName): void {
  chmodSync(file, 0o755);
  renameSync(file, join(TOOL_FOLDER, name));
  say(`${name}: ready`);
}
