// Makes our configuration and rules of a Kuadrant AuthPolicy or an Authorino AuthConfig (docs/authorino.md). Pure.
import { importAuthentication } from "./authentication.ts";
import { importAuthorization } from "./authorization.ts";
import { CEL_LIBRARY } from "./cel-library.ts";
import type { ConditionContext } from "./conditions.ts";
import { readCredentials } from "./credentials.ts";
import { configOf, type ImportedConfig, type NamedServer } from "./imported-config.ts";
import { blockText, type Block } from "./opa-block.ts";
import { readPolicyDocument, type PolicyDocument } from "./policy-document.ts";
import { policyText } from "./policy-text.ts";
import { readRefused } from "./refused.ts";
import { Rules } from "./rego.ts";
import { Report } from "./report.ts";
import { Vocabulary } from "./vocabulary.ts";
import { readWristband, type ImportedWristband } from "./wristband.ts";

/** What a policy does not say of its surroundings. */
export interface ImportOptions {
  /** The name of the file, for comments and findings. */
  readonly file: string;
  /** `namespace/name` or `name` of the one policy to take; null where the file has one. */
  readonly policy: string | null;
  readonly origin: string | null;
  readonly servers: readonly NamedServer[];
  readonly audiences: readonly string[];
  /** `iss` of tokens whose entry has a `jwksUrl` alone. */
  readonly issuer: string | null;
}

export interface Imported {
  readonly report: Report;
  readonly config: ImportedConfig;
  readonly rego: "v0" | "v1";
  /** The policy's files by name, as far as the report has come: what was found later refuses too. */
  readonly policy: () => ReadonlyMap<string, string>;
  /** Inline Rego: each is to be tried by itself. */
  readonly blocks: readonly Block[];
}

/** @throws {SourceError} for a file that holds no policy, or several */
export function importAuthPolicy(text: string, options: ImportOptions): Imported {
  const report = new Report();
  const document = readPolicyDocument(text, options, report);
  const { patterns } = document;
  const context = { report, rules: new Rules(), vocabulary: new Vocabulary(), identity: "identity", patterns };
  const issuers = importAuthentication(document.authentication, document.rules, { context, issuer: options.issuer });
  const credentials = readCredentials(document, context);
  const { conditions, blocks } = importAuthorization(document.authorization, context, credentials.isGuard);
  const wristband = wristbandOf(document, { context, blocks });
  const denial = readRefused(document.response, report);
  const rego = blocks.some((block) => block.rego === "v0") ? "v0" : "v1";
  const policy = { rego, headers: context.vocabulary.policyHeaders } as const;
  const config = configOf({ options, document, issuers, credentials, wristband, denial, policy });
  nameUnread(document, report);
  const files = () =>
    new Map([
      ["policy.rego", policyText({ context, conditions, source: options.file, servers: config.servers })],
      ["cel.rego", CEL_LIBRARY],
      ...blocks.map((block) => [block.file, blockText(block)] as const),
    ]);
  return { report, config, rego, policy: files, blocks };
}

/** Whatever stands in the source and was not read is named: it may restrict somebody. */
function nameUnread({ root, patterns }: PolicyDocument, report: Report): void {
  for (const [, pattern] of patterns?.entries ?? []) {
    if (!pattern.isUnread) continue;
    pattern.take();
    report.note(pattern, "no condition names it");
  }
  for (const field of root.unread)
    report.unmapped(field, `is not known here, or not as ${field.form}: take it out, or map it by hand`);
}

function wristbandOf(
  { headers }: PolicyDocument,
  { context, blocks }: { readonly context: ConditionContext; readonly blocks: readonly Block[] },
): ImportedWristband | null {
  const byEntry = new Map(blocks.map((block) => [block.entry, block] as const));
  const found = headers.flatMap(([name, field]) => {
    const wristband = field.get("wristband");
    return wristband === null ? [] : [{ name: field.get("key")?.text ?? name, field, wristband }];
  });
  const [first, ...others] = found;
  for (const { field } of others) context.report.unmapped(field, "there is one wristband here: take the others out");
  if (first === undefined) return null;
  first.field.takeEach("when", "priority", "metrics", "cache");
  const when = first.field.get("when");
  if (when !== null) context.report.note(when, "every request to the broker has a wristband here");
  return readWristband(first.name, first.wristband, { context, blocks: byEntry });
}
