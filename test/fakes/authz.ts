// Plain values for tests of the core: a request, an identity, ports that allow everything.
import { BY_TOKEN } from "./identity.ts";
import type { CheckSettings } from "../../src/authz/check.ts";
import { destinationOf } from "../../src/authz/destination.ts";
import { endpointTable } from "../../src/authz/endpoint.ts";
import { managedHeaders } from "../../src/authz/grant.ts";
import { pass, refuse } from "../../src/authz/step.ts";
import type { AuthzRequest, TokenIdentity, RequestHeaders } from "../../src/authz/types.ts";
import type { Ports } from "../../src/authz/ports.ts";
import { Secret } from "../../src/secret/secret.ts";
import { createCuration, UNCURATED } from "../../src/mcp/curation.ts";
import { createResolver } from "../../src/mcp/resolver.ts";

export const ORIGIN = "https://gw.example.com";

/** Headers from pairs; a name that comes twice is joined and counts as repeated. */
export function headersOf(pairs: readonly (readonly [string, string])[]): RequestHeaders {
  const values = new Map<string, string>();
  const repeated = new Set<string>();
  for (const [name, value] of pairs) {
    const before = values.get(name);
    if (before !== undefined) repeated.add(name);
    values.set(name, before === undefined ? value : `${before},${value}`);
  }
  return { get: (name) => values.get(name), repeated: (name) => repeated.has(name), names: () => values.keys() };
}

export interface RequestParts {
  method?: string;
  path?: string;
  query?: string | null;
  host?: string;
  headers?: readonly (readonly [string, string])[];
  message?: unknown;
  body?: AuthzRequest["body"];
  token?: string | null;
}

/** A `tools/call` of `read` on server `s` by somebody with a token, unless said otherwise. */
export function requestOf(parts: RequestParts = {}): AuthzRequest {
  const message = parts.message ?? {
    jsonrpc: "2.0",
    id: 7,
    method: "tools/call",
    params: { name: "read", arguments: {} },
  };
  const token = parts.token === undefined ? "token" : parts.token;
  return {
    method: parts.method ?? "POST",
    path: parts.path ?? "/servers/s/mcp",
    query: parts.query ?? null,
    host: parts.host ?? "gw.example.com",
    headers: headersOf([
      ["content-type", "application/json"],
      ...(token === null ? [] : [["authorization", `Bearer ${token}`] as const]),
      ...(parts.headers ?? []),
    ]),
    body: parts.body ?? { kind: "bytes", bytes: Buffer.from(JSON.stringify(message)) },
    peer: "192.0.2.7",
  };
}

export const ALICE: TokenIdentity = {
  issuer: "https://idp.example.com",
  subject: "alice-sub",
  username: "alice",
  groups: ["engineering"],
  scopes: ["mcp:read"],
  ...BY_TOKEN,
  actors: [],
  claims: { sub: "alice-sub" },
  expiresAt: 2_000_000_000,
  token: new Secret("alice-token"),
};

/** Where every server of the tests is. */
export const THERE = destinationOf("https://s.example.com/mcp");

/** Ports that allow everything and inject `pat`. */
export function allowingPorts(overrides: Partial<Ports> = {}): Ports {
  return {
    note: () => {},
    headerDropped: () => {},
    mirrorsArguments: () => false,
    identify: (bearer) => (bearer === "token" ? pass(ALICE) : refuse("token_invalid")),
    decide: () => pass({ allow: true, revision: "r1", note: null }),
    visible: () => pass({ revision: "r2", names: { tools: { s: ["read"] }, prompts: {}, resources: {} } }),
    fetchCredential: () =>
      pass({ kind: "static", header: "authorization", value: new Secret("Bearer pat"), destination: THERE }),
    signWristband: () => pass({ jws: "wrist.band.jws", jti: "j1", leftOut: [] }),
    ...overrides,
  };
}

export const MANAGED = managedHeaders("x-authorized-tools", null, ["authorization", "x-api-key"]);

/** `v`: the reading half of `s`, and all of `t`. */
export const VIRTUAL = { v: { servers: { s: ["read*"], t: ["*"] } } };

export function checkSettings(overrides: Partial<CheckSettings> = {}, search = false): CheckSettings {
  return {
    endpoints: endpointTable({
      publicOrigin: ORIGIN,
      hosts: ["alias.example.com"],
      servers: { s: { allowQuery: false }, t: { allowQuery: true } },
      virtualServers: VIRTUAL,
      search,
      hasSessions: (server) => server !== "s",
    }),
    admit: {
      publicOrigin: ORIGIN,
      corsOrigins: new Set(["https://app.example.com"]),
      lookalikes: new Set(MANAGED.map((name) => name.replaceAll("-", "_"))),
      acceptTextBody: false,
      maxBodyBytes: 256 * 1024,
    },
    documents: { publicOrigin: ORIGIN, issuers: ["https://idp.example.com"], scopes: [] },
    headers: { managed: new Set(MANAGED), wristbandHeader: "x-authorized-tools", routeHeader: null },
    presents: { keyHeaders: new Set(), basic: false, dpop: false, proxyHeaders: new Set() },
    resolver: createResolver({ s: "s_", t: "t_" }),
    curation: createCuration({ servers: { s: UNCURATED, t: UNCURATED }, virtualServers: VIRTUAL }),
    routing: { s: "direct", t: "broker" },
    challengesHeldScopes: false,
    policyHeaders: [],
    serverHeaders: {},
    watchedHeaders: new Set(),
    compat: null,
    zones: [],
    clientAddress: "peer",
    largeBodiesPerCaller: 8,
    ...overrides,
  };
}
