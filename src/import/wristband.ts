// A wristband response of an AuthPolicy as the section `wristband`. Pure.
import type { ConditionContext } from "./conditions.ts";
import { ruleNames, type Block } from "./opa-block.ts";
import type { Field } from "./source.ts";

export interface ImportedWristband {
  readonly header: string;
  /** Null where the source's is no URL. */
  readonly issuer: string | null;
  readonly ttlSeconds: number;
  /** Names of the keys' Secrets. */
  readonly keys: readonly string[];
}

const MAX_TTL_SECONDS = 3600;

/** @param name of the header @param blocks the policy's inline Rego, by the names of their entries */
export function readWristband(
  name: string,
  wristband: Field,
  { context, blocks }: { readonly context: ConditionContext; readonly blocks: ReadonlyMap<string, Block> },
): ImportedWristband {
  for (const [claim, field] of wristband.get("customClaims")?.entries ?? [])
    checkClaim(claim, field, { context, blocks });
  return {
    header: name.toLowerCase(),
    issuer: readIssuer(wristband.get("issuer"), context),
    ttlSeconds: readTtl(wristband.get("tokenDuration"), context),
    keys: readKeys(wristband, context),
  };
}

function readIssuer(issuer: Field | null, { report }: ConditionContext): string | null {
  if (issuer === null || (issuer.text !== null && /^https?:\/\//.test(issuer.text))) return issuer?.text ?? null;
  report.note(issuer, "is no URL: the public origin takes its place");
  return null;
}

function readKeys(wristband: Field, { report }: ConditionContext): string[] {
  const refs = wristband.get("signingKeyRefs")?.items ?? [];
  if (refs.length === 0) report.unmapped(wristband, "has no signingKeyRefs: name a P-256 key");
  for (const ref of refs)
    if (ref.get("algorithm")?.text !== "ES256")
      report.unmapped(ref, "wristbands are signed with ES256: make a P-256 key and name it in wristband.keys");
  return refs.flatMap((ref) => ref.get("name")?.text ?? []);
}

function readTtl(field: Field | null, { report }: ConditionContext): number {
  const seconds = field === null ? 300 : field.value;
  if (typeof seconds === "number" && Number.isInteger(seconds) && seconds > 0) {
    if (seconds <= MAX_TTL_SECONDS) return seconds;
    if (field !== null) report.note(field, `a wristband lives for ${MAX_TTL_SECONDS} s at most here`);
    return MAX_TTL_SECONDS;
  }
  if (field !== null) report.unmapped(field, "is no number of seconds");
  return 300;
}

/** The claims are ours: what a caller may see. A rule that the source asks for that alone would be lost. */
function checkClaim(
  claim: string,
  field: Field,
  { context, blocks }: { readonly context: ConditionContext; readonly blocks: ReadonlyMap<string, Block> },
): void {
  field.take();
  const source = field.get("selector") ?? field.get("expression") ?? field;
  const [, entry, rule] = /\bauth\.authorization\.([\w-]+)\.(\w+)/.exec(source.text ?? "") ?? [];
  const block = entry === undefined ? undefined : blocks.get(entry);
  if (block !== undefined && rule !== undefined && ruleNames(block).has(rule))
    context.report.unmapped(
      source,
      `the rule ${rule} of ${entry} says what a caller is shown, and nothing reads it here: a wristband names what \`allow\` allows, so move what it restricts into \`allow\``,
    );
  else
    context.report.note(
      source,
      `the claim ${claim} is not carried: a wristband names what \`allow\` allows, for our broker`,
    );
}
