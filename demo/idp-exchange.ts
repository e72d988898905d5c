// Token exchange (RFC 8693) of the demo's provider: the subject token is verified, and what comes out is never wider or
// longer than what went in.
import { createHash } from "node:crypto";
import { createLocalJWKSet, jwtVerify, type JWK, type JWTPayload } from "jose";
import type Provider from "oidc-provider";
import { errors } from "oidc-provider";

/** The client that may exchange tokens. */
export const EXCHANGE_CLIENT = "gateway";
const EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";
const PARAMETERS = [
  ...(["subject_token", "subject_token_type", "requested_token_type", "audience", "scope"] as const),
  ...(["actor_token", "actor_token_type"] as const),
];

export interface ExchangeGrantOptions {
  /** Of the client `gateway`. */
  readonly secret: string;
  /** Each audience that may be asked for, with the people for whom it may. */
  readonly audiences: Readonly<Record<string, readonly string[]>>;
  /** Like most providers, it does not look at `actor_token`. */
  readonly ignoresActors?: boolean;
}

/** What somebody asked for; of the token only its hash. */
export interface Exchange {
  readonly client: string;
  readonly audience: string;
  readonly scope: string;
  readonly subjectTokenSha256: string;
  /** Whose token it was, once it is verified. */
  subject: string | null;
  /** Who acts for the subject, once it is verified. */
  actor: string | null;
  granted: boolean;
}

export interface ExchangeGrant {
  readonly issuer: string;
  /** The signing key, private. */
  readonly jwk: JWK;
  readonly gateway: string;
  readonly exchange: ExchangeGrantOptions;
  readonly resourceServer: (audience: string, ttlSeconds: number) => object;
  readonly record: (exchange: Exchange) => void;
}

/** The clients that the provider must know for it. */
export function exchangeClients(options: ExchangeGrantOptions | undefined): readonly object[] {
  if (options === undefined) return [];
  const grants = { grant_types: [EXCHANGE_GRANT, "client_credentials"], redirect_uris: [], response_types: [] };
  return [{ client_id: EXCHANGE_CLIENT, client_secret: options.secret, ...grants }];
}

type ExchangeForm = Readonly<Partial<Record<(typeof PARAMETERS)[number], string>>>;

export function registerExchange(provider: Provider, grant: ExchangeGrant): void {
  const { d: _, ...publicJwk } = grant.jwk;
  const keys = createLocalJWKSet({ keys: [publicJwk] });
  provider.registerGrantType(
    EXCHANGE_GRANT,
    async (ctx) => {
      const { client, params } = ctx.oidc;
      // Clients that registered themselves can name any grant.
      if (client?.clientId !== EXCHANGE_CLIENT) throw new errors.UnauthorizedClient("not for this client");
      const asked = params as ExchangeForm;
      const exchange = exchangeOf(client.clientId, asked);
      grant.record(exchange);
      if (asked.subject_token_type !== ACCESS_TOKEN) throw new errors.InvalidRequest("subject_token_type");
      if (asked.requested_token_type !== ACCESS_TOKEN) throw new errors.InvalidRequest("requested_token_type");
      const subject = await verified(asked.subject_token ?? "", keys, grant);
      exchange.subject = subject.sub ?? null;
      const actor = await actorOf(asked, keys, grant);
      exchange.actor = actor?.sub ?? null;
      const { audience } = exchange;
      checkTarget(subject, audience, grant.exchange);
      const scope = scopeFor(subject, exchange.scope);
      const ttl = (subject.exp ?? 0) - Math.ceil(Date.now() / 1000) - 1; // the token is dated a moment later
      const token = new provider.AccessToken({ accountId: subject.sub, client, scope, expiresIn: ttl } as never);
      token.resourceServer = new provider.ResourceServer(audience, grant.resourceServer(audience, ttl) as never);
      if (actor !== null) token.extra = actClaim(actor, subject) as never;
      const answer = { access_token: await token.save(), issued_token_type: ACCESS_TOKEN, token_type: "Bearer" };
      exchange.granted = true;
      ctx.body = { ...answer, expires_in: ttl, ...(scope !== "" && { scope }) };
    },
    [...PARAMETERS],
    [],
  );
}

function exchangeOf(client: string, { subject_token: token = "", audience = "", scope = "" }: ExchangeForm): Exchange {
  const subjectTokenSha256 = createHash("sha256").update(token).digest("hex");
  return { client, audience, scope, subjectTokenSha256, subject: null, actor: null, granted: false };
}

async function verified(
  token: string,
  keys: ReturnType<typeof createLocalJWKSet>,
  { issuer, gateway }: ExchangeGrant,
): Promise<JWTPayload> {
  const { payload } = await jwtVerify(token, keys, { issuer, typ: "at+jwt", algorithms: ["ES256"] }).catch(() => {
    throw new errors.InvalidRequest("subject_token is not valid");
  });
  const audiences = [payload.aud ?? []].flat();
  if (!audiences.some((aud) => aud === gateway || aud.startsWith(`${gateway}/`)))
    throw new errors.InvalidRequest("subject_token is not for the gateway");
  return payload;
}

/** RFC 8693 §2.1: with its type, or not at all; only this client's own token makes it an actor. */
async function actorOf(
  { actor_token: token, actor_token_type: type }: ExchangeForm,
  keys: ReturnType<typeof createLocalJWKSet>,
  grant: ExchangeGrant,
): Promise<JWTPayload | null> {
  if (token === undefined || grant.exchange.ignoresActors === true) return null;
  if (type !== ACCESS_TOKEN) throw new errors.InvalidRequest("actor_token_type");
  const actor = await verified(token, keys, grant);
  if (actor.sub !== EXCHANGE_CLIENT) throw new errors.InvalidRequest("actor_token is not this client's");
  return actor;
}

/** RFC 8693 §4.1: who acted before stands within. */
function actClaim({ sub }: JWTPayload, { act }: JWTPayload): object {
  return { act: { sub, ...(act !== undefined && { act }) } };
}

function checkTarget({ sub = "" }: JWTPayload, audience: string, { audiences }: ExchangeGrantOptions): void {
  const people = audiences[audience];
  if (people === undefined) throw new errors.InvalidTarget();
  if (!people.includes(sub)) throw new errors.AccessDenied("not for this person");
}

/** RFC 8693 §2.2.1: never more than the subject has. */
function scopeFor(subject: JWTPayload, scope: string): string {
  const held = String(subject["scope"] ?? "").split(" ");
  const wanted = scope.split(" ").filter((name) => name !== "");
  if (!wanted.every((name) => held.includes(name))) throw new errors.InvalidScope("beyond the subject's", scope);
  return wanted.join(" ");
}
