// The demo's OIDC provider: the certified `oidc-provider` library with three people, ES256 access tokens per resource
// (RFC 9068, RFC 8707) and no password. For tests and the demo only: it listens on loopback and keeps all in memory.
import { createServer } from "node:http";
import { exportJWK, generateKeyPair, type JWK } from "jose";
import Provider from "oidc-provider";
import { exchangeClients, registerExchange, type Exchange, type ExchangeGrantOptions } from "./idp-exchange.ts";
import { createLogin, loginConfiguration, type Person } from "./login-page.ts";

const PEOPLE = {
  alice: { groups: ["engineering"], name: "Alice", about: "of engineering: may use some tools" },
  bob: { groups: ["finance"], name: "Bob", about: "of finance: may use nothing here" },
  carol: { groups: ["engineering"], name: "Carol", about: "of engineering, but nobody holds a credential of hers" },
} as const satisfies Readonly<Record<string, Person & { groups: readonly string[] }>>;
type PersonId = keyof typeof PEOPLE;
const SCOPES = ["mcp:read", "mcp:write"];

export interface Idp {
  readonly issuer: string;
  /** A token as this person's client would get it. */
  mint(person: string, options?: MintOptions): Promise<string>;
  readonly tokenEndpoint: string;
  /** Token exchanges that were asked for, oldest first. */
  readonly exchanges: readonly Exchange[];
  close(): Promise<void>;
}

export interface MintOptions {
  readonly scope?: string;
  readonly audience?: string;
  readonly ttlSeconds?: number;
  /** Further claims, `act` for example. */
  readonly extra?: object;
}

export interface IdpOptions {
  readonly port: number;
  /** The gateway's origin: resources under it may be asked for. */
  readonly gateway: string;
  readonly ttlSeconds: number;
  /** Token exchange (RFC 8693) for the confidential client `gateway`; without it the grant is not offered. */
  readonly exchange?: ExchangeGrantOptions;
  /** For containers, which everybody reaches by a published port: where it listens, what it is called, and a private JWK. */
  readonly published?: { readonly listen: string; readonly issuer: string; readonly key: JWK };
}

export async function startIdp({ port, gateway, ttlSeconds, exchange, published }: IdpOptions): Promise<Idp> {
  const server = createServer();
  await new Promise<void>((done, fail) => {
    server.once("error", fail);
    server.listen(port, published?.listen ?? "127.0.0.1", done);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const issuer = published?.issuer ?? `http://127.0.0.1:${address.port}`;
  const jwk = { ...(published?.key ?? (await newKey())), kid: "demo-1", alg: "ES256", use: "sig" };
  const settings = configuration({ gateway, ttlSeconds }, jwk, exchangeClients(exchange));
  const provider = quietly(() => new Provider(issuer, settings));
  provider.on("server_error", (_ctx: unknown, error: Error) =>
    process.stderr.write(`oidc provider: ${error.message}\n`),
  );
  const exchanges: Exchange[] = [];
  if (exchange !== undefined) {
    const record = (one: Exchange) => exchanges.push(one);
    registerExchange(provider, { issuer, jwk, gateway, exchange, resourceServer, record });
  }
  const handle = provider.callback();
  const login = createLogin(provider, PEOPLE);
  server.on("request", (request, response) => {
    void login(request, response).then((answered) => (answered ? undefined : handle(request, response)));
  });
  return {
    issuer,
    tokenEndpoint: `${issuer}/token`,
    exchanges,
    mint: async (
      person,
      { scope = SCOPES.join(" "), audience = gateway, ttlSeconds: ttl = ttlSeconds, extra = {} } = {},
    ) => {
      const client = await provider.Client.find("demo-cli");
      if (!client) throw new Error("no client");
      const grant = { accountId: person, client, scope, gty: "authorization_code", expiresIn: ttl };
      const token = new provider.AccessToken(grant as never);
      token.resourceServer = new provider.ResourceServer(audience, resourceServer(audience, ttl));
      token.extra = extra as never;
      return token.save();
    },
    close: () =>
      new Promise<void>((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
}

async function newKey(): Promise<JWK> {
  const { privateKey } = await generateKeyPair("ES256", { extractable: true });
  return exportJWK(privateKey);
}

function resourceServer(audience: string, ttlSeconds: number) {
  return {
    scope: SCOPES.join(" "),
    audience,
    accessTokenFormat: "jwt" as const,
    accessTokenTTL: ttlSeconds,
    jwt: { sign: { alg: "ES256" as const, kid: "demo-1" } },
  };
}

function isPerson(id: string): id is PersonId {
  return Object.hasOwn(PEOPLE, id);
}

const DEMO_CLIENT = {
  client_id: "demo-cli",
  token_endpoint_auth_method: "none",
  application_type: "native",
  redirect_uris: ["http://127.0.0.1/callback"],
  grant_types: ["authorization_code", "refresh_token"],
  response_types: ["code"],
};

type Audience = Pick<IdpOptions, "gateway" | "ttlSeconds">;

function configuration({ gateway, ttlSeconds }: Audience, jwk: object, clients: readonly object[]): object {
  return {
    jwks: { keys: [jwk] },
    clients: [DEMO_CLIENT, ...clients],
    pkce: { required: () => true },
    clientDefaults: { id_token_signed_response_alg: "ES256" },
    scopes: ["openid", "offline_access", ...SCOPES],
    // Each is named: the library prints a notice for the first use of a default.
    ttl: {
      AccessToken: ttlSeconds,
      AuthorizationCode: 60,
      ClientCredentials: ttlSeconds,
      Grant: ttlSeconds,
      IdToken: 3600,
      Interaction: 600,
      RefreshToken: ttlSeconds,
      Session: 3600,
    },
    cookies: { keys: ["demo"] },
    ...loginConfiguration(),
    findAccount: (_ctx: unknown, id: string) =>
      isPerson(id) ? { accountId: id, claims: () => ({ sub: id, name: PEOPLE[id].name }) } : undefined,
    extraTokenClaims: (_ctx: unknown, token: { accountId?: string; extra?: object }) => {
      const id = token.accountId ?? "";
      return isPerson(id) ? { groups: PEOPLE[id].groups, preferred_username: id, ...token.extra } : undefined;
    },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => `${gateway}/mcp`,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx: unknown, resource: string) => {
          if (!resource.startsWith(`${gateway}/`)) throw new Error("invalid_target");
          return resourceServer(resource, ttlSeconds);
        },
      },
    },
  };
}

/** The library warns of its development settings while it is set up; the demo says so itself. */
function quietly<T>(make: () => T): T {
  const { warn } = console;
  console.warn = () => {};
  try {
    return make();
  } finally {
    console.warn = warn;
  }
}
