// The credential kind `assertion`: a JWT that says who calls, signed by the gateway for this one call (RFC 7519). Pure but for
// the signature, which is passed in.
import { hash, randomUUID } from "node:crypto";
import type { Identity } from "../authz/types.ts";
import { isPlainText } from "../jose/act-claim.ts";
import { claimAt } from "../jose/claim.ts";
import type { JsonValue } from "../json/types.ts";
import type { CredentialSource, Lookup } from "./source.ts";
import { headerValue, type Placement } from "./static.ts";

export interface AssertionOptions extends Placement {
  /** `iss`: the gateway, as servers know it. */
  readonly issuer: string;
  /** `aud`: the one server. */
  readonly audience: string;
  /** Names of further claims, and where each stands in the caller's token. */
  readonly claims: Readonly<Record<string, string>>;
  /** True: `sub` begins with the alias of the caller's issuer. */
  readonly qualifySubject: boolean;
  /** Life, at most; in seconds. */
  readonly seconds: number;
}

export interface AssertionDeps {
  /** Signs claims as a compact JWS. @throws {Error} without a key */
  readonly sign: (claims: object) => string;
  readonly aliasOf: (issuer: string) => string | null;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Servers take headers of 8 KiB, as a rule for all of them together. */
const MAX_CHARS = 6 * 1024;
const MAX_ITEMS = 64;

const refused = (why: string): Lookup => ({ refused: why });

/** Makes the source. It is never *has none*: whoever cannot be named to the server does not get there in another way. */
export function assertionSource(options: AssertionOptions, deps: AssertionDeps): CredentialSource {
  const { header, scheme, audience } = options;
  return {
    kind: "assertion",
    get(identity) {
      const said = saidOf(identity, options, deps.aliasOf);
      if (typeof said === "string") return refused(said);
      const iat = Math.floor(deps.now() / 1000);
      const exp = Math.min(iat + options.seconds, identity.expiresAt);
      if (exp <= iat) return { cannotTell: "the caller's token is about to end" };
      const jws = deps.sign({ ...said, iat, exp, jti: randomUUID() });
      if (jws.length > MAX_CHARS) return refused("the caller's claims are too long for one header");
      const stable = hash("sha256", JSON.stringify(said), "base64url");
      return {
        found: { kind: "assertion", header, value: headerValue(scheme, jws), stable, origin: { audience } },
      };
    },
  };
}

/** What is said of the caller, without times and id; or what cannot be said. */
function saidOf(
  identity: Identity,
  options: AssertionOptions,
  aliasOf: AssertionDeps["aliasOf"],
): Readonly<Record<string, JsonValue>> | string {
  const { issuer, audience, claims, qualifySubject } = options;
  const alias = qualifySubject ? aliasOf(identity.issuer) : null;
  if (qualifySubject && alias === null) return "the caller's issuer has no alias";
  const sub = alias === null ? identity.subject : `${alias}|${identity.subject}`;
  const { act } = identity.claims;
  const copied: Record<string, JsonValue> = {};
  for (const [name, path] of Object.entries(claims)) {
    const value = claimAt(identity.claims, path);
    if (!isSayable(value)) return `the caller's token has no usable claim for "${name}"`;
    copied[name] = value;
  }
  return { ...copied, iss: issuer, aud: audience, sub, idp: identity.issuer, ...(act !== undefined && { act }) };
}

/** A text, a number, true or false, or a list of texts: nothing that two readers could read differently. */
function isSayable(value: JsonValue | undefined): value is JsonValue {
  if (Array.isArray(value)) return value.length <= MAX_ITEMS && (value as readonly JsonValue[]).every(isPlainText);
  return typeof value === "boolean" || isPlainText(value) || (typeof value === "number" && Number.isSafeInteger(value));
}
