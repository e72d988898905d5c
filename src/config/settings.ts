// The part of the configuration that the decision pipeline needs, in its own types. Pure.
import type { RefusalResponseSettings } from "../authz/refusal-response.ts";
import type { CheckSettings } from "../authz/check.ts";
import { endpointTable } from "../authz/endpoint.ts";
import { managedHeaders } from "../authz/grant.ts";
import { watchedHeaders } from "../authz/server-headers.ts";
import { credentialPlaces, headersOf, prefixOf } from "./names.ts";
import { callerHeaders, dpopOf, presentedSettings } from "./callers.ts";
import type { Config } from "./load.ts";
import { createCuration } from "../mcp/curation.ts";
import { createResolver } from "../mcp/resolver.ts";

/** Settings of the pipeline: the same for `serve`, `why`, `input` and the tests. */
export function checkSettings(config: Config): CheckSettings {
  const servers = Object.entries(config.servers);
  const managed = managedOf(config);
  const serverHeaders = Object.fromEntries(
    servers.map(([name, server]) => [
      name,
      { fixed: new Map(Object.entries(headersOf(server).fixed)), passes: new Set(server.passHeaders) },
    ]),
  );
  return {
    endpoints: endpointTable({ ...config, hasSessions: (server) => hasSessions(config, server) }),
    admit: {
      publicOrigin: config.publicOrigin,
      corsOrigins: new Set(config.cors.origins),
      lookalikes: new Set(managed.map((name) => name.replaceAll("-", "_"))),
      acceptTextBody: config.acceptTextBody,
      maxBodyBytes: config.limits.bodyBytes,
    },
    documents: {
      publicOrigin: config.publicOrigin,
      issuers: config.identity.issuers.map(({ issuer }) => issuer),
      scopes: config.challenge.scopes,
      dpop: dpopOf(config),
    },
    presents: presentedSettings(config),
    headers: { managed: new Set(managed), wristbandHeader: config.wristband.header, routeHeader: config.routeHeader },
    resolver: createResolver(
      Object.fromEntries(servers.map(([name, { prefix }]) => [name, prefixOf(name, prefix)])),
      Object.fromEntries(servers.map(([name, { aliases }]) => [name, aliases])),
    ),
    curation: createCuration(config),
    routing: Object.fromEntries(servers.map(([name]) => [name, routingOf(config, name)])),
    challengesHeldScopes: config.challenge.heldScopes,
    policyHeaders: config.policy.headers.filter((name) => !managed.includes(name)),
    serverHeaders,
    watchedHeaders: watchedHeaders(Object.values(serverHeaders)),
    hostPasses: new Set(config.policy.envoy?.passHeaders),
    compat: config.policy.compat,
    zones: config.policy.zones,
    clientAddress: config.clientAddress,
    largeBodiesPerCaller: config.limits.largeBodiesPerCaller,
  };
}

/** How the calls of a server travel on its own endpoint. */
function routingOf(config: Config, server: string): "broker" | "direct" {
  return config.servers[server]?.callRouting ?? config.callRouting;
}

/** A direct server gets the client's requests without the broker, so nobody could keep a session there. */
export function hasSessions(config: Config, server: string | null): boolean {
  return config.sessions !== null && (server === null || routingOf(config, server) === "broker");
}

export function managedOf(config: Config): string[] {
  const credentialHeaders = Object.values(config.servers).flatMap(credentialPlaces);
  const others = [...credentialHeaders, ...callerHeaders(config)];
  return managedHeaders(config.wristband.header, config.routeHeader, others);
}

export function answerSettings(config: Config): RefusalResponseSettings {
  const { publicOrigin, challenge, denial } = config;
  return { publicOrigin, scopes: challenge.scopes, dpop: dpopOf(config) !== null, denial };
}

/** The settings of whatever is in force when they are used. */
export function liveAnswers(current: () => RefusalResponseSettings): RefusalResponseSettings {
  return {
    get publicOrigin() {
      return current().publicOrigin;
    },
    get scopes() {
      return current().scopes;
    },
    get dpop() {
      return current().dpop ?? false;
    },
    get denial() {
      return current().denial;
    },
  };
}
