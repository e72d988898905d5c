import type { Secret } from "../../secret/secret.ts";
import { createHttpClient, type HttpClient } from "../../http/client.ts";
import { partsOf } from "../../http/url.ts";

/** A server behind the broker, as the configuration says. */
export interface UpstreamSettings {
  readonly url: string;
  /** PEM; null for the system's CAs. */
  readonly ca: Buffer | null;
  readonly timeoutMs: number;
  /** Headers that its credential chain may fill. */
  readonly credentialHeaders: ReadonlySet<string>;
  /** False only if its chain ends in `none`: then a call may come without a credential. */
  readonly needsCredential: boolean;
}

/** A server behind the broker, with connections of its own. */
export interface Upstream extends UpstreamSettings {
  readonly name: string;
  readonly client: HttpClient;
  /** Path and query of its URL, byte for byte as configured. */
  readonly path: string;
}

/** What a server is given in place of the caller's token: the whole value of one header. */
export interface UpstreamCredential {
  readonly header: string;
  readonly value: Secret;
}

export interface Upstreams {
  get(server: string): Upstream | undefined;
  close(): void;
}

/** Each relayed call holds one while it lasts, a stream until its end. */
const MAX_CONNECTIONS = 1024;

export function createUpstreams(servers: ReadonlyMap<string, UpstreamSettings>): Upstreams {
  const upstreams = new Map<string, Upstream>();
  for (const [name, settings] of servers) {
    const { origin, path } = partsOf(settings.url);
    const client = createHttpClient({ origin, ca: settings.ca, maxConnections: MAX_CONNECTIONS });
    upstreams.set(name, { ...settings, name, client, path });
  }
  return {
    get: (server) => upstreams.get(server),
    close() {
      for (const { client } of upstreams.values()) client.close();
    },
  };
}

/** The one place where a credential leaves for its server. */
export function credentialHeader(credential: UpstreamCredential | null): Record<string, string> {
  return credential === null ? {} : { [credential.header]: credential.value.reveal() };
}
