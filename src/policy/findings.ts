// What is odd in a policy that loads, each with file and line: for `check-config`, the log and `/readyz`. Pure.
import { readData, isData, type SourceFile } from "./data.ts";
import { parseJson } from "../json/parse.ts";
import { PolicyError } from "./policy-error.ts";
import { negatedCalls } from "./negated-calls.ts";
import { ruleHeads, type RuleHead } from "./rule-heads.ts";

type Rego = "v0" | "v1";
interface PlacedHead extends RuleHead {
  readonly file: string;
}

const isTest = (path: string) => path.endsWith("_test.rego");

function headsOf(files: readonly SourceFile[], rego: Rego): PlacedHead[] {
  return files
    .filter(({ path }) => !isTest(path))
    .flatMap((file) => ruleHeads(file, rego).map((head) => ({ ...head, file: file.path })));
}

/** What is odd in rules of the form of opa-envoy-plugin. @param takesCut bodies that are cut off reach policy */
export function hostFindings(files: readonly SourceFile[], takesCut: boolean): string[] {
  if (takesCut) return [];
  return files.flatMap(({ path, text }) => {
    const line = isTest(path) ? -1 : text.split("\n").findIndex((one) => /^[^#]*\btruncated_body\b/.test(one));
    return line === -1
      ? []
      : [
          `${path}:${line + 1}: truncated_body is never true: a body that is cut off is refused, unless policy.envoy.truncatedBody is \`ask\``,
        ];
  });
}

/** @returns lines as `policy.rego:12: …`, for rules that load and do not say what their author means */
export function ruleFindings(files: readonly SourceFile[], rego: Rego, decidesMcp = true): string[] {
  const heads = headsOf(files, rego);
  const allows = heads.filter(({ path }) => path.join(".") === "mcp.authz.allow");
  const inPackage = heads.find(({ path }) => path.length === 3 && path.slice(0, 2).join(".") === "mcp.authz");
  const nobody = allows.every((head) => head.isDefault && !/:?=\s*true\b/.test(lineOf(files, head)));
  const first = allows[0] ?? inPackage;
  return [
    ...(nobody && decidesMcp
      ? [
          `${first === undefined ? "" : `${first.file}:${first.line}: `}the policy allows nobody: package mcp.authz has no rule \`allow\`${allows.length > 0 ? " but its default" : ""}`,
        ]
      : []),
    ...files.filter(({ path }) => path.endsWith(".rego") && !isTest(path)).flatMap(negatedCalls),
  ];
}

/** Where a policy lets everybody in: the first definition of `allow` that asks for nothing, else the first one; "" where there is none. */
export function openPlace(files: readonly SourceFile[], rego: Rego): string {
  const allows = headsOf(files, rego).filter(({ path }) => path.join(".") === "mcp.authz.allow");
  const asksNothing = (head: PlacedHead) =>
    /allow\s*(?::?=\s*true\s*(?:#.*)?$|if\s*\{?\s*true\b)/.test(lineOf(files, head));
  const at = allows.find(asksNothing) ?? allows[0];
  return at === undefined ? "" : `${at.file}:${at.line}: `;
}

function lineOf(files: readonly SourceFile[], { file, line }: PlacedHead): string {
  return files.find(({ path }) => path === file)?.text.split("\n")[line - 1] ?? "";
}

/** A rule that reads the caller, by the text: its file and line. */
export function readsCaller(files: readonly SourceFile[]): string | null {
  for (const { path, text } of files) {
    if (!path.endsWith(".rego") || isTest(path)) continue;
    const bare = text.replaceAll(/#[^\n]*/g, "");
    const at = bare.search(/\binput\s*(?:\.\s*(?:auth|identity)\b|\[\s*"(?:auth|identity)"\s*\])/);
    if (at !== -1) return `${path}:${bare.slice(0, at).split("\n").length}`;
  }
  return null;
}

/**
 * In WASM a rule hides data of the same path without a word; opa's own engine refuses the two together.
 * @throws {PolicyError} with both places
 */
export function refuseHiddenData(files: readonly SourceFile[], rego: Rego): void {
  const data = files.filter(({ path }) => isData(path));
  if (data.length === 0) return;
  const all = parseJson(readData(data));
  const lines = headsOf(files, rego).flatMap((head) => {
    const at = standsAt(all, head.path);
    if (at === null) return [];
    const file = data.find((one) => standsAt(parseJson(readData([one])), head.path) !== null)?.path ?? "data";
    const place = `${head.file}:${head.line}`;
    return [
      `${file}: data.${at} stands where ${place} has the rule data.${head.path.join(".")}, which alone would count: rename one`,
    ];
  });
  if (lines.length > 0) throw new PolicyError("data_invalid", [...new Set(lines)]);
}

/** The path at which there is data in the way of a rule; null where there is none. */
function standsAt(data: unknown, path: readonly string[]): string | null {
  let at: unknown = data;
  for (const [i, name] of path.entries()) {
    if (typeof at !== "object" || at === null || Array.isArray(at)) return i === 0 ? null : path.slice(0, i).join(".");
    if (!Object.hasOwn(at, name)) return null;
    at = (at as Record<string, unknown>)[name];
  }
  return path.join(".");
}
