// Kinds of value that several sections of the configuration have: addresses, URLs, header names. Pure.
import { isIP } from "node:net";
import { z } from "zod";
import type { ListenAddress } from "../../http/listen.ts";
import { HEADER_VALUE } from "../../authz/header-value.ts";
import { SERVER_NAME } from "../../mcp/resolver.ts";

/** Milliseconds and the like. A timer of Node with more than 2^31-1 ms fires at once. */
export const positive = z.int().positive().max(2_147_483_647);
/** RFC 9110 §5.1 token, lower case. */
export const headerName = z.string().regex(/^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/, "must be a header name in lower case");
/** RFC 9110 §5.5: what every data plane passes on. */
export const headerValue = z.string().max(4096).regex(HEADER_VALUE, "must be visible ASCII, without spaces around it");
export const serverName = z
  .string()
  .regex(SERVER_NAME, "a server name is 1 to 63 of a-z, 0-9 and '-', and begins with a letter");
export const HOST_NAME = /^[a-z0-9.:[\]-]{1,255}$/;
export const hostName = z.string().regex(HOST_NAME, "must be a host name in lower case, without port");

/** RFC 6749 §3.3. */
const SCOPE = String.raw`[\x21\x23-\x5b\x5d-\x7e]+`;
export const scope = z.string().regex(new RegExp(`^${SCOPE}$`), "a scope is visible ASCII without spaces");
export const scopes = z
  .string()
  .regex(
    new RegExp(`^${SCOPE}(?: ${SCOPE})*$`),
    "names scopes with one space between them; to ask for none, leave it out",
  );

/** A path of the configuration, made absolute: paths are relative to the folder of the file. */
export type FileSchema = z.ZodType<string, string>;

/** An absolute URL: no user info, no fragment. */
export const absoluteUrl = z.string().superRefine((text, ctx) => {
  const parsed = URL.parse(text);
  if (parsed === null || !["http:", "https:"].includes(parsed.protocol)) {
    ctx.addIssue("must be an absolute http or https URL");
  } else if (parsed.username !== "" || parsed.password !== "" || text.includes("#")) {
    ctx.addIssue("must not hold user info or a fragment");
  }
});
/** Visible ASCII only: URL.parse drops spaces around a URL, and tabs and line breaks within. */
export const url = absoluteUrl.refine(
  (text) => !/[^\x21-\x7e]/.test(text),
  "must be visible ASCII: a name of other letters in its xn-- form, other characters with an escape",
);
/** A URL that `partsOf` and `URL.parse` take apart alike: no slash is missing, and no backslash stands for one. */
export const httpUrl = url.refine(
  (text) => /^https?:\/\/[^/?\\][^\\]*$/i.test(text),
  "must be scheme://host/path, without backslashes: the path is sent byte for byte as written",
);
/** RFC 8707 §2: an absolute URI without a fragment; here of characters that need no escape in a header or a form. */
export const resource = z
  .string()
  .max(2048)
  .regex(
    /^[a-z][a-z0-9+.-]*:[\x21\x24-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]+$/i,
    "must be an absolute URI without a fragment",
  );
export const origin = url.refine((text) => {
  const parsed = URL.parse(text);
  return parsed !== null && parsed.origin === text;
}, "must be an origin only: scheme, host in lower case and port if not the default, without a trailing slash");

export const address = z.string().transform((text, ctx): ListenAddress => {
  const parsed = parseAddress(text);
  if (parsed === null) {
    ctx.addIssue('must be "host:port" or "unix:/path"');
    return z.NEVER;
  }
  return parsed;
});

function parseAddress(text: string): ListenAddress | null {
  if (text.startsWith("unix:")) return text.length > 5 ? { kind: "unix", path: text.slice(5) } : null;
  const match = /^(?:\[([0-9a-f:]+)\]|([^:[\]]+)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  return host === undefined || port > 65_535 ? null : { kind: "tcp", host, port };
}

export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, "");
  return bare === "localhost" || bare === "::1" || (isIP(bare) === 4 && bare.startsWith("127."));
}
