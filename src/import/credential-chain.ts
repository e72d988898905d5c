// The credentials that an AuthPolicy tries in order, and what its conditions say while a chain asks for one after another. Pure.
import type { ASTNode } from "@marcbachmann/cel-js";
import { pathOf } from "./cel.ts";
import type { MetadataSource } from "./metadata-source.ts";

/** One credential: the entry that fetches it, and the field of its answer. */
export interface Link {
  readonly name: string;
  readonly source: MetadataSource;
  readonly field: string;
}

/** Credentials in the order in which they are tried. */
interface Chain {
  readonly links: readonly Link[];
  readonly sources: Sources;
}

export type Sources = ReadonlyMap<string, MetadataSource>;
export type Vault = Extract<MetadataSource, { kind: "vault" }>;
export type Login = Extract<MetadataSource, { kind: "login" }>;

/** The log-in whose token a read of a Vault has; null for one with a token of its own. */
export function loginOf({ auth }: Vault, sources: Sources): Login | null {
  const source = "login" in auth ? sources.get(auth.login) : undefined;
  return source?.kind === "login" ? source : null;
}

/** What is known at one moment of a chain: places below `auth.metadata` that hold a credential, or hold none. */
interface Moment {
  readonly found: readonly (readonly string[])[];
  readonly missing: readonly (readonly string[])[];
}

/** Null where it cannot be told, or the source has an error. */
type Truth = boolean | null;

/** Where a link's credential stands. */
function placeOf({ name, source, field }: Link): readonly string[] {
  return source.kind === "vault" ? [name, "data", "data", field] : [name, field];
}

/** The log-in with the caller's own token: the chain does it before it reads. Of another's token, nothing is known here. */
function loginPlaces({ source }: Link, sources: Sources): readonly (readonly string[])[] {
  if (source.kind !== "vault" || !("login" in source.auth)) return [];
  return loginOf(source, sources)?.caller === true ? [[source.auth.login, "auth", "client_token"]] : [];
}

/** The chain that an expression asks in order; null for any other. */
export function linksOf(node: ASTNode, sources: Sources): readonly Link[] | null {
  if (node.op === "?:") return choiceOf(node.args, sources);
  const [auth, metadata, name = "", ...path] = pathOf(node) ?? [];
  const source = auth === "auth" && metadata === "metadata" ? sources.get(name) : undefined;
  const field = source === undefined ? null : fieldOf(source, path);
  return source === undefined || field === null ? null : [{ name, source, field }];
}

/** `found ? one : other`: true where the first was found, false where it was not. */
function choiceOf(
  [condition, yes, no]: readonly [ASTNode, ASTNode, ASTNode],
  sources: Sources,
): readonly Link[] | null {
  const [first, second] = [linksOf(yes, sources), linksOf(no, sources)];
  const [one, ...more] = first ?? [];
  if (one === undefined || more.length > 0 || second === null) return null;
  const login = loginPlaces(one, sources);
  const whenFound = truthOf(condition, { found: [placeOf(one), ...login], missing: [] });
  const whenMissing = truthOf(condition, { found: login, missing: [placeOf(one)] });
  return whenFound === true && whenMissing === false ? [one, ...second] : null;
}

/** The part of an answer that is a credential; null for another part. */
function fieldOf({ kind }: MetadataSource, path: readonly string[]): string | null {
  if (kind === "login") return null;
  if (kind !== "vault") return path.join(".") === "access_token" ? "access_token" : null;
  const [data, inner, field, ...more] = path;
  return data === "data" && inner === "data" && more.length === 0 ? (field ?? null) : null;
}

/** True for a condition that holds wherever all links found something, which the chain demands of itself. */
export function asksOfFound(condition: ASTNode, { links, sources }: Chain): boolean {
  const found = links.flatMap((link) => [placeOf(link), ...loginPlaces(link, sources)]);
  return truthOf(condition, { found, missing: [] }) === true;
}

/** True for a condition of an entry that holds whenever the chain comes to it: what is before it was not found. */
export function isKeptByOrder(condition: ASTNode, name: string, { links, sources }: Chain): boolean {
  const isOf = (link: Link) =>
    link.name === name ||
    (link.source.kind === "vault" && "login" in link.source.auth && link.source.auth.login === name);
  const index = links.findIndex(isOf);
  const [link] = links.slice(index);
  if (index === -1 || link === undefined) return false;
  const missing = links.slice(0, index).map(placeOf);
  const found = link.name === name ? loginPlaces(link, sources) : [];
  return truthOf(condition, { found, missing }) === true;
}

