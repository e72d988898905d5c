// `authentication` of an AuthPolicy: issuers of JWTs, and the rules that say whose callers count and as whom. Pure.
import { celTerm, type Translation } from "./cel.ts";
import { conditionsTerm, type ConditionContext } from "./conditions.ts";
import { literal, valueLiteral, type Term } from "./rego.ts";
import { selectedValue } from "./selector.ts";
import type { Report } from "./report.ts";
import type { Field } from "./source.ts";

/** An entry of `identity.issuers`. */
export interface ImportedIssuer {
  readonly issuer: string;
  readonly jwksUri: string | null;
  readonly audiences: readonly string[];
}

/** What to do about the ways to come in that are none of an issuer's tokens. */
const OTHER_WAYS: Readonly<Record<string, string>> = {
  apiKey: "keys stand in Secrets of the cluster: name them in identity.apiKeys (docs/callers.md)",
  kubernetesTokenReview: "service account tokens are JWTs: add the cluster's issuer to identity.issuers",
  oauth2Introspection: "opaque tokens are not accepted: let the issuer hand out JWTs",
  x509: "client certificates of callers come by a proxy: identity.proxies (docs/callers.md)",
  plain: "an identity that another filter found comes by a proxy: identity.proxies (docs/callers.md)",
  anonymous: "callers without a token: servers.NAME.public (docs/callers.md#public-servers)",
};

/** @param issuer of tokens whose entry has a `jwksUrl` alone @returns the issuers; writes `authenticated` and `identity` */
export function importAuthentication(
  rules: Field | null,
  owner: Field,
  { context, issuer }: { readonly context: ConditionContext; readonly issuer: string | null },
): ImportedIssuer[] {
  const entries = rules?.entries ?? [];
  if (entries.length === 0)
    context.report.unmapped(owner, "has no authentication: every caller needs a token here, so name an issuer");
  const seen = new Set<string>();
  const issuers = entries.flatMap(([, entry]) => {
    const found = oneEntry(entry, context, issuer);
    if (found === null) return [];
    // With conditions or claims of each, nobody could say which entry a token came by.
    if (seen.has(found.issuer))
      context.report.unmapped(entry, `has the issuer ${found.issuer}, which comes twice: make one entry of them`);
    return seen.size < seen.add(found.issuer).size ? [found] : [];
  });
  if (issuers.length === 0) context.rules.line("authenticated if 1 == 2", "", "identity := {} if 1 == 2");
  return issuers;
}

function oneEntry(entry: Field, context: ConditionContext, issuer: string | null): ImportedIssuer | null {
  const { report, rules } = context;
  const jwt = entry.get("jwt");
  entry.takeEach("priority", "metrics", "cache");
  const others = otherWays(entry, jwt !== null, report);
  if (jwt === null) {
    if (others === 0) report.unmapped(entry, "names no way to come in: jwt, with issuerUrl");
    // Its callers do not come in, whatever else it says of them.
    entry.take();
    return null;
  }
  const found = readIssuer(jwt, context, issuer);
  checkCredentials(entry.get("credentials"), context);
  if (found === null) {
    entry.take();
    return null;
  }
  rules.comment(`${entry.key} (line ${entry.line})`);
  const claims = { ...context, identity: "input.identity.claims" };
  const when = entry.get("when");
  const condition = when === null ? null : conditionsTerm(when, { ...context, identity: "input.identity.claims" });
  const conditions = [
    `input.identity.issuer == ${literal(found.issuer)}`,
    ...(condition === null ? [] : [`${condition} == true`]),
  ];
  const body = conditions.map((line) => `\t${line}\n`).join("");
  rules.line(`authenticated if {\n${body}}`);
  const [defaults, overrides] = ["defaults", "overrides"].map((name) => properties(entry.get(name), claims));
  const value =
    defaults === "{}" && overrides === "{}"
      ? claims.identity
      : `cel.extended(${claims.identity}, ${defaults}, ${overrides})`;
  rules.line(`identity := ${value} if {\n${body}}`);
  return found;
}

/** Names the ways to come in that are no tokens. @returns how many there are */
function otherWays(entry: Field, hasJwt: boolean, report: Report): number {
  const found = Object.entries(OTHER_WAYS).flatMap(([name, advice]) => {
    const field = entry.get(name);
    return field === null ? [] : [{ field, advice }];
  });
  for (const { field, advice } of found) {
    if (hasJwt) report.unmapped(field, `stands beside jwt: ${advice}`);
    else report.leftOut(field, advice);
  }
  return found.length;
}

function readIssuer(jwt: Field, { report }: Translation, given: string | null): ImportedIssuer | null {
  jwt.takeEach("ttl", "timeout");
  const [issuerUrl, jwksUrl] = ["issuerUrl", "jwksUrl"].map((name) => jwt.get(name)?.text ?? null);
  const issuer = issuerUrl ?? (jwksUrl == null ? null : given);
  if (issuer === null) {
    report.leftOut(jwt, "does not say whose tokens these are (`iss`): add issuerUrl, or import with --issuer URL");
    return null;
  }
  const audiences = jwt.get("audiences")?.items.flatMap(({ text }) => text ?? []) ?? [];
  if (audiences.length === 0)
    report.note(
      jwt,
      "Authorino takes tokens for any audience; here `aud` must name the endpoint or one of identity.issuers[].audiences",
    );
  return { issuer, jwksUri: jwksUrl ?? null, audiences };
}

/** Tokens come as `Authorization: Bearer`, and no other way. */
function checkCredentials(credentials: Field | null, { report }: Translation): void {
  for (const [name, field] of credentials?.entries ?? []) {
    const prefix = field.get("prefix")?.text ?? "Bearer";
    if (name === "authorizationHeader" && prefix.toLowerCase() === "bearer") continue;
    report.unmapped(field, "tokens come as `Authorization: Bearer` here: let clients send them so");
  }
}

/** `defaults` or `overrides` as a Rego object. */
function properties(map: Field | null, translation: Translation): Term {
  const members = (map?.entries ?? []).map(([name, field]) => `${literal(name)}: ${propertyTerm(field, translation)}`);
  return members.length === 0 ? "{}" : `{${members.join(", ")}}`;
}

function propertyTerm(field: Field, translation: Translation): Term {
  const [name, ...others] = field.entries.map(([one]) => one);
  const value = field.get(name ?? "");
  if (value !== null && others.length === 0) {
    if (name === "expression" && value.text !== null)
      return celTerm({ text: value.text, line: value.firstLine, key: value.key }, translation);
    if (name === "selector") return selectedValue(value, translation);
    const constant = name === "value" ? valueLiteral(value.value) : null;
    if (constant !== null) return constant;
  }
  translation.report.leftOut(field, "is no value, selector or expression");
  return translation.rules.unmapped(field.line);
}
