// The chain of credentials of an import as sections of the configuration: `vault`, and each server's `credential`. Pure.
import { templateText, type ServerNames } from "./caller-template.ts";
import { loginOf, type Link, type Login, type Sources, type Vault } from "./credential-chain.ts";

/** A chain, and the header that carries what it finds. */
export interface Carried {
  readonly header: string;
  readonly scheme: string;
  readonly links: readonly Link[];
}

const SECRETS = "secrets";
const secretFile = (name: string) => ({ file: `${SECRETS}/${name}` });
const VAULT_TOKEN = "vault-token";
const CLIENT_ID = "replace-me";

/** Reads of a Vault, in their order. */
export function vaultsOf(links: readonly Link[]): readonly Vault[] {
  return links.flatMap(({ source }) => (source.kind === "vault" ? [source] : []));
}

/** The section `vault`; null for a chain that reads none. There is one Vault here. */
export function vaultSection(links: readonly Link[], sources: Sources): object | null {
  const [vault] = vaultsOf(links);
  if (vault === undefined) return null;
  const { address, auth } = vault;
  const login = loginOf(vault, sources);
  return {
    address,
    auth: { token: secretFile("secret" in auth ? auth.secret : VAULT_TOKEN) },
    ...(login?.caller === true && { callerLogin: { mount: login.mount, role: login.role } }),
  };
}

interface Wanted {
  readonly server: ServerNames;
  readonly sources: Sources;
  /** The claim that `{username}` stands for. */
  readonly claim: string;
}

/** `credential` of a server. */
export function credentialsOf({ links, ...carried }: Carried, { server, sources, claim }: Wanted): readonly object[] {
  const place = placeOf(carried);
  return links.map((link) => {
    const login: Login | null = link.source.kind === "vault" ? loginOf(link.source, sources) : null;
    return credentialOf(link, { place, server, claim, asCaller: login?.caller === true });
  });
}

function placeOf({ header, scheme }: Omit<Carried, "links">) {
  return {
    ...(header !== "authorization" && { header }),
    ...((scheme !== "Bearer" || header !== "authorization") && { scheme }),
  };
}

interface Writing {
  readonly place: object;
  readonly server: ServerNames;
  readonly claim: string;
  readonly asCaller: boolean;
}

function credentialOf({ source, field }: Link, { place, server, claim, asCaller }: Writing): object {
  if (source.kind === "vault") {
    const path = templateText(source.path, claim, server);
    const { mount } = source;
    return { vault: { mount, path, ...(field !== "token" && { field }), ...(asCaller && { asCaller }), ...place } };
  }
  if (source.kind === "login") return { none: {} };
  const client = { id: CLIENT_ID, secret: secretFile(source.secret ?? "client-secret") };
  const scope = source.scope === null ? {} : { scope: source.scope };
  const { endpoint: tokenEndpoint } = source;
  if (source.kind === "client") return { client_credentials: { tokenEndpoint, client, ...scope, ...place } };
  const profile = tokenEndpoint.endsWith("/protocol/openid-connect/token") ? { profile: "keycloak" } : {};
  const audience = templateText(source.audience, claim, server);
  return { exchange: { tokenEndpoint, ...profile, client, audience, ...scope, ...place } };
}

/** Secrets and names that the operator fills in. */
export function openOf(links: readonly Link[]): string[] {
  return [...new Set([...vaultsOf(links).flatMap((vault) => openVault(vault)), ...links.flatMap(openClient)])];
}

function openVault({ auth }: Vault): string[] {
  return "secret" in auth
    ? [
        `${SECRETS}/${auth.secret}: the Vault token of that Secret; better vault.auth.approle or kubernetes (docs/credentials.md)`,
      ]
    : [
        `${SECRETS}/${VAULT_TOKEN}: how the gateway itself logs in at the Vault; better vault.auth.approle or kubernetes (docs/credentials.md)`,
      ];
}

function openClient({ source }: Link): string[] {
  if (source.kind !== "exchange" && source.kind !== "client") return [];
  return [
    `client.id, for ${CLIENT_ID}: the gateway's client at ${source.endpoint}, and ${SECRETS}/${source.secret ?? "client-secret"}: its secret alone, not base64(id:secret)`,
  ];
}
