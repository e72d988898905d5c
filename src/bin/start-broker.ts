import { readFileSync } from "node:fs";
import { createBroker } from "../broker/broker-server.ts";
import { createCatalog } from "../broker/catalog.ts";
import type { UpstreamOptions } from "../broker/upstream-client.ts";
import type { Config } from "../config.ts";
import type { Address } from "../config-schema.ts";
import { headerValue } from "../credential/static.ts";
import { createOpsServer, type OpsAnswer } from "../ops/ops-server.ts";
import type { Log } from "../ops/log.ts";
import { isCatalogToken } from "../wristband/catalog-token.ts";
import { createPublicKeys } from "../wristband/public-keys.ts";
import { createVerifier } from "../wristband/verify.ts";
import { buildRelay } from "./build-relay.ts";
import { answerSettings, checkSettings } from "./check-settings.ts";

export interface RunningBroker {
  stop(): Promise<void>;
}

const GRACE_MS = 2000;

/** Builds and starts the broker. @throws {Error} that names the key at fault */
export async function startBroker(config: Config, log: Log): Promise<RunningBroker> {
  const monotonic = () => performance.now();
  const { issuer, audience } = config.wristband;
  const keys = createPublicKeys({
    url: config.wristband.jwksUrl ?? `${urlOf(config.listen.ops, "ops")}/.well-known/jwks.json`,
    fetch,
    monotonic,
  });
  const verify = createVerifier({ issuer, audience, findKey: keys.find, now: Date.now });
  const catalog = createCatalog({
    servers: upstreams(config),
    monotonic,
    onError: (server, message) => log.warn("upstream_not_listed", { server, message }),
  });
  const { endpoints, resolver } = checkSettings(config);
  const calls = buildRelay(config, { monotonic, log, entries: catalog.entries });
  const broker = createBroker({
    address: config.listen.broker,
    tls: tlsOf(config, "broker"),
    endpoints: endpoints.paths,
    answers: answerSettings(config),
    wristbandHeader: config.wristband.header,
    verify: async (jws) => {
      const first = verify(jws);
      if (first.ok || first.detail !== "kid") return first;
      await keys.refresh();
      return verify(jws);
    },
    view: (server, wristband) => ({ entries: catalog.entries(), server, wristband, publicName: resolver.publicName }),
    calls: { resolver, upstreams: calls.upstreams },
    relay: calls.relay,
  });
  const json = (status: number, value: object): OpsAnswer => ({
    status,
    contentType: "application/json",
    body: `${JSON.stringify(value)}\n`,
  });
  const ops = createOpsServer({
    name: "brokerOps",
    address: config.listen.brokerOps,
    tls: tlsOf(config, "brokerOps"),
    routes: {
      "/healthz": () => ({ status: 200, contentType: "text/plain", body: "ok\n" }),
      "/readyz": () =>
        json(keys.ready() ? 200 : 503, { ready: keys.ready(), keys: keys.lastError(), upstreams: catalog.states() }),
      "/catalog": (request) => {
        const token = /^Bearer ([A-Za-z0-9._-]+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
        if (!isCatalogToken({ issuer, audience }, token, keys.find, Date.now()))
          return json(401, { error: "a catalogue token of serve is needed" });
        const etag = catalog.etag();
        if (request.headers["if-none-match"] === etag)
          return { status: 304, contentType: "application/json", body: "", etag };
        return { ...json(200, catalog.names()), etag };
      },
    },
  });
  await ops.listen();
  await broker.listen();
  await Promise.all([keys.start(), catalog.start()]);
  log.info("listening", {
    broker: describe(config.listen.broker),
    servers: catalog.states().length,
    ready: keys.ready(),
  });
  return {
    async stop() {
      await broker.close(GRACE_MS);
      await calls.close();
      keys.close();
      catalog.close();
      await ops.close();
    },
  };
}

function upstreams(config: Config): Map<string, UpstreamOptions> {
  return new Map(
    Object.entries(config.servers).map(([name, { url, timeoutMs, discovery }]) => {
      const [entry] = discovery;
      const credential =
        entry?.kind === "static"
          ? { header: entry.header, value: headerValue(entry.scheme, entry.value.reveal()).reveal() }
          : null;
      return [name, { url, timeoutMs, fetch, credential }];
    }),
  );
}

function tlsOf(config: Config, listener: "broker" | "brokerOps") {
  const tls = config.tls[listener];
  if (tls === undefined) return null;
  const clientCa = tls.clientCaFile === null ? null : readFileSync(tls.clientCaFile);
  return { key: readFileSync(tls.keyFile), cert: readFileSync(tls.certFile), clientCa, clientSans: tls.clientSans };
}

/** Where another process of ours finds a listener. */
export function urlOf(address: Address, listener: string): string {
  if (address.kind === "unix")
    throw new Error(`listen.${listener} is a socket: name its URL in wristband.jwksUrl or catalog.url`);
  const host = address.host === "0.0.0.0" || address.host === "::" ? "127.0.0.1" : address.host;
  return `http://${host.includes(":") ? `[${host}]` : host}:${address.port}`;
}

function describe(address: Address): string {
  return address.kind === "unix" ? address.path : `${address.host}:${address.port}`;
}
