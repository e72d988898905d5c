// The readers of the differential run, and where each is found on this machine.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { ReaderSpec } from "./reader-child.ts";

const SOURCES = resolve(import.meta.dirname, "readers");
export const FUZZ_FOLDER = resolve(import.meta.dirname, "../../.tools/fuzz");

const NODE_VIEWS = { json: [{ name: "value", form: "value" }], uri: [{ name: "URL", form: "uri" }] } as const;
const node = (name: string, command: string): ReaderSpec => ({
  name,
  command,
  args: [join(SOURCES, "node.mjs")],
  views: NODE_VIEWS,
});

/** @returns null where what it needs is not here */
type Find = () => ReaderSpec | null;

function installedNode(major: string): Find {
  const program = join(FUZZ_FOLDER, `node${major}/package/bin/node`);
  return () => (existsSync(program) ? node(`node${major}`, program) : null);
}

const python: Find = () =>
  runs("python3", ["--version"])
    ? {
        name: "python",
        command: "python3",
        args: [join(SOURCES, "python.py")],
        views: {
          json: [
            { name: "float", form: "value" },
            { name: "Decimal", form: "value" },
          ],
          uri: [
            { name: "urlsplit", form: "uri" },
            { name: "urljoin", form: "uri" },
          ],
        },
      }
    : null;

/** @param command the program that is built of readers/go */
export function goReader(command: string): ReaderSpec {
  return {
    name: "go",
    command,
    args: [],
    views: {
      json: [
        { name: "float64", form: "value" },
        { name: "Number", form: "value" },
        { name: "struct", form: "typed" },
      ],
      uri: [
        { name: "Parse", form: "uri" },
        { name: "ResolveReference", form: "uri" },
        { name: "Path", form: "path" },
      ],
    },
  };
}

const go: Find = () => {
  const command = join(FUZZ_FOLDER, "go-reader");
  return existsSync(command) ? goReader(command) : null;
};

const java: Find = () => {
  const jars = join(FUZZ_FOLDER, "java");
  if (!existsSync(join(jars, ".installed"))) return null;
  return {
    name: "java",
    command: "java",
    args: ["-XX:+UseSerialGC", "-cp", join(jars, "*"), join(SOURCES, "java/Reader.java")],
    views: {
      json: [
        { name: "double", form: "value" },
        { name: "BigDecimal", form: "value" },
      ],
      uri: [
        { name: "URI", form: "uri" },
        { name: "normalize", form: "uri" },
      ],
    },
  };
};

const rust: Find = () => {
  const command = join(FUZZ_FOLDER, "rust/release/fuzz-reader");
  const views = { json: [{ name: "Value", form: "value" }], uri: [{ name: "Url", form: "uri" }] } as const;
  return existsSync(command) ? { name: "rust", command, args: [], roundsTwice: true, views } : null;
};

export const READERS: Readonly<Record<string, Find>> = {
  node20: installedNode("20"),
  node22: installedNode("22"),
  node24: () => node("node24", process.execPath),
  node26: installedNode("26"),
  python,
  go,
  java,
  rust,
};

export function runs(command: string, args: readonly string[]): boolean {
  return spawnSync(command, [...args], { stdio: "ignore" }).status === 0;
}

export interface FoundReaders {
  readonly found: readonly ReaderSpec[];
  readonly missing: readonly string[];
}

export function findReaders(names: readonly string[] = Object.keys(READERS)): FoundReaders {
  const found: ReaderSpec[] = [];
  const missing: string[] = [];
  for (const name of names) {
    const spec = READERS[name]?.() ?? null;
    if (spec === null) missing.push(name);
    else found.push(spec);
  }
  return { found, missing };
}
