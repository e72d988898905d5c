// The files of a policy: which are read, and what their compiled form depends on.
import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import type { AuthoredRules } from "./bundle.ts";
import { isData, type SourceFile } from "./data.ts";

export type { SourceFile } from "./data.ts";

/** Where the product's own Rego library and the list of built-ins are. */
export const LIBRARY_FOLDER = resolve(import.meta.dirname, "../../policies/mcp_authz");
export const CAPABILITIES_FILE = resolve(import.meta.dirname, "../../policies/capabilities.json");

export const MAX_FILES = 1000;
export const MAX_BYTES = 16 * 1024 * 1024;

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
      else if (path.endsWith(".rego") || isData(path)) {
        const content = readFileSync(join(folder, path));
        if (!isUtf8(content)) throw new Error(`${join(folder, path)} is not UTF-8`);
        bytes += content.length;
        files.push({ path, text: content.toString("utf8") });
      }
      if (files.length > MAX_FILES || bytes > MAX_BYTES)
        throw new Error(`${folder} holds more than ${MAX_FILES} files or 16 MiB`);
    }
  };
  walk("");
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Files that look like data and are not read, each as a line for the author: opa by itself would load them. */
export function unreadData(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => name.replaceAll("\\", "/"));
  return names
    .filter((name) => /\.(?:ya?ml|json)$/i.test(name) && !isData(name) && !/(?:^|\/)\./.test(name))
    .toSorted()
    .slice(0, MAX_UNREAD)
    .map(
      (name) =>
        `${name}: not loaded, only files named data.yaml and data.json are: as ${placeFor(name)} it would be ${dataPath(name)}`,
    );
}

const MAX_UNREAD = 20;
const stem = (name: string) => name.replace(/\.[^.]*$/, "");
const placeFor = (name: string) => `${stem(name)}/data.${name.endsWith(".json") ? "json" : "yaml"}`;
const dataPath = (name: string) => `data.${stem(name).replaceAll("/", ".")}`;

const isRule = ({ path }: SourceFile) => path.endsWith(".rego") && !isTest(path);

/** The rules of a folder, for whoever has only their compiled form. */
export function authoredRules(
  files: readonly SourceFile[],
  rego: "v0" | "v1",
  entrypoint: string | null = null,
): AuthoredRules {
  const named = entrypoint === null ? {} : { entrypoint };
  return { files: files.filter(isRule), rego, ...named, hash: rulesHash(files, rego, entrypoint) };
}

/**
 * Hash of all that the compiled rules depend on: the author's rules, our library, the built-ins, the dialect, the rule of
 * `policy.envoy`; not the data.
 */
export function rulesHash(files: readonly SourceFile[], rego: "v0" | "v1", entrypoint: string | null = null): string {
  return hashOf("rules", entrypoint === null ? rego : `${rego} ${entrypoint}`, [
    { path: "", text: readFileSync(CAPABILITIES_FILE, "utf8") },
    ...readSources(LIBRARY_FOLDER).filter(isRule),
    { path: "", text: "" }, // no author's file can pass for one of the library
    ...files.filter(isRule),
  ]);
}

/** Hash of all that a policy depends on: the compiled rules, and the author's data. */
export function policyHash(files: readonly SourceFile[], rules: string): string {
  return hashOf(
    "policy",
    rules,
    files.filter(({ path }) => isData(path)),
  );
}

/** Of named texts, in their order; each part with its length, so that none passes for two. */
function hashOf(what: string, more: string, files: readonly SourceFile[]): string {
  const hash = createHash("sha256");
  for (const part of [what, more, ...files.flatMap(({ path, text }) => [path, text])])
    hash.update(`${Buffer.byteLength(part)}:${part}`);
  return hash.digest("hex");
}

export function isTest(path: string): boolean {
  return path.endsWith("_test.rego");
}
