// `metadata` and the headers of success of an AuthPolicy: whose credential a server gets, and which headers beside it. Pure.
import type { ASTNode } from "@marcbachmann/cel-js";
import { templateOf, templateText, type ServerNames, type TemplatePart } from "./caller-template.ts";
import { parseCel, pathOf } from "./cel.ts";
import type { ConditionContext } from "./conditions.ts";
import {
  asksMetadataOnly,
  metadataPlaces,
  metadataSource,
  parsedField,
  type MetadataSource,
} from "./metadata-source.ts";
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

interface Link {
  readonly name: string;
  readonly source: MetadataSource;
  readonly field: string;
}

interface Carried {
  readonly header: string;
  readonly scheme: string;
  readonly links: readonly Link[];
}

type Sources = ReadonlyMap<string, MetadataSource>;

export function readCredentials(document: PolicyDocument, context: ConditionContext): ImportedCredentials {
  const sources = new Map(
    document.metadata.flatMap(([name, entry]) => {
      const source = metadataSource(entry, context);
      return source === null ? [] : [[name, source] as const];
    }),
  );
  const fixed = new Map<string, readonly TemplatePart[]>();
  const carried = document.headers.flatMap(([name, entry]) =>
    entry.get("wristband") === null ? (headerOf(name, entry, { context, sources, fixed }) ?? []) : [],
  );
  const chain = carried[0] ?? unused(document, sources, context);
  for (const [, entry] of document.metadata) checkWhen(entry, { context, sources, links: chain?.links ?? [] });
  for (const [name, entry] of document.headers)
    if (carried.slice(1).some(({ header }) => header === name.toLowerCase()))
      context.report.unmapped(
        entry,
        "a server gets one chain of credentials: name the second in servers.NAME.credential by hand",
      );
  if (chain === null)
    context.report.note(
      document.rules,
      "the server got the client's own token; here no server ever does: name its credential in servers.NAME.credential",
    );
  return written({ sources, chain, fixed }, context);
}

/** A condition of a call: only what the order of a chain keeps. */
function checkWhen(
  entry: Field,
  { context: { report }, ...known }: Known & { readonly context: ConditionContext },
): void {
  for (const item of entry.get("when")?.items ?? []) {
    const predicate = item.get("predicate");
    const ast = parsedField(predicate, report);
    if (ast !== null && ((asksMetadataOnly(ast) && asksOfFound(ast, known)) || asksOwnAudience(ast))) continue;
    report.unmapped(
      predicate ?? item,
      "decides whether a credential is fetched; here a chain is asked for every allowed call: name it by hand",
    );
  }
}

/** What is fetched, and what of it goes on. */
interface Known {
  readonly sources: Sources;
  readonly links: readonly Link[];
}

/** True for a condition that asks only whether that was found which goes on: of another part of an answer it would restrict somebody. */
function asksOfFound(node: ASTNode, { sources, links }: Known): boolean {
  const found = [
    ...links.map(({ name, source, field }) => [name, ...(source.kind === "vault" ? ["data", "data"] : []), field]),
    ...[...sources].flatMap(([name, { kind }]) => {
      if (kind === "login") return [[name, "auth", "client_token"]];
      return kind === "client" ? [[name, "access_token"]] : [];
    }),
  ];
  return metadataPlaces(node).every((place) => found.some((one) => place.every((part, i) => one[i] === part)));
}

/** True for a condition on the token's own audience: such a token is exchanged too here. */
function asksOwnAudience(node: ASTNode): boolean {
  const path = pathOf(node)?.join(".");
  if (path !== undefined)
    return path === "auth.identity.aud" || path === "request.headers.x-mcp-servername" || path === "string";
  if (node.op === "||" || node.op === "==" || node.op === "!=") return node.args.every(asksOwnAudience);
  return node.op === "call" && node.args[0] === "type" && node.args[1].every(asksOwnAudience);
}

interface Reading {
  readonly context: ConditionContext;
  readonly sources: Sources;
  /** Headers of no secret, by name. */
  readonly fixed: Map<string, readonly TemplatePart[]>;
}

