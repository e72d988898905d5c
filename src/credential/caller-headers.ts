// Headers that say something of the caller, from her verified token, beside whatever credential a server gets. Pure.
import type { Credential, HeaderPart, Identity } from "../authz/types.ts";
import { Secret } from "../secret/secret.ts";
import { fillTemplate, readTemplate } from "./caller-text.ts";
import type { CredentialSource, Lookup, RefusedCredential } from "./source.ts";

type AliasOf = (issuer: string) => string | null;

/** Adds the headers to what each kind of a chain finds. @param templates by header; a caller for whom one is empty is refused */
export function withCallerHeaders(
  source: CredentialSource,
  templates: Readonly<Record<string, string>>,
  aliasOf: AliasOf,
): CredentialSource {
  const names = Object.keys(templates);
  if (names.length === 0) return source;
  const read = Object.entries(templates).map(([header, text]) => ({ header, template: readTemplate(text) }));
  const partsOf = (identity: Identity): HeaderPart[] | string => {
    const caller = { ...identity, issuerAlias: aliasOf(identity.issuer) };
    const parts: HeaderPart[] = [];
    for (const { header, template } of read) {
      const value = fillTemplate(template, caller);
      if (value === null) return `the caller's token has no usable value for the header ${header}`;
      parts.push({ header, value: new Secret(value) });
    }
    return parts;
  };
  return {
    kind: source.kind,
    get(identity, signal, refused) {
      const parts = partsOf(identity);
      if (typeof parts === "string") return { refused: parts };
      const add = (lookup: Lookup): Lookup =>
        "found" in lookup ? { found: { ...lookup.found, more: [...(lookup.found.more ?? []), ...parts] } } : lookup;
      const lookup = source.get(identity, signal, refused && without(refused, names));
      return lookup instanceof Promise ? lookup.then(add) : add(lookup);
    },
  };
}

/** The credential as the kind itself knows it: its cache compares. */
function without(refused: RefusedCredential, names: readonly string[]): RefusedCredential {
  const { more = [], ...main } = refused.credential;
  const own = more.filter(({ header }) => !names.includes(header));
  const credential: Credential = own.length > 0 ? { ...main, more: own } : main;
  return { ...refused, credential };
}
