// Rego that stands in an AuthPolicy: which places of Authorino's document it reads, and as which file it goes on. Pure.
import { withoutTexts } from "../policy/rule-heads.ts";
import type { Report } from "./report.ts";
import type { Field } from "./source.ts";
import { isHeaders, placeAdvice, type Vocabulary } from "./vocabulary.ts";

/** A file of rules with a package of its own. */
export interface Block {
  /** Its entry under `authorization`. */
  readonly entry: string;
  /** As `admins.rego`. */
  readonly file: string;
  readonly packageName: string;
  /** The author's lines, each where it stood: line 1 is the author's first. */
  readonly lines: string;
  readonly rego: "v0" | "v1";
  /** The source's line of the author's first line, and the key. */
  readonly place: Field;
}

const STEP = /\s*(?:\.\s*([A-Za-z_]\w*)|\[\s*"((?:[^"\\\n])*)"\s*\])/y;
/** `object.get(input.request.headers, "x", …)` names a header as an index does. */
const GETS = /object\.get\(\s*$/;
const NAMED = /\s*,\s*"([^"\\\n]*)"/y;

/** Reports each place that the rules read and that nothing here has. */
export function checkReads(block: Block, { report, vocabulary }: { report: Report; vocabulary: Vocabulary }): void {
  const bare = withoutTexts(block.lines);
  if (/\$["`]/.test(bare)) report.unmapped(block.place, "template strings hide what they read: use concat");
  for (const { index } of bare.matchAll(/(?<![\w.])(?:input|data)\b/g)) {
    const line = block.place.lineAt(block.lines.slice(0, index).split("\n").length - 1);
    const fault = readFault(block.lines, index, vocabulary);
    if (fault !== null) report.unmapped({ line, key: block.place.key }, fault);
  }
}

function readFault(text: string, index: number, vocabulary: Vocabulary): string | null {
  if (text.startsWith("data", index)) return "data is not Authorino's to give: keep the rules in one block";
  const { path, end } = reference(text, index + "input".length);
  if (path[0] === "auth" && path[1] === "identity") return null;
  if (isHeaders(path.slice(0, -1))) return vocabulary.header(path.at(-1) ?? "");
  if (isHeaders(path) && GETS.test(text.slice(0, index))) {
    NAMED.lastIndex = end;
    const name = NAMED.exec(text)?.[1];
    if (name !== undefined) return vocabulary.header(name);
  }
  if (isHeaders(path)) return "a header whose name is computed is not read: name it";
  return placeAdvice(path);
}

function reference(text: string, from: number): { readonly path: string[]; readonly end: number } {
  const path: string[] = [];
  let end = from;
  for (;;) {
    STEP.lastIndex = end;
    const step = STEP.exec(text);
    if (step === null) return { path, end };
    path.push(step[1] ?? step[2] ?? "");
    end = STEP.lastIndex;
  }
}

/** Names of a block's rules, apart from `allow`. */
export function ruleNames({ lines }: Block): ReadonlySet<string> {
  const names = [...withoutTexts(lines).matchAll(/^[ \t]*(?:default\s+)?([A-Za-z_]\w*)/gm)].map(
    ([, name = ""]) => name,
  );
  return new Set(names.filter((name) => name !== "allow"));
}

/** The author's text without a package, as Authorino takes it. Each line stays where it is. */
export function ownLines(text: string): string {
  return text.replaceAll(/^[ \t]*package\b[^\n]*$/gm, "");
}

/** The file of the result: Authorino's default stands at the end, as imports come first. */
export function blockText(block: Block): string {
  const modern = block.rego === "v1" && !/^\s*import\s+rego\.v1\b/m.test(block.lines) ? "import rego.v1\n" : "";
  return `package ${block.packageName}\n\n${modern}${block.lines.trimEnd()}\n\ndefault allow := false\n`;
}

/** The author's rules by themselves, below one line, as a policy for this product. */
export function trialText({ lines, rego }: Block): string {
  return `package mcp.authz\n${lines.trimEnd()}\n${rego === "v0" ? "default allow = false" : "default allow := false"}\n`;
}

/** Values that a place may have when it is tried whether anything of it makes a rule refuse. */
const VALUES: readonly unknown[] = [undefined, true, false, null, 0, 1e9, -1, "", "x", [], {}];
const MAX_LITERALS = 50;

/**
 * Files of a policy that lets everybody in only if the block allows whatever stands at the places that it reads: one that
 * refuses somebody, as a list of those who are shut out, is no constant.
 */
export function restrictionTrial(block: Block): Readonly<Record<string, string>> {
  const bare = withoutTexts(block.lines);
  const places = [...bare.matchAll(/(?<![\w.])input\b/g)].map(
    ({ index }) => reference(block.lines, index + "input".length).path,
  );
  const texts = [...block.lines.matchAll(/"((?:[^"\\\n])*)"/g)].map(([, text = ""]) => text).slice(0, MAX_LITERALS);
  const values = [
    ...VALUES,
    ...texts,
    ...texts.map((text) => [text]),
    texts,
    Object.fromEntries(texts.map((text) => [text, texts])),
  ];
  const documents = values.map((value) => {
    const document = {};
    for (const place of places) putAt(document, place, value);
    return `\t${JSON.stringify(document)},\n`;
  });
  const asked = "count([1 | some document in documents; data.authpolicy.trial.allow == true with input as document])";
  const policy = `package mcp.authz\n\nimport rego.v1\n\ndocuments := [\n${documents.join("")}]\n\nallow if ${asked} == count(documents)\n`;
  return { "p.rego": policy, "trial.rego": blockText({ ...block, packageName: "authpolicy.trial" }) };
}

function putAt(document: object, [name, ...more]: readonly string[], value: unknown): void {
  if (name === undefined || name === "__proto__") return;
  const at = document as Record<string, unknown>;
  const here = at[name];
  if (more.length === 0) at[name] ??= value;
  else if (typeof here === "object" && here !== null) putAt(here, more, value);
  else putAt((at[name] = {}), more, value);
}
