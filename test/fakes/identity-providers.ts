// Identity providers as they are: invented tokens, key sets and metadata in the form of each, with what is read of them. The
// configuration of each is its part of docs/identity.md.
import { makeKey, type TestKey } from "./issuer.ts";

/** The time at which the tokens are judged, in seconds since the epoch. */
export const NOW = 1_790_000_000;
const LIFE = { iat: NOW - 60, exp: NOW + 3600 };

/** What is read of a token, or `reason: detail`. */
export type Reading =
  | string
  | {
      readonly subject: string;
      readonly username: string | null;
      readonly groups: readonly string[];
      readonly scopes: readonly string[];
      readonly kind: "user" | "machine";
    };

export interface ProviderToken {
  readonly about: string;
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly reading: Reading;
}

export interface Provider {
  /** The mark of its configuration in docs/identity.md. */
  readonly name: string;
  /** Metadata and key sets by their URLs: nothing else is served. */
  readonly documents: Readonly<Record<string, unknown>>;
  readonly tokens: readonly ProviderToken[];
}

/** One key for all, under whichever `kid`. */
export const KEY: TestKey = makeKey("any", "RS256");
const { n, e, kty } = KEY.jwk;

/** @param more members beside those of the key itself */
const jwks = (...keys: readonly Record<string, unknown>[]) => ({ keys: keys.map((more) => ({ kty, n, e, ...more })) });
const TENANT = "3f6c0c1e-0000-4000-8000-000000000001";
const APP = "9b1deb4d-0000-4000-8000-000000000002";
const GATEWAY = "https://gw.example.com";

/** Makes tokens of one provider: what is about them, claims that are other than its usual ones, and what is read. */
function like({ header, claims }: Pick<ProviderToken, "header" | "claims">) {
  return (about: string, more: Readonly<Record<string, unknown>>, reading: Reading): ProviderToken => ({
    ...{ about, header, claims: { ...claims, ...more }, reading },
  });
}

const ENTRA_KEY = { use: "sig", kid: "nOo3ZDrODXEK1", x5t: "nOo3ZDrODXEK1", x5c: ["MIIC/invented"] };
const OVERAGE = {
  _claim_names: { groups: "src1" },
  _claim_sources: { src1: { endpoint: `https://graph.windows.net/${TENANT}/users/u/getMemberObjects` } },
};
const entra2 = {
  header: { typ: "JWT", alg: "RS256", kid: "nOo3ZDrODXEK1" },
  claims: {
    ...{ aud: APP, iss: `https://login.microsoftonline.com/${TENANT}/v2.0`, nbf: NOW - 60, ...LIFE },
    ...{ aio: "ATQAy/8TAAAAinvented", azp: "client-1", azpacr: "0", name: "Alice", oid: "oid-alice", rh: "0.AX" },
    ...{
      preferred_username: "alice@acme.example",
      scp: "access",
      sub: "pairwise-alice",
      tid: TENANT,
      uti: "u1",
      ver: "2.0",
    },
  },
};
const alice = {
  subject: "pairwise-alice",
  username: "alice@acme.example",
  groups: [],
  scopes: ["access"],
  kind: "user",
} as const;
const entra1 = {
  header: { typ: "JWT", alg: "RS256", x5t: "nOo3ZDrODXEK1", kid: "nOo3ZDrODXEK1" },
  claims: {
    ...{
      aud: GATEWAY,
      iss: `https://sts.windows.net/${TENANT}/`,
      nbf: NOW - 60,
      ...LIFE,
      acr: "1",
      amr: ["pwd", "mfa"],
    },
    ...{ appid: "client-1", appidacr: "0", ipaddr: "192.0.2.7", name: "Alice", oid: "oid-alice", scp: "access other" },
    ...{ sub: "pairwise-alice", tid: TENANT, unique_name: "alice@acme.example", upn: "alice@acme.example", ver: "1.0" },
  },
};

