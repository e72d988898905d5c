// `authorization` of an AuthPolicy: every entry must hold. Entries become rules of their own, and files of inline Rego. Pure.
import type { ConditionContext } from "./conditions.ts";
import { conditionsTerm } from "./conditions.ts";
import { checkReads, ownLines, type Block } from "./opa-block.ts";
import { literal, type Term } from "./rego.ts";
import type { Field } from "./source.ts";

const METHODS = ["patternMatching", "opa", "kubernetesSubjectAccessReview", "spicedb"];

export interface ImportedAuthorization {
  /** Conditions of `allow`. */
  readonly conditions: readonly string[];
  readonly blocks: readonly Block[];
}

/** @param isGuard true for an entry that says only that a credential was found, which the chain of credentials holds */
export function importAuthorization(
  rules: Field | null,
  context: ConditionContext,
  isGuard: (entry: Field) => boolean,
): ImportedAuthorization {
  const conditions: string[] = [];
  const blocks: Block[] = [];
  for (const [name, entry] of rules?.entries ?? []) {
    entry.takeEach("priority", "metrics", "cache");
    if (isGuard(entry)) continue;
    context.rules.comment(`${entry.key} (line ${entry.line})`);
    conditions.push(`${oneEntry(name, entry, { context, blocks })} == true`);
  }
  return { conditions, blocks };
}

interface Writing {
  readonly context: ConditionContext;
  readonly blocks: Block[];
}

function oneEntry(name: string, entry: Field, { context, blocks }: Writing): Term {
  const { rules } = context;
  const when = entry.get("when");
  const holds = methodTerm(name, entry, { context, blocks });
  if (when === null) return rules.add([{ value: "true", when: [holds] }]);
  const applies = conditionsTerm(when, context);
  return rules.add([
    { value: "true", when: [`${applies} == false`] },
    { value: "true", when: [holds] },
  ]);
}

/** @returns a condition, which may stand in a rule */
function methodTerm(name: string, entry: Field, { context, blocks }: Writing): string {
  const { report, rules } = context;
  const methods = METHODS.flatMap((one) => entry.get(one) ?? []);
  const [method] = methods;
  if (method !== undefined && methods.length === 1) {
    if (entry.get("patternMatching") !== null) {
      const patterns = method.get("patterns");
      if (patterns !== null) return `${conditionsTerm(patterns, context)} == true`;
      report.leftOut(method, "has no patterns, and so refuses everybody: write the patterns, or take the entry out");
    }
    const block = entry.get("opa") === null ? null : readBlock(name, method, { context, blocks });
    if (block !== null) {
      blocks.push(block);
      return `data.${block.packageName}.allow == true with input as document`;
    }
    for (const asked of ["kubernetesSubjectAccessReview", "spicedb"])
      if (entry.get(asked) !== null)
        report.leftOut(method, "asks somebody else for each request: put who may do what into data.yaml or the token");
  } else report.leftOut(entry, `has none or several of ${METHODS.join(", ")}`);
  return `${rules.unmapped(entry.line)} == true`;
}

function readBlock(name: string, opa: Field, { context, blocks }: Writing): Block | null {
  const { report, vocabulary } = context;
  // Whether other rules' values are kept for others: here nobody reads them.
  opa.takeEach("allValues");
  const external = opa.get("externalPolicy");
  const rego = opa.get("rego");
  if (rego?.text == null || rego.text.trim() === "") {
    report.unmapped(
      external ?? opa,
      external === null
        ? "has no rego"
        : "rules that are fetched while requests run are not mapped: put their text into rego",
    );
    return null;
  }
  if (external !== null) report.unmapped(external, "is not read where rego stands: take one of them out");
  const field = opa.get("version");
  const version = field === null ? "v0" : field.text;
  if (version !== "v0" && version !== "v1") {
    report.unmapped(field ?? opa, "is v0 or v1");
    return null;
  }
  const word = `${name.replaceAll(/\W/g, "_").replace(/^(?=\d)/, "_")}_${blocks.length + 1}`;
  const packageName = `authpolicy.${word}`;
  const block = {
    entry: name,
    file: `${word}.rego`,
    packageName,
    lines: ownLines(rego.text),
    rego: version,
    place: rego,
  } as const;
  checkReads(block, { report, vocabulary });
  return block;
}

/** Rules about servers by their names in the source. @param names by our name */
export function serverNames(names: ReadonlyMap<string, string>): string {
  const members = [...names].map(([ours, theirs]) => `${literal(ours)}: ${literal(theirs)}`);
  return `server_names := {${members.join(", ")}}`;
}
