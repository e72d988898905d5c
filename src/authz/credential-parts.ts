// Where the parts of a credential stand: headers, or the query of a server that wants it there; and their form on the way to
// the broker. Pure.
import { hash } from "node:crypto";
import { parseJson } from "../json/parse.ts";
import { Secret } from "../secret/secret.ts";
import type { Credential, HeaderPart } from "./types.ts";

/** Before the name of a query parameter, where the name of a header stands otherwise. No header can have such a name. */
const QUERY = ":query:";

/** The place of a credential in the query. */
export function inQuery(parameter: string): string {
  return `${QUERY}${parameter}`;
}

/** The parameter's name for a place in the query, or null for a header. */
export function parameterOf(place: string): string | null {
  return place.startsWith(QUERY) ? place.slice(QUERY.length) : null;
}

/** The names that are headers. */
export function headersAmong(places: Iterable<string>): string[] {
  return [...places].filter((place) => parameterOf(place) === null);
}

/** All parts that a server gets, the main one first. */
export function partsOf({ header, value, more = [], assertion }: Credential): readonly HeaderPart[] {
  return [...(value === null ? [] : [{ header, value }]), ...more, ...(assertion === undefined ? [] : [assertion])];
}

/** Further parts on the way to the broker. */
export interface MoreParts {
  readonly more: readonly HeaderPart[];
  /** What tells sessions at the server apart; null for the values themselves. */
  readonly session: string | null;
}

/**
 * The header with what is not the main part, or null where there is nothing. Values that are signed for one call change with each:
 * a digest of what stays stands in their place where sessions are told apart.
 */
export function writeMore({ header, value, more = [], assertion, stable }: Credential): string | null {
  const others = [...more, ...(assertion === undefined ? [] : [assertion])];
  const isVolatile = stable !== undefined || assertion !== undefined;
  if (others.length === 0 && !isVolatile) return null;
  const main = [header, stable ?? value?.reveal() ?? null];
  const lasting = [main, more.map((part) => [part.header, part.value.reveal()]), assertion?.stable ?? null];
  const session = isVolatile ? hash("sha256", JSON.stringify(lasting), "base64url") : null;
  const headers = others.map((part) => [part.header, part.value.reveal()]);
  return Buffer.from(JSON.stringify({ headers, session })).toString("base64url");
}

/** The headers in which a credential goes to the broker, which sends it in the one that `x-upstream-header` names, else `authorization`. */
export function relayHeaders(credential: Credential): Map<string, string> {
  const { header, value } = credential;
  const more = writeMore(credential);
  return new Map([
    ...(more === null ? [] : [["x-upstream-more", more] as const]),
    ...(value === null ? [] : [["x-upstream-authorization", value.reveal()] as const]),
    ...(value === null || header === "authorization" ? [] : [["x-upstream-header", header] as const]),
  ]);
}

/** Reads what {@link writeMore} wrote; null for anything else. */
export function readMore(text: string): MoreParts | null {
  let json: unknown;
  try {
    json = parseJson(Buffer.from(text, "base64url").toString());
  } catch {
    return null;
  }
  if (typeof json !== "object" || json === null || !("headers" in json) || !("session" in json)) return null;
  const { headers, session } = json;
  if (!Array.isArray(headers) || !(session === null || typeof session === "string")) return null;
  const more = (headers as readonly unknown[]).map(partOf);
  if (more.includes(null) || new Set(more.map((part) => part?.header)).size !== more.length) return null;
  return { more: more.filter((part) => part !== null), session };
}

function partOf(pair: unknown): HeaderPart | null {
  if (!Array.isArray(pair) || pair.length !== 2) return null;
  const [header, value] = pair as readonly unknown[];
  return typeof header === "string" && typeof value === "string" ? { header, value: new Secret(value) } : null;
}
