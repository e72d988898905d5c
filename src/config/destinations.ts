// Where our own processes connect to, by which CA, and the URLs that follow from listeners. Pure.
import { urlOf } from "../http/url.ts";
import type { Config } from "./schema.ts";

/** One outgoing connection. TLS is always verified, CA and host name. */
export interface Destination {
  readonly by: "serve" | "broker" | "both";
  readonly urlKey: string;
  /** Null where a URL must be named: the listener is a socket. */
  readonly url: string | null;
  /** The listener of ours that the URL follows from; null where the file names it. */
  readonly listener: "ops" | "brokerOps" | null;
  readonly caKey: string;
  readonly caFile: string | null;
}

/** Every connection to others and between our processes, in the order of the file. */
export function destinations(config: Config): Destination[] {
  const { identity, wristband, catalog, traces, vault, servers } = config;
  return [
    ...identity.issuers.map(({ issuer, jwksUri, caFile }, i): Destination => {
      const key = `identity.issuers[${i}]`;
      const urlKey = `${key}.${jwksUri === null ? "issuer" : "jwksUri"}`;
      return { by: "serve", urlKey, url: jwksUri ?? issuer, listener: null, caKey: `${key}.caFile`, caFile };
    }),
    {
      by: "broker",
      urlKey: "wristband.jwksUrl",
      ...withDefault(wristband.jwksUrl, "ops", () => jwksUrlOf(config)),
      ...{ caKey: "wristband.caFile", caFile: wristband.caFile },
    },
    {
      by: "serve",
      urlKey: "catalog.url",
      ...withDefault(catalog.url, "brokerOps", () => catalogUrlOf(config)),
      ...{ caKey: "catalog.caFile", caFile: catalog.caFile },
    },
    ...(traces === null
      ? []
      : [of("both", "traces", { urlName: "endpoint", url: traces.endpoint, caFile: traces.caFile })]),
    ...(vault === null ? [] : [of("serve", "vault", { urlName: "address", url: vault.address, caFile: vault.caFile })]),
    ...Object.entries(servers).flatMap(([name, { url, caFile, credential }]) => [
      of("broker", `servers.${name}`, { urlName: "url", url, caFile }),
      ...credential.flatMap((entry, i) => {
        if (entry.kind !== "exchange" && entry.kind !== "client_credentials") return [];
        const { tokenEndpoint, caFile: ca } = entry;
        const key = `servers.${name}.credential[${i}].exchange`;
        return [of("serve", key, { urlName: "tokenEndpoint", url: tokenEndpoint, caFile: ca })];
      }),
    ]),
  ];
}

function of(
  by: Destination["by"],
  key: string,
  { urlName, url, caFile }: { urlName: string; url: string; caFile: string | null },
): Destination {
  return { by, urlKey: `${key}.${urlName}`, url, listener: null, caKey: `${key}.caFile`, caFile };
}

function withDefault(
  url: string | null,
  listener: "ops" | "brokerOps",
  own: () => string,
): Pick<Destination, "url" | "listener"> {
  if (url !== null) return { url, listener: null };
  try {
    return { url: own(), listener };
  } catch {
    return { url: null, listener };
  }
}

/** Where the broker finds serve's keys. @throws {Error} when the listener is a socket and no URL is named */
export function jwksUrlOf(config: Config): string {
  return config.wristband.jwksUrl ?? `${ownOrigin(config, "ops")}/.well-known/jwks.json`;
}

/** Where serve finds the broker's catalogue. @throws {Error} when the listener is a socket and no URL is named */
export function catalogUrlOf(config: Config): string {
  return config.catalog.url ?? `${ownOrigin(config, "brokerOps")}/catalog`;
}

/** Where operators find the broker's status: beside its catalogue. @throws {Error} when the listener is a socket */
export function statusUrlOf(config: Config): string {
  const url = catalogUrlOf(config);
  return url.endsWith("/catalog") ? url.replace(/catalog$/, "status") : `${ownOrigin(config, "brokerOps")}/status`;
}

/** The origin of a listener of ours, by its address and with TLS where it has some. @throws {Error} for a socket */
export function ownOrigin({ listen, tls }: Config, listener: "ops" | "brokerOps"): string {
  return urlOf(listen[listener], listener, tls[listener] !== undefined);
}
