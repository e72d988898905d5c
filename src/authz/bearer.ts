// Takes the bearer token out of the `Authorization` header (RFC 6750 §2.1). Pure.
import { pass, refuse, type Step } from "./step.ts";
import type { RequestHeaders } from "./types.ts";

export const MAX_TOKEN_BYTES = 16 * 1024;
/** The scheme in any case, one space, one b64token. */
const CREDENTIALS = /^bearer ([A-Za-z0-9\-._~+/]+=*)$/i;

/** Returns the one bearer token of a request. Query and cookies are not read. */
export function bearerToken(headers: RequestHeaders): Step<string> {
  const value = headers.get("authorization");
  if (value === undefined) return refuse("token_missing");
  if (value.length > MAX_TOKEN_BYTES) return refuse("header_too_large", "authorization");
  if (headers.repeated("authorization") || value.includes(","))
    return refuse("header_malformed", "several authorization");
  const token = CREDENTIALS.exec(value)?.[1];
  if (token !== undefined) return pass(token);
  // RFC 6750 §3.1: a request with another scheme carries no token of ours, so the challenge names no error.
  return /^bearer(\s|$)/i.test(value) ? refuse("token_invalid", "not one b64token") : refuse("token_missing", "scheme");
}
