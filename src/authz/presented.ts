// Takes what a caller presents out of the headers: exactly one credential, or none. Pure.
// RFC 6750 §2.1 (Bearer), RFC 7617 §2 (Basic), RFC 9449 §7.1 (DPoP). Query and cookies are not read.
import { pass, refuse, type Step } from "./step.ts";
import type { RequestHeaders } from "./types.ts";

export const MAX_TOKEN_BYTES = 16 * 1024;
/** Characters of a key; a key of ours is shorter. */
const MAX_KEY = 512;
/** The scheme in any case, one space, one b64token. */
const CREDENTIALS = /^bearer ([A-Za-z0-9\-._~+/]+=*)$/i;
const DPOP = /^dpop ([A-Za-z0-9\-._~+/]+=*)$/i;
const BASIC = /^basic ([A-Za-z0-9+/]+={0,2})$/i;
const VISIBLE = /^[\x21-\x7e]+$/;

/** What a caller presents. Nothing in it is verified. */
export type Presented =
  | { readonly by: "nothing" }
  /** A proxy's words on the caller; null for a header that comes twice. */
  | { readonly by: "proxy"; readonly values: ReadonlyMap<string, string | null> }
  /** An access token, or a key that is sent like one. */
  | { readonly by: "bearer"; readonly token: string }
  /** An access token with a proof of its key (RFC 9449 §7.1). */
  | { readonly by: "dpop"; readonly token: string; readonly proof: string }
  | PresentedKey;

/** A key of the configuration, in one of the ways in which it may be sent. */
export type PresentedKey =
  | { readonly by: "key"; readonly header: string; readonly key: string }
  | { readonly by: "basic"; readonly name: string; readonly key: string };

export interface PresentedSettings {
  /** Names of the headers that carry keys. */
  readonly keyHeaders: ReadonlySet<string>;
  /** True if a key may come as a password. */
  readonly basic: boolean;
  /** Names of the headers in which trusted proxies name callers. */
  readonly proxyHeaders: ReadonlySet<string>;
  /** True if an issuer's tokens may be bound to a key. */
  readonly dpop: boolean;
}

/**
 * Reads the one credential of a request. Two at once are refused, whatever they are: the caller could be either, and nobody
 * should guess which one an upstream, a proxy or a log took it for.
 */
export function readPresented(headers: RequestHeaders, settings: PresentedSettings): Step<Presented> {
  const keyHeaders = [...settings.keyHeaders].filter((name) => headers.get(name) !== undefined);
  const isAuthorized = headers.get("authorization") !== undefined;
  const proxied = [...settings.proxyHeaders].filter((name) => headers.get(name) !== undefined);
  const kinds = keyHeaders.length + (isAuthorized ? 1 : 0) + (proxied.length > 0 ? 1 : 0);
  if (kinds > 1) return refuse("header_malformed", "two credentials at once");
  if (proxied.length > 0) {
    const valueOf = (name: string) => (headers.repeated(name) ? null : (headers.get(name) ?? null));
    return pass({ by: "proxy", values: new Map(proxied.map((name) => [name, valueOf(name)])) });
  }
  const [header] = keyHeaders;
  if (header !== undefined) return keyOf(headers, header);
  return isAuthorized ? authorizationOf(headers, settings) : pass({ by: "nothing" });
}

function keyOf(headers: RequestHeaders, header: string): Step<Presented> {
  const key = headers.get(header) ?? "";
  if (headers.repeated(header)) return refuse("header_malformed", "several keys");
  return isKey(key) ? pass({ by: "key", header, key }) : refuse("token_invalid", "not one key");
}

function isKey(key: string): boolean {
  return key.length <= MAX_KEY && VISIBLE.test(key);
}

function authorizationOf(headers: RequestHeaders, settings: PresentedSettings): Step<Presented> {
  const value = headers.get("authorization") ?? "";
  if (value.length > MAX_TOKEN_BYTES) return refuse("header_too_large", "authorization");
  if (headers.repeated("authorization") || value.includes(","))
    return refuse("header_malformed", "several authorization");
  if (settings.dpop && isScheme(value, "dpop")) return provenOf(headers, value);
  const token = CREDENTIALS.exec(value)?.[1];
  if (token !== undefined) return pass({ by: "bearer", token });
  if (settings.basic && isScheme(value, "basic")) return basicOf(value);
  // RFC 6750 §3.1: a request with another scheme carries no token of ours, so the challenge names no error.
  return isScheme(value, "bearer") ? refuse("token_invalid", "not one b64token") : refuse("token_missing", "scheme");
}

function isScheme(value: string, scheme: string): boolean {
  return /^[a-z]+(?=\s|$)/i.exec(value)?.[0].toLowerCase() === scheme;
}

/** A token with exactly one proof (RFC 9449 §4.3). */
function provenOf(headers: RequestHeaders, value: string): Step<Presented> {
  const token = DPOP.exec(value)?.[1];
  const proof = headers.get("dpop") ?? "";
  if (token === undefined) return refuse("token_invalid", "not one token");
  if (proof === "" || headers.repeated("dpop") || proof.includes(",")) return refuse("proof_invalid", "not one proof");
  return pass({ by: "dpop", token, proof });
}

/** The user is the key's name, up to the first colon (RFC 7617 §2). */
function basicOf(value: string): Step<Presented> {
  const encoded = BASIC.exec(value)?.[1] ?? "";
  const bytes = Buffer.from(encoded, "base64");
  const text = bytes.toString("latin1");
  const colon = text.indexOf(":");
  const isWhole = encoded !== "" && bytes.toString("base64") === encoded;
  if (!isWhole || colon < 1 || !isKey(text.slice(colon + 1)))
    return refuse("token_invalid", "not one user and password");
  return pass({ by: "basic", name: text.slice(0, colon), key: text.slice(colon + 1) });
}
