// Checks the JOSE header of an access token (RFC 7515 §4, RFC 8725). Pure.
import { KID } from "../jose/key-set.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";

export interface TokenHeader {
  readonly alg: string;
  readonly kid: string | null;
}

/** Header members for a key, an extension or another encoding in the token. None is supported. */
const FORBIDDEN = ["crit", "b64", "jwk", "jku", "x5u", "x5c", "enc", "zip"];
/** Types of other tokens, wristband and catalogue token among them (RFC 8725 §3.11; threat model: A20, A21). */
const OTHER_TYPES =
  /^(?:application\/)?(?:wristband|catalog|logout|dpop|secevent|oauth-id-jag|refresh|id_token|entity-statement)\+?(?:jwt)?$/i;
const PLAIN_TOKEN = /^(?:application\/)?(?:at\+)?jwt$/i;
const ACCESS_TOKEN = /^(?:application\/)?at\+jwt$/i;

/**
 * Checks the header, or returns its first fault.
 * @param algorithms algorithms that the issuer's configuration accepts
 * @param tokenType `at+jwt` demands RFC 9068's type; `jwt` accepts a plain JWT, whose claims tell it from other tokens
 */
export function checkHeader(
  header: JsonObject,
  algorithms: readonly string[],
  tokenType: "at+jwt" | "jwt",
): TokenHeader | string {
  for (const name of FORBIDDEN) if (name in header) return `header ${name}`;
  const { alg, kid, typ } = header;
  if (typeof alg !== "string" || !algorithms.includes(alg)) return "alg is not accepted";
  if (kid !== undefined && (typeof kid !== "string" || !KID.test(kid))) return "kid";
  const wrongType = faultOfType(typ, tokenType);
  if (wrongType !== null) return wrongType;
  return { alg, kid: kid ?? null };
}

function faultOfType(typ: JsonValue | undefined, tokenType: "at+jwt" | "jwt"): string | null {
  if (typ !== undefined && typeof typ !== "string") return "typ";
  if (tokenType === "at+jwt") return ACCESS_TOKEN.test(typ ?? "") ? null : "typ is not at+jwt";
  if (typ === undefined) return null;
  if (OTHER_TYPES.test(typ)) return "typ of another kind of token";
  return PLAIN_TOKEN.test(typ) ? null : "typ is unknown";
}