const ENTRA: readonly Provider[] = [
  {
    name: "entra-v2",
    documents: {
      [`https://login.microsoftonline.com/${TENANT}/v2.0/.well-known/openid-configuration`]: {
        issuer: `https://login.microsoftonline.com/${TENANT}/v2.0`,
        jwks_uri: `https://login.microsoftonline.com/${TENANT}/discovery/v2.0/keys`,
      },
      [`https://login.microsoftonline.com/${TENANT}/discovery/v2.0/keys`]: jwks({
        ...ENTRA_KEY,
        issuer: `https://login.microsoftonline.com/${TENANT}/v2.0`,
      }),
    },
    tokens: [
      like(entra2)("a user", {}, alice),
      like(entra2)(
        "a user with groups and roles",
        { groups: ["g-1", "g-2"], roles: ["r"] },
        { ...alice, groups: ["g-1", "g-2"] },
      ),
      like(entra2)(
        "groups overage",
        OVERAGE,
        "token_invalid: claim: groups is not in the token: the issuer keeps it elsewhere (overage)",
      ),
      like(entra2)(
        "groups overage of the implicit flow",
        { hasgroups: true },
        "token_invalid: claim: groups is not in the token: the issuer keeps it elsewhere (overage)",
      ),
      like(entra2)(
        "a program, with the optional claim idtyp",
        {
          scp: undefined,
          preferred_username: undefined,
          sub: "oid-app",
          oid: "oid-app",
          roles: ["Tools.Call"],
          idtyp: "app",
        },
        { subject: "oid-app", username: null, groups: [], scopes: [], kind: "machine" },
      ),
      like(entra2)("MS-01: another application", { aud: "9b1deb4d-0000-4000-8000-00000000000f" }, "token_audience"),
      like(entra2)(
        "MS-01: another tenant",
        { iss: "https://login.microsoftonline.com/other/v2.0", tid: "other" },
        "token_invalid: issuer is not configured",
      ),
      like(entra2)(
        "version 1 of the same tenant",
        { iss: `https://sts.windows.net/${TENANT}/` },
        "token_invalid: issuer is not configured",
      ),
      like(entra2)(
        "28 hours, of continuous access evaluation",
        { exp: NOW + 28 * 3600, xms_cc: ["cp1"] },
        "token_invalid: claim: lifetime",
      ),
    ],
  },
  {
    name: "entra-v1",
    documents: { [`https://login.microsoftonline.com/${TENANT}/discovery/keys`]: jwks(ENTRA_KEY) },
    tokens: [
      like(entra1)("a user", {}, { ...alice, scopes: ["access", "other"] }),
      like(entra1)("the application's id as audience", { aud: APP }, { ...alice, scopes: ["access", "other"] }),
      like(entra1)(
        "groups overage",
        OVERAGE,
        "token_invalid: claim: groups is not in the token: the issuer keeps it elsewhere (overage)",
      ),
      like(entra1)(
        "the issuer without its slash",
        { iss: `https://sts.windows.net/${TENANT}` },
        "token_invalid: issuer is not configured",
      ),
      like(entra1)("Microsoft Graph", { aud: "00000003-0000-0000-c000-000000000000" }, "token_audience"),
    ],
  },
];

const okta = {
  header: { kid: "okta-1", alg: "RS256" },
  claims: {
    ...{ ver: 1, jti: "AT.invented", iss: "https://acme.okta.com/oauth2/default", aud: GATEWAY, ...LIFE },
    ...{ cid: "0oaclient", uid: "00ualice", scp: ["openid", "tools"], auth_time: NOW - 100, sub: "alice@acme.example" },
  },
};
const OKTA: Provider = {
  name: "okta",
  documents: {
    "https://acme.okta.com/oauth2/default/.well-known/openid-configuration": {
      issuer: "https://acme.okta.com/oauth2/default",
      jwks_uri: "https://acme.okta.com/oauth2/default/v1/keys",
    },
    "https://acme.okta.com/oauth2/default/v1/keys": jwks({ alg: "RS256", kid: "okta-1", use: "sig" }),
  },
  tokens: [
    like(okta)(
      "a user, scp as a list",
      { groups: ["Engineering"] },
      {
        subject: "alice@acme.example",
        username: "alice@acme.example",
        groups: ["Engineering"],
        scopes: ["openid", "tools"],
        kind: "user",
      },
    ),
    like(okta)(
      "a program",
      { sub: "0oaclient", uid: undefined, auth_time: undefined, scp: ["tools"] },
      {
        subject: "0oaclient",
        username: "0oaclient",
        groups: [],
        scopes: ["tools"],
        kind: "machine",
      },
    ),
    like(okta)("the first audience of every server", { aud: "api://default" }, "token_audience"),
    like({ ...okta, header: { ...okta.header, typ: "application/okta-internal-at+jwt" } })(
      "the org authorization server",
      { iss: "https://acme.okta.com", aud: "https://acme.okta.com" },
      "token_invalid: issuer is not configured",
    ),
    like({ ...okta, header: { ...okta.header, typ: "application/okta-internal-at+jwt" } })(
      "its kind of token under the custom server's name",
      {},
      "token_invalid: typ is unknown",
    ),
    like(okta)(
      "an ID token",
      { aud: "0oaclient", at_hash: "x", nonce: "n", scp: undefined },
      "token_invalid: claim: an ID, refresh or logout token",
    ),
  ],
};