function truthOf(node: ASTNode, moment: Moment): Truth {
  if (node.op === "value") return typeof node.args === "boolean" ? node.args : null;
  if (node.op === "!_") return negated(truthOf(node.args, moment));
  if (node.op === "&&") return every(node.args.map((one) => truthOf(one, moment)));
  if (node.op === "||") return negated(every(node.args.map((one) => negated(truthOf(one, moment)))));
  if (node.op === "==") return typeIs(node.args, moment);
  if (node.op === "!=") return negated(typeIs(node.args, moment));
  const place = askedFor(node);
  return place === null ? null : isThere(place, moment);
}

const negated = (truth: Truth): Truth => (truth === null ? null : !truth);

function every(truths: readonly Truth[]): Truth {
  if (truths.includes(false)) return false;
  return truths.includes(null) ? null : true;
}

/** Of `has(auth.metadata.vault.data)`, or `auth.metadata.exists(p, p == "vault")`. */
function askedFor(node: ASTNode): readonly string[] | null {
  if (node.op === "call" && node.args[0] === "has") return metadataPlace(node.args[1]);
  if (node.op !== "rcall" || node.args[0] !== "exists") return null;
  const [, of, [variable, body]] = node.args;
  const base = metadataPlace([of]);
  const name = variable?.op === "id" && body?.op === "==" ? comparedWith(variable.args, body.args) : null;
  return base === null || name === null ? null : [...base, name];
}

/** The text that a variable is compared with. */
function comparedWith(variable: string, [left, right]: readonly [ASTNode, ASTNode]): string | null {
  const isIt = left.op === "id" && left.args === variable && right.op === "value";
  return isIt && typeof right.args === "string" ? right.args : null;
}

/** The path below `auth.metadata`, from the entry's name on. */
function metadataPlace([node, ...more]: readonly ASTNode[]): readonly string[] | null {
  const [auth, metadata, ...place] = (node && pathOf(node)) ?? [];
  return auth === "auth" && metadata === "metadata" && more.length === 0 ? place : null;
}

const isPrefix = (place: readonly string[], of: readonly string[]) => place.every((part, i) => of[i] === part);

/** Of an entry alone nothing is told by what was not found: Authorino keeps the body of an error too. */
function isThere(place: readonly string[], { found, missing }: Moment): Truth {
  if (found.some((one) => isPrefix(place, one))) return true;
  return place.length > 1 && missing.some((one) => isPrefix(place, one)) ? false : null;
}

/** `type(auth.metadata.vault.data.data.token) == string`: of what is missing, an error. */
function typeIs([asked, type]: readonly [ASTNode, ASTNode], { found }: Moment): Truth {
  if (asked.op !== "call" || asked.args[0] !== "type" || type.op !== "id") return null;
  const place = metadataPlace(asked.args[1]);
  const at = place === null ? undefined : found.find((one) => isPrefix(place, one));
  if (place === null || at === undefined) return null;
  return type.args === (at.length === place.length ? "string" : "map");
}

/** True for a condition that leaves out only tokens that are for the server already: such a token is exchanged too here. */
export function asksOwnAudience(node: ASTNode): boolean {
  const parts = node.op === "||" ? alternatives(node) : [node];
  const isAudience = (one: ASTNode) => pathOf(one)?.join(".") === "auth.identity.aud";
  const isOther = (one: ASTNode) =>
    one.op === "!=" && isAudience(one.args[0]) && pathOf(one.args[1])?.join(".") === "request.headers.x-mcp-servername";
  const isList = (one: ASTNode) => {
    if (one.op !== "!=") return false;
    const [asked, type] = one.args;
    if (asked.op !== "call" || asked.args[0] !== "type" || type.op !== "id" || type.args !== "string") return false;
    return asked.args[1].length === 1 && asked.args[1].every(isAudience);
  };
  return parts.some(isOther) && parts.every((one) => isOther(one) || isList(one));
}

function alternatives(node: ASTNode): readonly ASTNode[] {
  return node.op === "||" ? node.args.flatMap(alternatives) : [node];
}
