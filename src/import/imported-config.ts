// The configuration that an import makes, as a tree of `mcp-authz.yaml`. Pure.
import type { ImportedIssuer } from "./authentication.ts";
import type { ImportedCredentials } from "./credentials.ts";
import type { PolicyDocument } from "./policy-document.ts";
import { SourceError } from "./source.ts";
import type { ImportedWristband } from "./wristband.ts";

/** A server by its name in the source, which may be `namespace/name`. */
export interface NamedServer {
  readonly name: string;
  readonly url: string;
}

export interface ImportedConfig {
  readonly tree: object;
  /** `policy.headers`. */
  readonly headers: readonly string[];
  /** Names of the source by ours. */
  readonly servers: ReadonlyMap<string, string>;
  /** What stands in it for what no policy says. */
  readonly open: readonly string[];
}

interface Parts {
  readonly options: {
    readonly origin: string | null;
    readonly servers: readonly NamedServer[];
    readonly audiences: readonly string[];
  };
  readonly document: PolicyDocument;
  readonly issuers: readonly ImportedIssuer[];
  readonly credentials: ImportedCredentials;
  readonly wristband: ImportedWristband | null;
  readonly denial: "http" | null;
  readonly policy: { readonly rego: "v0" | "v1"; readonly headers: readonly string[] };
}

/** Nobody answers there (RFC 2606). */
const NOWHERE = "https://replace-me.invalid";

export function configOf(parts: Parts): ImportedConfig {
  const { options, document, issuers, credentials, wristband, denial, policy } = parts;
  const publicOrigin = options.origin ?? NOWHERE;
  const route = { name: document.route ?? "server", url: `${NOWHERE}/mcp` };
  const servers = options.servers.length > 0 ? options.servers : [route];
  const names = namesOf(servers);
  const urls = [
    ...servers.map(({ url }) => url),
    ...issuers.flatMap(({ issuer, jwksUri }) => [issuer, jwksUri ?? issuer]),
    ...credentials.urls,
  ];
  const allowHttp = plainHosts(urls);
  const tree = {
    publicOrigin,
    ...(denial !== null && { denial }),
    ...(allowHttp.length > 0 && { allowHttp }),
    identity: {
      issuers: issuers.length > 0 ? issuers.map((one) => issuerOf(one, parts)) : [issuerOf(NO_ISSUER, parts)],
    },
    policy: {
      path: "policy",
      ...(policy.rego === "v0" && { rego: "v0" }),
      ...(policy.headers.length > 0 && { headers: policy.headers }),
    },
    wristband: wristbandOf(wristband, publicOrigin),
    ...(credentials.vault !== null && { vault: credentials.vault }),
    servers: Object.fromEntries(
      servers.map(({ name, url }) => [ourName(name), { url, ...credentials.of({ source: name }) }]),
    ),
  };
  return {
    tree,
    headers: policy.headers,
    servers: names,
    open: [
      ...openPlaces(parts),
      ...credentials.open,
      ...allowHttp.map((host) => `allowHttp: ${host} is asked by plain http, as in the source: use https where it can`),
    ],
  };
}

const NO_ISSUER: ImportedIssuer = { issuer: NOWHERE, jwksUri: null, audiences: [] };

function issuerOf({ issuer, jwksUri, audiences }: ImportedIssuer, { options, credentials }: Parts) {
  const all = [...new Set([...audiences, ...options.audiences])];
  return {
    issuer,
    audiences: all.length > 0 ? all : [options.origin ?? NOWHERE],
    algorithms: ["RS256", "ES256"],
    tokenType: "jwt",
    ...(jwksUri !== null && { jwksUri }),
    ...(credentials.username !== null && { claims: { username: credentials.username } }),
  };
}

/** Hosts beyond loopback that the source asks by plain http. */
function plainHosts(urls: readonly string[]): string[] {
  const hosts = urls.flatMap((url) => {
    const parsed = URL.parse(url);
    return parsed?.protocol === "http:" ? [parsed.hostname] : [];
  });
  return [...new Set(hosts.filter((host) => !/^(?:127\.|localhost$|\[::1\]$)/.test(host)))].toSorted();
}

function wristbandOf(wristband: ImportedWristband | null, origin: string) {
  const keys = wristband === null || wristband.keys.length === 0 ? ["wristband"] : wristband.keys;
  return {
    issuer: wristband?.issuer ?? origin,
    keys: keys.map((name) => ({ kid: name, file: `keys/${name}.pem` })),
    ...(wristband !== null && { header: wristband.header, ttlSeconds: wristband.ttlSeconds }),
  };
}

/** A server's name here: the last part of the source's, of letters, digits and `-`. */
function ourName(name: string): string {
  const last = name.split("/").at(-1) ?? name;
  return (
    last
      .toLowerCase()
      .replaceAll(/[^a-z0-9-]+/g, "-")
      .replace(/^[^a-z]+/, "")
      .slice(0, 63) || "server"
  );
}

/** Names of the source by ours. @throws {SourceError} where two would be one server, with one of the two URLs */
function namesOf(servers: readonly NamedServer[]): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const { name } of servers) {
    const ours = ourName(name);
    const other = names.get(ours);
    if (other !== undefined)
      throw new SourceError(
        `${other} and ${name} would both be the server ${ours} here: import them one by one, into two folders, and give one another name`,
      );
    names.set(ours, name);
  }
  return names;
}

function openPlaces({ options, document, issuers, wristband }: Parts): string[] {
  const keys = wristband?.keys.length === 0 || wristband === null ? ["wristband"] : wristband.keys;
  return [
    ...(options.origin === null ? ["publicOrigin: the URL of your gateway (or import with --origin URL)"] : []),
    ...(options.servers.length === 0
      ? [`servers: the MCP servers behind ${document.name} (or import with --server NAME=URL, once for each)`]
      : []),
    ...(issuers.length > 0 && options.audiences.length === 0 && issuers.some(({ audiences }) => audiences.length === 0)
      ? ["identity.issuers[].audiences: what your IdP writes into `aud` (or import with --audience NAME)"]
      : []),
    ...keys.map(
      (name) =>
        `keys/${name}.pem: the Secret's key.pem, or a new one: openssl ecparam -name prime256v1 -genkey -noout -out keys/${name}.pem`,
    ),
  ];
}
