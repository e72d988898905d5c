// `metadata` and the headers of success of an AuthPolicy: whose credential a server gets, and which headers beside it. Pure.
import { isDeepStrictEqual } from "node:util";
import type { ASTNode } from "@marcbachmann/cel-js";
import { templateOf, templateText, type ServerNames, type TemplatePart } from "./caller-template.ts";
import { parseCel } from "./cel.ts";
import type { ConditionContext } from "./conditions.ts";
import { asksOfFound, asksOwnAudience, isKeptByOrder, linksOf, loginOf, type Sources } from "./credential-chain.ts";
import { credentialsOf, openOf, vaultSection, vaultsOf, type Carried } from "./credential-section.ts";
import { metadataSource, parsedField, type MetadataSource } from "./metadata-source.ts";
import type { PolicyDocument } from "./policy-document.ts";
import { selectedPath } from "./selector.ts";
import type { Field } from "./source.ts";

/** What servers get, in the form of the configuration. */
export interface ImportedCredentials {
  readonly vault: object | null;
  /** `claims.username` of the issuers; null for the default. */
  readonly username: string | null;
  /** Keys of one server. */
  readonly of: (server: ServerNames) => { readonly credential: readonly object[]; readonly headers?: object };
  /** True for an entry of `authorization` that says only that a credential was found. */
  readonly isGuard: (entry: Field) => boolean;
  /** Secrets and names that the operator fills in. */
  readonly open: readonly string[];
  /** Everything that is asked. */
  readonly urls: readonly string[];
}

type Parts = readonly TemplatePart[];

/** What the source fetches, and what of it goes on. */
interface Found {
  readonly sources: Sources;
  readonly chain: Carried | null;
  /** Headers of no secret, by name. */
  readonly fixed: ReadonlyMap<string, Parts>;
}

export function readCredentials(document: PolicyDocument, context: ConditionContext): ImportedCredentials {
  const { report } = context;
  const sources = readSources(document, context);
  const carried = readHeaders(document, { context, sources });
  const chain = carried.chain ?? unused(document, sources, context);
  const found = { sources, chain, fixed: carried.fixed };
  for (const [name, entry] of document.metadata) {
    checkWhen(name, entry, { context, found });
    checkVault(name, entry, { context, found });
    noteUnused(name, entry, { context, found });
  }
  if (chain === null)
    report.note(
      document.rules,
      "the server got the client's own token; here no server ever does: name its credential in servers.NAME.credential",
    );
  return written(found, context);
}

function readSources({ metadata }: PolicyDocument, context: ConditionContext): Sources {
  const sources = new Map<string, MetadataSource>();
  const names = new Set<string>();
  for (const [name, entry] of metadata) {
    if (names.has(name)) context.report.unmapped(entry, "comes twice: rename one of them");
    names.add(name);
    const source = metadataSource(entry, context);
    if (source !== null) sources.set(name, source);
  }
  return sources;
}

interface Asked {
  readonly context: ConditionContext;
  readonly found: Found;
}

/** A condition of a call: only what the order of a chain keeps. */
function checkWhen(name: string, entry: Field, { context: { report }, found: { sources, chain } }: Asked): void {
  const links = chain?.links ?? [];
  for (const item of entry.get("when")?.items ?? []) {
    const predicate = item.get("predicate");
    const ast = parsedField(predicate, report);
    const isExchange = sources.get(name)?.kind === "exchange";
    if (ast !== null && (isKeptByOrder(ast, name, { links, sources }) || (isExchange && asksOwnAudience(ast))))
      continue;
    report.unmapped(
      predicate ?? item,
      "decides whether a credential is fetched; here a chain is asked for every allowed call: name it by hand",
    );
  }
}

/** One Vault, and one way to log in at it: of a second, nothing would be known. */
function checkVault(name: string, entry: Field, { context: { report }, found: { sources, chain } }: Asked): void {
  const source = sources.get(name);
  if (source?.kind !== "vault" || chain?.links.some((link) => link.name === name) !== true) return;
  const login = loginOf(source, sources);
  if ("login" in source.auth && login === null)
    report.unmapped(
      entry,
      `asks with the token of ${source.auth.login}, which is no log-in at a Vault: name its credential by hand`,
    );
  if (login !== null && login.address !== source.address)
    report.unmapped(entry, "reads another Vault than that at which it logs in: name its credential by hand");
  const [first] = vaultsOf(chain.links);
  if (first !== undefined && (first.address !== source.address || !isDeepStrictEqual(first.auth, source.auth)))
    report.unmapped(
      entry,
      "is of a second Vault, or of another log-in there; here is one: name its credential by hand",
    );
}

/** A call whose answer no credential has. A client's token is for another log-in than the caller's. */
function noteUnused(name: string, entry: Field, { context: { report }, found: { sources, chain } }: Asked): void {
  const source = sources.get(name);
  if (source === undefined || chain === null) return;
  const logins = vaultsOf(chain.links).flatMap(({ auth }) => ("login" in auth ? [auth.login] : []));
  const isLogIn =
    logins.some((login) => login === name || sources.get(login)?.kind === "login") && source.kind !== "vault";
  if (!isLogIn && !chain.links.some((link) => link.name === name))
    report.note(entry, "is not asked here: no header that is mapped carries what it answers");
}

interface Reading {
  readonly context: ConditionContext;
  readonly sources: Sources;
}

