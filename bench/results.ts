// Figures that are kept: one small file of JSON for each row, from which tables and plots are made. I/O.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RowResult } from "./run.ts";

export const FOLDER = join(import.meta.dirname, "results");

export type Kept = RowResult & { readonly machine: Readonly<Record<string, string>>; readonly date?: string };

export function save(result: Kept): void {
  write(result.name, { ...result, date: new Date().toISOString().slice(0, 10) });
}

/** Numbers with four digits: the files stay small, and a difference is one. */
export function write(name: string, value: object): void {
  mkdirSync(FOLDER, { recursive: true });
  const text = JSON.stringify(value, (_, item: unknown) =>
    typeof item === "number" ? Number(item.toPrecision(4)) : item,
  );
  writeFileSync(join(FOLDER, `${name}.json`), `${text}\n`);
}