const auth0 = {
  header: { alg: "RS256", typ: "at+jwt", kid: "auth0-1" },
  claims: {
    ...{
      iss: "https://acme.eu.auth0.com/",
      sub: "auth0|65f0c0ffee",
      aud: [GATEWAY, "https://acme.eu.auth0.com/userinfo"],
    },
    ...{ ...LIFE, exp: NOW - 60 + 86_400, client_id: "client1", jti: "j1", scope: "openid profile tools:call" },
    ...{
      "https://gw.example.com/username": "alice",
      "https://gw.example.com/roles": ["eng"],
      permissions: ["tools:call"],
    },
  },
};
const AUTH0: Provider = {
  name: "auth0",
  documents: {
    "https://acme.eu.auth0.com/.well-known/openid-configuration": {
      issuer: "https://acme.eu.auth0.com/",
      jwks_uri: "https://acme.eu.auth0.com/.well-known/jwks.json",
    },
    "https://acme.eu.auth0.com/.well-known/jwks.json": jwks(
      { use: "sig", kid: "auth0-1", x5t: "t1", x5c: ["MIID/invented"], alg: "RS256" },
      { use: "sig", kid: "auth0-2", x5t: "t2", x5c: ["MIID/invented"], alg: "RS256" },
    ),
  },
  tokens: [
    like(auth0)(
      "a user, two audiences",
      {},
      {
        subject: "auth0|65f0c0ffee",
        username: "alice",
        groups: ["eng"],
        scopes: ["openid", "profile", "tools:call"],
        kind: "user",
      },
    ),
    like(auth0)(
      "a program",
      {
        ...{ sub: "client1@clients", aud: GATEWAY, scope: "tools:call", gty: "client-credentials" },
        ...{ "https://gw.example.com/username": undefined, "https://gw.example.com/roles": undefined },
      },
      { subject: "client1@clients", username: null, groups: [], scopes: ["tools:call"], kind: "machine" },
    ),
    like(auth0)("another API", { aud: ["https://other.example.com"] }, "token_audience"),
    like(auth0)("userinfo alone", { aud: "https://acme.eu.auth0.com/userinfo" }, "token_audience"),
    like(auth0)(
      "the issuer without its slash",
      { iss: "https://acme.eu.auth0.com" },
      "token_invalid: issuer is not configured",
    ),
    like({ ...auth0, header: { ...auth0.header, typ: "JWT" } })(
      "the Auth0 token profile",
      {},
      "token_invalid: typ is not at+jwt",
    ),
  ],
};

