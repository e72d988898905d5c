// Where the rules of a Rego file begin, read from its text: their names and lines, without opa. Pure. For warnings and for
// places where data would hide behind a rule; nothing is compiled by it.
import type { SourceFile } from "./data.ts";

export interface RuleHead {
  /** Package and name, as far as it is constant: `["mcp", "authz", "allow"]`. */
  readonly path: readonly string[];
  readonly line: number;
  readonly isDefault: boolean;
}

/** Policies written for Authorino are rules without a package: one line is put before them. */
export function lacksPackage(text: string, rego: "v0" | "v1"): boolean {
  return rego === "v0" && !/^\s*package\s/m.test(text);
}

/** The text with comments and the insides of texts as spaces: every place keeps its line and column. */
export function withoutTexts(text: string): string {
  return text.replaceAll(/#[^\n]*|"(?:\\.|[^"\\\n])*"|`[^`]*`/g, (found) =>
    found.startsWith("#") ? blank(found) : `${found[0] ?? ""}${blank(found.slice(1, -1))}${found.at(-1) ?? ""}`,
  );
}

function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, " ");
}

const REF = String.raw`[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\["[^"\n]*"\])*`;
const HEAD = new RegExp(String.raw`^[ \t]*(default\s+)?(${REF})`);
const PACKAGE = new RegExp(String.raw`^[ \t]*package\s+(${REF})`, "m");
const NO_RULE: ReadonlySet<string> = new Set([
  ...["package", "import", "else", "as", "not", "some", "every", "with", "input", "data", "if", "contains", "in"],
  ...["true", "false", "null"],
]);

/** The rules of a file, in their order. */
export function ruleHeads({ path, text }: SourceFile, rego: "v0" | "v1"): RuleHead[] {
  if (!path.endsWith(".rego")) return [];
  const bare = withoutTexts(text);
  // The insides of quotes are needed for `a["b"]`, so names are read from the text as it is.
  const lines = text.split("\n");
  const found = PACKAGE.exec(bare);
  const base = found === null ? ["mcp", "authz"] : partsOf(PACKAGE.exec(text.slice(found.index))?.[1] ?? "");
  if (found === null && rego === "v1") return [];
  const depths = depthsOf(bare);
  return bare.split("\n").flatMap((line, i): RuleHead[] => {
    const head = depths[i] === 0 ? HEAD.exec(line) : null;
    const [name = ""] = partsOf(head?.[2] ?? "");
    if (head === null || NO_RULE.has(name)) return [];
    const exact = HEAD.exec(lines[i] ?? "")?.[2] ?? name;
    return [{ path: [...base, ...partsOf(exact)], line: i + 1, isDefault: head[1] !== undefined }];
  });
}

/** How many brackets are open at the begin of each line. */
function depthsOf(bare: string): number[] {
  let depth = 0;
  return bare.split("\n").map((line) => {
    const before = depth;
    for (const character of line) {
      if ("{[(".includes(character)) depth += 1;
      else if ("}])".includes(character)) depth = Math.max(0, depth - 1);
    }
    return before;
  });
}

function partsOf(ref: string): string[] {
  return [...ref.matchAll(/([A-Za-z_]\w*)|\["([^"\n]*)"\]/g)].map(([, name, quoted]) => name ?? quoted ?? "");
}
