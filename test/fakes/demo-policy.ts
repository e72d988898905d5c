// The demo's policy in its compiled form, as serve loads it.
import { join, resolve } from "node:path";
import type { Rules } from "../../src/policy/artifact.ts";
import { readCompiled } from "../../src/policy/compiled-folder.ts";
import { authoredRules, readSources } from "../../src/policy/sources.ts";

const DEMO = resolve(join(import.meta.dirname, "../../policies/demo"));

export function compiledDemo(): Rules {
  const rules = readCompiled(DEMO, authoredRules(readSources(DEMO), "v1").hash);
  if (rules === null) throw new Error("policies/demo/.compiled is of other rules: npm run compile-demo");
  return rules;
}
