// `metadata` and the headers of success of an AuthPolicy: whose credential a server gets. Pure.
import type { ConditionContext } from "./conditions.ts";
import type { PolicyDocument } from "./policy-document.ts";
import type { Field } from "./source.ts";

/** The section `vault` and the chain of each server, in the form of the configuration. */
export interface ImportedCredentials {
  readonly vault: object | null;
  readonly chain: readonly object[];
  /** True for an entry of `authorization` that says only that a credential was found. */
  readonly isGuard: (entry: Field) => boolean;
}

export function readCredentials(document: PolicyDocument, { report }: ConditionContext): ImportedCredentials {
  for (const [, field] of document.metadata)
    report.unmapped(
      field,
      "a call to somebody else before the decision: put what it says into the token or into data.yaml",
    );
  for (const [, field] of document.headers) {
    if (field.get("wristband") === null)
      report.unmapped(field, "a header for the server: name it in servers.NAME.headers or servers.NAME.credential");
  }
  return { vault: null, chain: [{ none: {} }], isGuard: () => false };
}
