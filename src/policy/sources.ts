import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

/** A file of the author: its path below the policy folder, with "/" between the parts, and its text. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** Where the product's own Rego library and the list of built-ins are. */
export const LIBRARY_FOLDER = resolve(import.meta.dirname, "../../policies/mcp_authz");
export const CAPABILITIES_FILE = resolve(import.meta.dirname, "../../policies/capabilities.json");

const MAX_FILES = 1000;
const MAX_BYTES = 16 * 1024 * 1024;

/** Every `.rego` and `data.yaml`/`data.json` below a folder, tests included, in stable order. Dot folders are not read. */
export function readSources(folder: string): SourceFile[] {
  const files: SourceFile[] = [];
  let bytes = 0;
  const walk = (below: string) => {
    for (const entry of readdirSync(join(folder, below), { withFileTypes: true })) {
      const path = below === "" ? entry.name : `${below}/${entry.name}`;
      if (entry.name.startsWith(".")) continue;
      const isFolder = entry.isDirectory() || (entry.isSymbolicLink() && statSync(join(folder, path)).isDirectory());
      if (isFolder) walk(path);
      else if (/\.rego$|^data\.(?:ya?ml|json)$/.test(entry.name)) {
        const text = readFileSync(join(folder, path), "utf8");
        bytes += text.length;
        files.push({ path, text });
      }
      if (files.length > MAX_FILES || bytes > MAX_BYTES)
        throw new Error(`${folder} holds more than ${MAX_FILES} files or 16 MiB`);
    }
  };
  walk("");
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** What a compiled policy depends on: the author's files, our library, the built-ins and the dialect. */
export function sourcesHash(files: readonly SourceFile[], rego: "v0" | "v1"): string {
  const hash = createHash("sha256");
  const add = (...parts: string[]) => {
    for (const part of parts) hash.update(`${Buffer.byteLength(part)}:${part}`);
  };
  add("1", rego, readFileSync(CAPABILITIES_FILE, "utf8"));
  for (const { path, text } of readSources(LIBRARY_FOLDER)) if (!isTest(path)) add("library", path, text);
  for (const { path, text } of files) if (!isTest(path)) add("author", path, text);
  return hash.digest("hex");
}

export function isTest(path: string): boolean {
  return path.endsWith("_test.rego");
}