const POOL = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example1";
const cognito = {
  header: { kid: "cognito-access", alg: "RS256" },
  claims: {
    ...{ sub: "d4b8-alice", "cognito:groups": ["eng"], iss: POOL, version: 2, client_id: "5exampleclientid6", ...LIFE },
    ...{ origin_jti: "o1", event_id: "e1", token_use: "access", scope: "openid tools/call", auth_time: NOW - 60 },
    ...{ jti: "j1", username: "alice" },
  },
};
const cognitoAlice = {
  subject: "d4b8-alice",
  username: "alice",
  groups: ["eng"],
  scopes: ["openid", "tools/call"],
  kind: "user",
} as const;
const COGNITO: Provider = {
  name: "cognito",
  documents: {
    [`${POOL}/.well-known/openid-configuration`]: { issuer: POOL, jwks_uri: `${POOL}/.well-known/jwks.json` },
    [`${POOL}/.well-known/jwks.json`]: jwks(
      { alg: "RS256", kid: "cognito-id", use: "sig" },
      { alg: "RS256", kid: "cognito-access", use: "sig" },
    ),
  },
  tokens: [
    like(cognito)("a user, without aud", {}, cognitoAlice),
    like(cognito)(
      "resource binding: aud is the endpoint",
      { aud: `${GATEWAY}/servers/s/mcp`, client_id: "other" },
      cognitoAlice,
    ),
    like(cognito)("resource binding: aud is another", { aud: "https://other.example.com" }, "token_audience"),
    like(cognito)("another client", { client_id: "6other" }, "token_audience"),
    like(cognito)("no client", { client_id: undefined }, "token_invalid: claim: client_id (audienceClaim)"),
    like(cognito)(
      "a program",
      {
        ...{ sub: "5exampleclientid6", scope: "tools/call", username: undefined, "cognito:groups": undefined },
        ...{ origin_jti: undefined, event_id: undefined },
      },
      { subject: "5exampleclientid6", username: null, groups: [], scopes: ["tools/call"], kind: "machine" },
    ),
    like({ ...cognito, header: { kid: "cognito-id", alg: "RS256" } })(
      "an ID token",
      { aud: "5exampleclientid6", token_use: "id", "cognito:username": "alice" },
      "token_invalid: claim: an ID, refresh or logout token",
    ),
  ],
};

const google = {
  header: { alg: "RS256", kid: "google-1", typ: "JWT" },
  claims: {
    ...{ iss: "https://accounts.google.com", aud: GATEWAY, azp: "104000000000000000001", ...LIFE },
    ...{ email: "robot@acme.iam.gserviceaccount.com", email_verified: true, sub: "104000000000000000001" },
  },
};
const GOOGLE: Provider = {
  name: "google",
  documents: {
    "https://accounts.google.com/.well-known/openid-configuration": {
      issuer: "https://accounts.google.com",
      jwks_uri: "https://www.googleapis.com/oauth2/v3/certs",
    },
    "https://www.googleapis.com/oauth2/v3/certs": jwks(
      { use: "sig", alg: "RS256", kid: "google-1" },
      { use: "sig", alg: "RS256", kid: "google-2" },
    ),
  },
  tokens: [
    like(google)(
      "a service account's token for the gateway",
      {},
      {
        subject: "104000000000000000001",
        username: "robot@acme.iam.gserviceaccount.com",
        groups: [],
        scopes: [],
        kind: "machine",
      },
    ),
    like(google)(
      "a person's ID token",
      {
        aud: "1-web.apps.googleusercontent.com",
        azp: "1-web.apps.googleusercontent.com",
        sub: "117",
        at_hash: "h",
        hd: "acme.example",
      },
      "token_invalid: claim: an ID, refresh or logout token",
    ),
    like(google)(
      "a person's ID token of the button, without nonce and at_hash",
      {
        aud: "1-web.apps.googleusercontent.com",
        azp: "1-web.apps.googleusercontent.com",
        sub: "117",
        hd: "acme.example",
      },
      "token_audience",
    ),
    like(google)(
      "the issuer without its scheme",
      { iss: "accounts.google.com" },
      "token_invalid: issuer is not configured",
    ),
  ],
};

