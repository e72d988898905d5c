// Callers without a credential of their own here: those whom a trusted proxy names, the development identity, and anybody at a
// public server. Pure; time is passed in.
import { HEADER_VALUE } from "../authz/header-value.ts";
import { ANONYMOUS_ISSUER, DEVELOPMENT_ISSUER, proxyIssuer } from "../authz/own-issuers.ts";
import type { NamedByProxy, Nobody } from "../authz/ports.ts";
import { pass, refuse, type Step } from "../authz/step.ts";
import type { TokenlessIdentity } from "../authz/types.ts";
import type { RevocationMatch } from "./revocations.ts";

/** What is known of a caller beside its name. */
export type CallerFacts = Pick<TokenlessIdentity, "username" | "groups" | "scopes" | "kind" | "claims">;

/** A proxy that authenticates callers and names them in headers. */
export interface TrustedProxy {
  readonly name: string;
  /** What its certificate says: the first URI or DNS name of its SAN, else its subject. */
  readonly sans: readonly string[];
  /** Header names; null for what it does not say. */
  readonly headers: Readonly<Record<"subject" | "username" | "groups" | "scopes", string | null>>;
  readonly kind: "user" | "machine";
}

export interface TokenlessOptions {
  readonly proxies: readonly TrustedProxy[];
  readonly development: (CallerFacts & { readonly subject: string }) | null;
  readonly publicServers: ReadonlySet<string>;
}

export interface TokenlessDeps {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly revoked?: ((identity: TokenlessIdentity) => RevocationMatch | null) | undefined;
}

const HOUR = 3600;
const MAX_TEXT = 256;
const MAX_LIST = 256;
const LOOPBACK = /^(?:::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$|^::1$/;
const NO_FACTS = { groups: [], scopes: [], username: null, claims: {} };

/** Makes the function that identifies such a caller, or says why there is none. */
export function createTokenless({ proxies, development, publicServers }: TokenlessOptions, deps: TokenlessDeps) {
  const judge = (caller: Omit<TokenlessIdentity, "amr" | "acr" | "authTime" | "actors" | "expiresAt">) => {
    const expiresAt = (Math.floor(deps.now() / 1000 / HOUR) + 2) * HOUR;
    const identity: TokenlessIdentity = { ...caller, amr: [], acr: null, authTime: null, actors: [], expiresAt };
    const by = deps.revoked?.(identity) ?? null;
    if (by === null) return pass(identity);
    const reason = by === "unavailable" ? "revocations_unavailable" : "token_revoked";
    return { ...refuse(reason, `by ${by}`), caller: identity };
  };
  return (asked: NamedByProxy | Nobody): Step<TokenlessIdentity> => {
    if (asked.by === "proxy") {
      const named = namedBy(proxies, asked);
      return typeof named === "string" ? refuse("token_invalid", named) : judge(named);
    }
    if (development !== null && LOOPBACK.test(asked.peer))
      return judge({ ...development, method: "development", issuer: DEVELOPMENT_ISSUER, opens: null });
    const { server } = asked;
    if (server === null || !publicServers.has(server)) return refuse("token_missing");
    const anonymous = { ...NO_FACTS, kind: "user" as const, subject: "anonymous", issuer: ANONYMOUS_ISSUER };
    return judge({ ...anonymous, method: "anonymous", opens: new Set([server]) });
  };
}

/** The caller that the proxy names, or the fault: headers of others than a trusted proxy are never passed over in silence. */
function namedBy(proxies: readonly TrustedProxy[], { principal, values }: NamedByProxy) {
  const proxy = proxies.find(({ sans }) => principal !== "" && sans.includes(principal));
  if (proxy === undefined) return "identity headers from a peer that is no trusted proxy";
  const names = Object.values(proxy.headers);
  if (![...values.keys()].every((name) => names.includes(name))) return "identity headers of another proxy";
  if ([...values.values()].some((value) => value === null)) return "an identity header comes twice";
  const of = (fact: keyof TrustedProxy["headers"]) => values.get(proxy.headers[fact] ?? "") ?? "";
  const [subject, username] = [of("subject"), of("username")];
  const [groups, scopes] = [listOf(of("groups"), ","), listOf(of("scopes"), " ")];
  if (!isText(subject)) return "no subject of up to 256 visible ASCII characters";
  if ((username !== "" && !isText(username)) || groups === null || scopes === null)
    return "a malformed identity header";
  return {
    ...{ method: "proxy" as const, issuer: proxyIssuer(proxy.name), subject, kind: proxy.kind, opens: null },
    ...{ username: username === "" ? null : username, groups, scopes, claims: {} },
  };
}

function isText(text: string): boolean {
  return text.length <= MAX_TEXT && HEADER_VALUE.test(text);
}

function listOf(text: string, separator: string): readonly string[] | null {
  const items = text.split(separator).map((item) => item.trim());
  const list = items.filter((item) => item !== "");
  return list.length <= MAX_LIST && list.every(isText) ? list : null;
}