function headerOf(name: string, entry: Field, { context, sources, fixed }: Reading): Carried | null {
  const { report } = context;
  entry.only(
    ["plain", "key", "priority", "metrics", "cache"],
    report,
    "is not mapped for a header: name the header in servers.NAME by hand",
  );
  const header = (entry.get("key")?.text ?? name).toLowerCase();
  const plain = entry.get("plain");
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
  else fixed.set(header, parts);
  return null;
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

/** The chain that an expression asks in order; null for any other. */
function linksOf(node: ASTNode, sources: Sources): readonly Link[] | null {
  if (node.op === "?:") return choiceOf(node.args, sources);
  const [auth, metadata, name = "", ...path] = pathOf(node) ?? [];
  const source = auth === "auth" && metadata === "metadata" ? sources.get(name) : undefined;
  const field = source === undefined ? null : fieldOf(source, path);
  return source === undefined || field === null ? null : [{ name, source, field }];
}

/** `found ? one : other`. */
function choiceOf(
  [condition, yes, no]: readonly [ASTNode, ASTNode, ASTNode],
  sources: Sources,
): readonly Link[] | null {
  const [first, second] = [linksOf(yes, sources), linksOf(no, sources)];
  if (first === null || second === null || !isFoundGuard(condition)) return null;
  return asksOfFound(condition, { sources, links: first }) ? [...first, ...second] : null;
}

/** The part of an answer that is a credential; null for another part. */
function fieldOf({ kind }: MetadataSource, path: readonly string[]): string | null {
  if (kind === "login") return null;
  if (kind !== "vault") return path.join(".") === "access_token" ? "access_token" : null;
  const [data, inner, field, ...more] = path;
  return data === "data" && inner === "data" && more.length === 0 ? (field ?? null) : null;
}

/** True for a condition that holds where something was found: no `!`, no `||`. */
function isFoundGuard(node: ASTNode): boolean {
  if (node.op === "&&") return node.args.every(isFoundGuard);
  if (node.op === "==") return node.args[1].op === "id" && asksMetadataOnly(node.args[0]);
  return (node.op === "call" || node.op === "rcall") && asksMetadataOnly(node);
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

interface Found {
  readonly sources: Sources;
  readonly chain: Carried | null;
  readonly fixed: ReadonlyMap<string, readonly TemplatePart[]>;
}

function written({ sources, chain, fixed }: Found, { report }: ConditionContext): ImportedCredentials {
  const links = chain?.links ?? [];
  const vaults = links.flatMap(({ source }) => (source.kind === "vault" ? [source] : []));
  const username = vaults.some(({ path }) =>
    path.some((part) => part.kind === "claim" && part.path.join(".") === "username"),
  )
    ? "username"
    : null;
  const place = chain === null ? {} : placeOf(chain);
  const logins = vaults.flatMap(({ auth }) => ("login" in auth ? (sources.get(auth.login) ?? []) : []));
  const login = logins.find((source) => source.kind === "login") ?? null;
  const claim = username ?? "preferred_username";
  return {
    vault: vaults[0] === undefined ? null : vaultSection(vaults[0], login),
    username,
    of: (server) => ({
      ...(fixed.size > 0 && {
        headers: Object.fromEntries([...fixed].map(([name, parts]) => [name, templateText(parts, claim, server)])),
      }),
      credential:
        links.length === 0
          ? [{ none: {} }]
          : links.map((link) => credentialOf(link, { place, server, claim, asCaller: login?.caller === true })),
    }),
    isGuard: (entry) => {
      const needed = guardedBy(entry, report, { sources, links });
      if (needed === null) return false;
      if (links.length > 1)
        report.unmapped(entry, "demands one of several credentials: take the others out, or this entry");
      return links.length > 0;
    },
    open: [...new Set([...vaults.flatMap((vault) => openVault(vault)), ...links.flatMap(openClient)])],
    urls: links.map(({ source }) =>
      source.kind === "vault" || source.kind === "login" ? source.address : source.endpoint,
    ),
  };
}

function placeOf({ header, scheme }: Carried) {
  return {
    ...(header !== "authorization" && { header }),
    ...((scheme !== "Bearer" || header !== "authorization") && { scheme }),
  };
}

type Vault = Extract<MetadataSource, { kind: "vault" }>;
type Login = Extract<MetadataSource, { kind: "login" }>;

const SECRETS = "secrets";
const secretFile = (name: string) => ({ file: `${SECRETS}/${name}` });
const VAULT_TOKEN = "vault-token";

function vaultSection({ address, auth }: Vault, login: Login | null): object {
  return {
    address,
    auth: { token: secretFile("secret" in auth ? auth.secret : VAULT_TOKEN) },
    ...(login?.caller === true && { callerLogin: { mount: login.mount, role: login.role } }),
  };
}

interface Wanted {
  readonly place: object;
  readonly server: ServerNames;
  readonly claim: string;
  readonly asCaller: boolean;
}

function credentialOf({ source, field }: Link, { place, server, claim, asCaller }: Wanted): object {
  if (source.kind === "vault") {
    const path = templateText(source.path, claim, server);
    const { mount } = source;
    return { vault: { mount, path, ...(field !== "token" && { field }), ...(asCaller && { asCaller }), ...place } };
  }
  if (source.kind === "login") return { none: {} };
  const client = { id: CLIENT_ID, secret: secretFile(source.secret ?? "client-secret") };
  const scope = source.scope === null ? {} : { scope: source.scope };
  const { endpoint: tokenEndpoint } = source;
  if (source.kind === "client") return { client_credentials: { tokenEndpoint, client, ...scope, ...place } };
  const profile = tokenEndpoint.endsWith("/protocol/openid-connect/token") ? { profile: "keycloak" } : {};
  return {
    exchange: {
      tokenEndpoint,
      ...profile,
      client,
      audience: templateText(source.audience, claim, server),
      ...scope,
      ...place,
    },
  };
}

const CLIENT_ID = "replace-me";

function openVault({ auth }: Vault): string[] {
  return "secret" in auth
    ? [
        `${SECRETS}/${auth.secret}: the Vault token of that Secret; better vault.auth.approle or kubernetes (docs/credentials.md)`,
      ]
    : [
        `${SECRETS}/${VAULT_TOKEN}: how the gateway itself logs in at the Vault; better vault.auth.approle or kubernetes (docs/credentials.md)`,
      ];
}

function openClient({ source }: Link): string[] {
  if (source.kind !== "exchange" && source.kind !== "client") return [];
  return [
    `client.id, for ${CLIENT_ID}: the gateway's client at ${source.endpoint}, and ${SECRETS}/${source.secret ?? "client-secret"}: its secret alone, not base64(id:secret)`,
  ];
}

/** True where an entry asks, of every call that policy is asked of, that a credential was found; null for another entry. */
function guardedBy(entry: Field, report: ConditionContext["report"], known: Known): true | null {
  const names = entry.entries.map(([name]) => name);
  if (names.some((name) => !["patternMatching", "priority", "metrics", "cache"].includes(name))) return null;
  const items = entry.at("patternMatching", "patterns")?.items ?? [];
  const asts = items.map((item) => {
    return parsedField(item.get("predicate"), report);
  });
  return asts.length > 0 && asts.every((ast) => ast !== null && isFoundGuard(ast) && asksOfFound(ast, known))
    ? true
    : null;
}
