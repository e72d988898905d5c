// The kept inputs of the coverage-guided run: in test/corpus/NAME, those that together reach all that was reached, one per
// line in Base64, and each input that broke something as a file of its own.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

export const CORPUS = resolve(import.meta.dirname, "../corpus");
export const INPUTS = "inputs.txt";

export function inputsOf(target: string): Buffer[] {
  const folder = join(CORPUS, target);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((file) => {
    const bytes = readFileSync(join(folder, file));
    if (file !== INPUTS) return [bytes];
    const lines = bytes.toString("latin1").split("\n").slice(0, -1);
    return lines.map((line) => Buffer.from(line, "base64"));
  });
}
