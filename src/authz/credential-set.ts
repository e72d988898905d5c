// The credentials of one caller for several servers, in one header from serve to the broker: a stream of `subscriptions/listen`
// may concern several. Pure.
import { z } from "zod";
import { parseJson } from "../json/parse.ts";
import { SERVER_NAME } from "../mcp/resolver.ts";
import { Secret } from "../secret/secret.ts";
import { relayHeaders } from "./credential-parts.ts";
import { HEADER_VALUE } from "./header-value.ts";
import type { Credential } from "./types.ts";

/** Set by serve for a stream that names resources; removed from every other request. */
export const CREDENTIAL_SET_HEADER = "x-upstream-credentials";
/** Of the header: with a wristband of 32 KiB there is room for the client's own headers below 64 KiB. */
const MAX_CHARS = 16 * 1024;

/** A set, and the servers that have a place in it. */
export interface CredentialSet {
  /** Base64url of JSON; null for an empty set. */
  readonly header: Secret | null;
  readonly servers: ReadonlySet<string>;
}

/** By server: the headers that a relayed call to it would bring. */
export type CredentialHeaders = Readonly<Record<string, string | undefined>>;

const value = z.string().regex(HEADER_VALUE).optional();
const headers = z.strictObject({
  "x-upstream-authorization": value,
  "x-upstream-header": value,
  "x-upstream-more": value,
});
const set = z.record(z.string().regex(SERVER_NAME), headers);

/** Puts credentials into one header. A server whose credential cannot be a header, or has no room, is left out. */
export function encodeCredentials(credentials: ReadonlyMap<string, Credential>): CredentialSet {
  const entries: Record<string, Record<string, string>> = {};
  let bytes = "{}".length;
  for (const [server, credential] of credentials) {
    const sent = relayHeaders(credential);
    const entry = Object.fromEntries(sent);
    const more = Buffer.byteLength(JSON.stringify({ [server]: entry }));
    const isSendable = [...sent.values()].every((text) => HEADER_VALUE.test(text));
    if (!isSendable || (bytes + more) * (4 / 3) > MAX_CHARS) continue;
    bytes += more;
    entries[server] = entry;
  }
  const servers = new Set(Object.keys(entries));
  const text = Buffer.from(JSON.stringify(entries)).toString("base64url");
  return { header: servers.size === 0 ? null : new Secret(text), servers };
}

/** The headers of a set, by server. Null for whatever is none. */
export function decodeCredentials(text: string): ReadonlyMap<string, CredentialHeaders> | null {
  if (text.length > MAX_CHARS || !/^[A-Za-z0-9_-]+$/.test(text)) return null;
  const read = set.safeParse(parsed(Buffer.from(text, "base64url").toString()));
  return read.success ? new Map(Object.entries(read.data)) : null;
}

function parsed(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return null;
  }
}
