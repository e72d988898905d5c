// The regression corpus of the differential run: texts that some reader once read otherwise than policy. Each file holds the
// texts for one process, in order.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { bodyCase, uriCase, type Case } from "./cases.ts";

const FOLDER = resolve(import.meta.dirname, "../corpus/differential");

export interface CorpusEntry {
  /** What a text is: the body of a request, or a resource URI. */
  readonly of: "body" | "uri";
  /** Who reads it otherwise, and how. */
  readonly note: string;
  readonly texts: readonly string[];
}

export function readCorpus(): ReadonlyMap<string, CorpusEntry> {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith(".json"));
  return new Map(
    files.sort().map((file) => [file, JSON.parse(readFileSync(join(FOLDER, file), "utf8")) as CorpusEntry]),
  );
}

/** The texts of an entry that we accept. */
export function casesOf({ of, texts }: CorpusEntry): Case[] {
  const made = texts.map((text) => (of === "uri" ? uriCase(text) : bodyCase("sequence", Buffer.from(text))));
  return made.filter((found) => found !== null);
}

/** @returns the file's name; the same texts are the same file */
export function addToCorpus(entry: CorpusEntry): string {
  const hash = createHash("sha256").update(entry.texts.join("\n")).digest("hex").slice(0, 10);
  const file = `found-${hash}.json`;
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, file), `${JSON.stringify(entry, null, 2)}\n`);
  return file;
}