/** What goes on to the servers: one chain of credentials, and headers of no secret. */
function readHeaders({ headers }: PolicyDocument, reading: Reading): Omit<Found, "sources"> {
  const { report } = reading.context;
  const fixed = new Map<string, Parts>();
  const names = new Set<string>();
  let chain: Carried | null = null;
  for (const [name, entry] of headers) {
    if (entry.get("wristband") !== null) continue;
    const header = (entry.get("key")?.text ?? name).toLowerCase();
    if (names.has(header)) report.unmapped(entry, `writes the header ${header} a second time: take one of them out`);
    names.add(header);
    const carried = headerOf(header, entry, reading);
    if (carried === null) continue;
    if (!("links" in carried)) fixed.set(header, carried);
    else if (chain === null) chain = carried;
    else
      report.unmapped(
        entry,
        "a server gets one chain of credentials: name the second in servers.NAME.credential by hand",
      );
  }
  return { chain, fixed };
}

/** @returns a chain, or the parts of a header of no secret; null for what is not mapped, which is reported */
function headerOf(header: string, entry: Field, { context, sources }: Reading): Carried | Parts | null {
  const { report } = context;
  entry.takeEach("priority", "metrics", "cache");
  const others = entry.only(["plain", "key", "priority", "metrics", "cache"], (field) =>
    report.unmapped(field, "is not mapped for a header: name the header in servers.NAME by hand"),
  );
  const plain = entry.get("plain");
  if (plain === null && others === 0)
    report.unmapped(entry, "has no plain value: name the header in servers.NAME by hand");
  const ast = plain === null ? null : valueNode(plain, context);
  if (plain === null || ast === null) return null;
  const [scheme, value] =
    ast.op === "+" && ast.args[0].op === "value" ? [String(ast.args[0].args), ast.args[1]] : ["", ast];
  const links = linksOf(value, sources);
  if (links !== null) return { header, scheme: scheme.trim(), links };
  const parts = header === "authorization" ? null : templateOf(ast);
  if (parts === null)
    report.unmapped(
      plain,
      "is neither a credential that was fetched, nor a constant or a claim: name it in servers.NAME.credential or headers by hand",
    );
  return parts;
}

/** The expression of a plain value; a constant and a selector are expressions too. */
function valueNode(plain: Field, { report }: ConditionContext): ASTNode | null {
  const [value, selector, expression] = ["value", "selector", "expression"].map((name) => plain.get(name) ?? null);
  if (expression?.text != null) return parsedField(expression, report);
  const text = value?.text == null ? selectedPath(selector?.text ?? "") : JSON.stringify(value.text);
  if (text !== null) return parseCel({ text, line: plain.line, key: plain.key }, report);
  report.unmapped(plain, "is no text, selector or expression");
  return null;
}

/** Metadata that no header carries. A single read of Vault becomes the Authorization header; else all of it is unmapped. */
function unused(document: PolicyDocument, sources: Sources, { report }: ConditionContext): Carried | null {
  const vaults = [...sources].flatMap(([name, source]) =>
    source.kind === "vault" ? [{ name, source, field: "token" }] : [],
  );
  const [only] = vaults;
  if (only !== undefined && vaults.length === 1) {
    const [, entry = document.rules] = document.metadata.find(([name]) => name === only.name) ?? [];
    report.note(entry, "no header carries it: the field `token` goes to the server as `Authorization: Bearer` here");
    return { header: "authorization", scheme: "Bearer", links: [only] };
  }
  for (const [name, entry] of document.metadata)
    if (sources.has(name))
      report.unmapped(entry, "no header carries what it answers: take it out, or name the credential by hand");
  return null;
}

function written({ sources, chain, fixed }: Found, { report }: ConditionContext): ImportedCredentials {
  const links = chain?.links ?? [];
  const isUsername = (part: TemplatePart) => part.kind === "claim" && part.path.join(".") === "username";
  const username = vaultsOf(links).some(({ path }) => path.some(isUsername)) ? "username" : null;
  const claim = username ?? "preferred_username";
  const headersFor = (server: ServerNames) =>
    Object.fromEntries([...fixed].map(([name, parts]) => [name, templateText(parts, claim, server)]));
  return {
    vault: vaultSection(links, sources),
    username,
    of: (server) => ({
      ...(fixed.size > 0 && { headers: headersFor(server) }),
      credential: chain === null ? [{ none: {} }] : credentialsOf(chain, { server, sources, claim }),
    }),
    isGuard: (entry) => {
      if (links.length === 0 || !isFoundGuard(entry, report, (ast) => asksOfFound(ast, { links, sources })))
        return false;
      if (links.length > 1)
        report.unmapped(entry, "demands one of several credentials: take the others out, or this entry");
      return true;
    },
    open: openOf(links),
    urls: links.map(({ source }) =>
      source.kind === "vault" || source.kind === "login" ? source.address : source.endpoint,
    ),
  };
}

/** True where an entry asks, of every call that policy is asked of, that a credential was found. */
function isFoundGuard(entry: Field, report: ConditionContext["report"], isOfFound: (ast: ASTNode) => boolean): boolean {
  const names = entry.entries.map(([name]) => name);
  if (names.some((name) => !["patternMatching", "priority", "metrics", "cache"].includes(name))) return false;
  const items = entry.at("patternMatching", "patterns")?.items ?? [];
  const asts = items.map((item) => parsedField(item.get("predicate"), report));
  return asts.length > 0 && asts.every((ast) => ast !== null && isOfFound(ast));
}