const REALM = "https://idp.example.com/realms/acme";
const keycloak = {
  header: { alg: "RS256", typ: "JWT", kid: "keycloak-1" },
  claims: {
    ...{ ...LIFE, auth_time: NOW - 60, jti: "onrtac:1", iss: REALM, aud: [GATEWAY, "account"], sub: "7f2c-alice" },
    ...{ typ: "Bearer", azp: "agent", sid: "s1", acr: "1", realm_access: { roles: ["offline_access", "eng"] } },
    ...{ resource_access: { gw: { roles: ["call"] } }, scope: "openid profile", preferred_username: "alice" },
    ...{ groups: ["/staff/eng"] },
  },
};
const KEYCLOAK: Provider = {
  name: "keycloak",
  documents: {
    [`${REALM}/.well-known/openid-configuration`]: {
      issuer: REALM,
      jwks_uri: `${REALM}/protocol/openid-connect/certs`,
    },
    [`${REALM}/protocol/openid-connect/certs`]: jwks(
      { kid: "keycloak-enc", alg: "RSA-OAEP", use: "enc", x5c: ["MIIC/invented"], x5t: "t", "x5t#S256": "s" },
      { kid: "keycloak-1", alg: "RS256", use: "sig", x5c: ["MIIC/invented"], x5t: "t", "x5t#S256": "s" },
    ),
  },
  tokens: [
    like(keycloak)(
      "a user",
      {},
      {
        subject: "7f2c-alice",
        username: "alice",
        groups: ["/staff/eng"],
        scopes: ["openid", "profile"],
        kind: "user",
      },
    ),
    like({ ...keycloak, header: { ...keycloak.header, typ: "at+jwt" } })(
      "a service account, whose clients say at+jwt",
      {
        client_id: "robot",
        azp: "robot",
        preferred_username: "service-account-robot",
        groups: undefined,
        sub: "9a-robot",
      },
      {
        subject: "9a-robot",
        username: "service-account-robot",
        groups: [],
        scopes: ["openid", "profile"],
        kind: "machine",
      },
    ),
    like(keycloak)("without the audience mapper", { aud: "account" }, "token_audience"),
    like(keycloak)("without any audience", { aud: undefined }, "token_invalid: claim: aud"),
    like(keycloak)("without the client scope basic", { sub: undefined }, "token_invalid: claim: sub (subject)"),
    like(keycloak)(
      "an ID token",
      { typ: "ID", aud: "agent", at_hash: "h" },
      "token_invalid: claim: an ID, refresh or logout token",
    ),
    like(keycloak)("a refresh token", { typ: "Refresh" }, "token_invalid: claim: an ID, refresh or logout token"),
  ],
};

const PING_ENV = "https://auth.pingone.eu/7c3a0000-0000-4000-8000-000000000003/as";
const ping = {
  header: { alg: "RS256", kid: "ping-1" },
  claims: {
    ...{
      client_id: "c0ffee",
      iss: PING_ENV,
      ...LIFE,
      aud: [GATEWAY],
      scope: "openid tools",
      sub: "a1-alice",
      sid: "s1",
    },
    ...{ auth_time: NOW - 60, acr: "Multi_Factor", username: "alice", groups: ["Engineering"] },
  },
};
const pingAlice = {
  subject: "a1-alice",
  username: "alice",
  groups: ["Engineering"],
  scopes: ["openid", "tools"],
  kind: "user",
} as const;
const PING: Provider = {
  name: "ping",
  documents: {
    [`${PING_ENV}/.well-known/openid-configuration`]: { issuer: PING_ENV, jwks_uri: `${PING_ENV}/jwks` },
    [`${PING_ENV}/jwks`]: jwks({ use: "sig", kid: "ping-1", x5t: "t1", x5c: ["MIID/invented"] }),
  },
  tokens: [
    like(ping)("a user", {}, pingAlice),
    like({ ...ping, header: { ...ping.header, typ: "at+jwt" } })("a user, with typ at+jwt", {}, pingAlice),
    like(ping)("PingFederate: scope as a list", { scope: ["openid", "tools"] }, pingAlice),
    like(ping)(
      "OpenID scopes alone: for PingOne itself",
      { aud: ["https://api.pingone.eu"], scope: "openid" },
      "token_audience",
    ),
    like(ping)(
      "a program",
      { sub: undefined, sid: undefined, auth_time: undefined, acr: undefined },
      "token_invalid: claim: sub (subject)",
    ),
    like(ping)("PingFederate: no audience claim value", { aud: undefined }, "token_invalid: claim: aud"),
  ],
};

export const PROVIDERS: readonly Provider[] = [...ENTRA, OKTA, AUTH0, COGNITO, GOOGLE, KEYCLOAK, PING];
