// The file `policy.rego` of an import: who may do what, as the source means it. Pure.
import { serverNames } from "./authorization.ts";
import type { ConditionContext } from "./conditions.ts";

interface PolicyParts {
  readonly context: ConditionContext;
  readonly conditions: readonly string[];
  /** The file that it is made of. */
  readonly source: string;
  readonly servers: ReadonlyMap<string, string>;
}

/** Authorino's document for inline Rego: what {@link Vocabulary} gives, and nothing else. */
const DOCUMENT = `# What inline Rego sees: Authorino's document, as far as it means the same here.
document := {
	"auth": {"identity": identity},
	"request": {"headers": headers},
	"context": {"request": {"http": {"headers": headers}}},
}
`;

export function policyText({ context, conditions, source, servers }: PolicyParts): string {
  const { rules, vocabulary } = context;
  const line = context.report.refusesEverybody;
  const open = line === null ? [] : [`1 == 2 # NOT MAPPED: line ${line}, so nobody is let in`];
  const allow = [...open, "is_object(identity)", "authenticated", ...conditions].map((one) => `\t${one}\n`).join("");
  return [
    `# Made by mcp-authz import of ${source.replaceAll(/[^\x20-\x7e]/g, "?")}. Every condition of allow is an entry of the source's authorization.`,
    "package mcp.authz",
    "",
    "import rego.v1",
    "",
    "import data.authpolicy.cel",
    "",
    `allow if {\n${allow}}`,
    "",
    DOCUMENT,
    ...vocabulary.headerRules(),
    "",
    ...(vocabulary.usesServerNames ? [serverNames(servers), ""] : []),
    rules.text.trimEnd(),
    "",
  ].join("\n");
}
