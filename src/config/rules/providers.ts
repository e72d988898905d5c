// Warnings about issuers of known identity providers, in a form in which none of their tokens would be accepted
// (docs/identity.md). Pure.
import type { Reporter } from "../problem.ts";
import type { Config } from "../schema.ts";

type Issuer = Config["identity"]["issuers"][number];

/** What catches people with one provider. */
interface Trap {
  /** The host of the issuers that it is about. */
  readonly host: RegExp;
  readonly key: "issuer" | "tokenType";
  readonly isCaught: (issuer: Issuer, path: string) => boolean;
  readonly says: string;
}

const ENTRA = /^login\.(?:partner\.)?microsoftonline\.(?:com|us|cn)$/;
const ENTRA_V1 = /^sts\.(?:windows\.net|microsoftonline\.us|chinacloudapi\.cn)$/;
const OKTA = /\.okta(?:preview|-emea|-gov)?\.com$/;
const AUTH0 = /\.auth0\.com$/;
const COGNITO = /^cognito-idp\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?$/;
const GOOGLE = /^accounts\.google\.com$/;
/** Their access tokens have `typ: JWT`, or none. */
const PLAIN = [ENTRA, ENTRA_V1, OKTA, COGNITO, GOOGLE];

const TRAPS: readonly Trap[] = [
  {
    host: ENTRA,
    key: "issuer",
    isCaught: (_, path) => /^\/(?:common|organizations|consumers)(?:\/|$)/.test(path),
    says: "no token has this issuer: it names the tenant, as https://login.microsoftonline.com/TENANT-ID/v2.0. List each tenant that may come",
  },
  {
    host: ENTRA,
    key: "issuer",
    isCaught: (_, path) => !path.endsWith("/v2.0"),
    says: "tokens of version 2 have an issuer that ends in /v2.0, and those of version 1 have https://sts.windows.net/TENANT-ID/",
  },
  {
    host: ENTRA_V1,
    key: "issuer",
    isCaught: ({ issuer }) => !issuer.endsWith("/"),
    says: "the issuer in the tokens has a slash at its end",
  },
  {
    host: AUTH0,
    key: "issuer",
    isCaught: ({ issuer }) => !issuer.endsWith("/"),
    says: "the issuer in the tokens has a slash at its end",
  },
  {
    host: OKTA,
    key: "issuer",
    isCaught: (_, path) => !path.startsWith("/oauth2/"),
    says: "tokens of the org authorization server are for Okta alone. Take a custom one, as https://ORG.okta.com/oauth2/default",
  },
  ...PLAIN.map((host): Trap => ({
    host,
    key: "tokenType",
    isCaught: ({ tokenType }) => tokenType === "at+jwt",
    says: "at+jwt: this provider's access tokens do not say it, so that all are refused. Say tokenType: jwt",
  })),
];

/** Nobody could log in: said before somebody tries. It is no problem, for a provider may change its tokens. */
export function checkProviders({ identity }: Config, { warn }: Reporter): void {
  identity.issuers.forEach((issuer, i) => {
    const { hostname, pathname } = new URL(issuer.issuer);
    const caught = TRAPS.filter(({ host, isCaught }) => host.test(hostname) && isCaught(issuer, pathname));
    const keys = Map.groupBy(caught, ({ key }) => key);
    for (const [key, [first]] of keys) if (first !== undefined) warn(`identity.issuers[${i}].${key}`, first.says);
  });
}
