// Which header names and values a configuration may name, for each use: one table. Pure.
import { managedHeaders } from "../../authz/grant.ts";
import { HEADER_VALUE } from "../../authz/header-value.ts";
import { parameterOf } from "../../authz/credential-parts.ts";
import { readTemplate, templateFault } from "../../credential/caller-text.ts";
import { placesOf } from "../names.ts";
import { callerHeaders, issuerAliases } from "../callers.ts";
import type { Report, Reporter } from "../problem.ts";
import type { Config } from "../schema.ts";

/** Header names that have a meaning to HTTP, browsers, MCP or the edge. */
const RESERVED: ReadonlySet<string> = new Set([
  // The message itself and one hop of it (RFC 9110 §6.6, §7.6.1, RFC 9112).
  ...[
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "expect",
    "host",
    "keep-alive",
    "max-forwards",
  ],
  ...["proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"],
  ...["http2-settings", "via", "date", "range"],
  // Browsers, the trace and MCP: the Check and the broker.
  ...["accept", "accept-encoding", "content-type", "origin", "traceparent", "tracestate"],
  // The edge.
  ...["forwarded", "x-request-id", "x-real-ip", "x-original-url", "x-rewrite-url"],
]);
/** Prefixes of names: Envoy writes the first three, the gateway the next two, MCP the last. */
const FAMILIES = ["x-envoy-", "x-forwarded-", "access-control-", "x-mcp-", "x-upstream-", "mcp-"];
/** Managed whatever the configuration says. */
const FIXED: ReadonlySet<string> = new Set(managedHeaders("", null, []));
/** Words of which a part of a name is one, alone or in the plural; the first ones also as its end: `x-authtoken`. */
const SECRET_ENDS = "token|secret|password|cookie|jwt";
const SECRET_WORDS = `${SECRET_ENDS}|authorization|authentication|credential|assertion|passwd|passphrase|pwd|bearer|otp|dpop`;
/** What a key that opens something is called: `x-functions-key`, not `idempotency-key`. */
const SECRET_KEYS =
  "api|access|auth|private|secret|subscription|function|functions|master|account|license|shared|signing|encryption|app|application|client|user|session|admin|security|service";
/** Names of headers that carry a client's credentials. Policy sees the identity, never the credential. */
const SECRET = new RegExp(
  `(?:^|-)(?:${SECRET_WORDS})s?\\d*(?:-|$)|[a-z](?:${SECRET_ENDS})s?(?:-|$)|(?:^|-)(?:auth|pass)\\d*$|(?:^|-)(?:${SECRET_KEYS})-?keys?(?:-|$)`,
);

const UNDERSCORE = "must not hold '_': Envoy refuses such headers";

/** True if no configuration may write this header. @param families prefixes that are refused for this use */
function isReserved(name: string, families: readonly string[]): boolean {
  return RESERVED.has(name) || families.some((prefix) => name.startsWith(prefix));
}

/** Why the wristband or the route cannot have this header; null if it can. */
function ownFault(name: string): string | null {
  if (name.includes("_")) return UNDERSCORE;
  if (name.startsWith("mcp-")) return `${name} reaches the servers, as every mcp- header: choose another`;
  const isTaken =
    isReserved(
      name,
      FAMILIES.filter((prefix) => prefix !== "x-mcp-"),
    ) || SECRET.test(name);
  return isTaken || FIXED.has(name) ? `${name} has another meaning; choose another header` : null;
}

function credentialFault(name: string, own: ReadonlySet<string>): string | null {
  if (name.includes("_")) return UNDERSCORE;
  return isReserved(name, FAMILIES) || own.has(name) ? `${name} cannot carry a credential` : null;
}

/** Why callers cannot send a key in this header; null if they can. */
export function callerFault(name: string, own: ReadonlySet<string>): string | null {
  const fault = credentialFault(name, own);
  return fault === null && FIXED.has(name) ? `${name} has another meaning` : fault;
}

/** Why this header cannot go to a server beside the credential; null if it can. */
function serverFault(name: string, managed: ReadonlySet<string>): string | null {
  if (name.includes("_")) return UNDERSCORE;
  const isTaken = isReserved(
    name,
    FAMILIES.filter((prefix) => prefix !== "x-mcp-"),
  );
  if (isTaken || name === "last-event-id") return `${name} has a meaning to HTTP, MCP or the edge`;
  if (managed.has(name)) return `${name} is written or removed by the gateway`;
  return SECRET.test(name) ? `${name} carries a credential: those are for credential and discovery` : null;
}

function policyFault(name: string, managed: ReadonlySet<string>): string | null {
  if (name.includes("_")) return UNDERSCORE;
  if (name.startsWith("mcp-param-"))
    return `${name} is not compared with the body: let policy read input.mcp.arguments`;
  if (managed.has(name)) return `${name} never reaches policy: the gateway writes or removes it`;
  if (name.startsWith("proxy-")) return `${name} is of one hop (RFC 9110)`;
  return SECRET.test(name) ? `${name} carries a credential: policy reads who the caller is in input.identity` : null;
}

/** Why `{issuerAlias}` cannot be filled in; null if it can, or is not there. */
export function aliasFault({ identity }: Config, text: string): string | null {
  const isUsed = text.includes("{issuerAlias}");
  return isUsed && identity.issuers.some(({ alias }) => alias === null)
    ? "needs an alias of each of identity.issuers"
    : null;
}

/** Why a header that names a caller names two: with callers of several issuers a subject alone is no one person. */
function unqualifiedFault(config: Config, text: string): string | null {
  if (/\{issuerAlias[:}]|\{claim:iss[:}]/.test(text) || issuerAliases(config).size <= 1) return null;
  const places = readTemplate(text).flatMap((part) => (typeof part === "string" ? [] : [part.of]));
  return places.some((name) => name === "username" || name === "subject")
    ? "callers come from several issuers, API keys and proxies included, and the same name can be two people: write {issuerAlias}/ in front of it"
    : null;
}

export function checkHeaders(config: Config, { problem }: Reporter): void {
  const say = (key: string, fault: string | null) => fault !== null && problem(key, fault);
  const { header } = config.wristband;
  say("wristband.header", ownFault(header));
  if (config.routeHeader !== null) {
    say("routeHeader", ownFault(config.routeHeader));
    if (config.routeHeader === header) problem("routeHeader", "is the same as wristband.header");
  }
  const servers = Object.values(config.servers);
  const credentials = servers.flatMap(({ credential, discovery }) => [...credential, ...discovery].flatMap(placesOf));
  const managed = new Set(managedHeaders(header, config.routeHeader, [...credentials, ...callerHeaders(config)]));
  for (const name of config.policy.headers) say("policy.headers", policyFault(name, managed));
  for (const [server, { headers, passHeaders }] of Object.entries(config.servers)) {
    for (const [name, value] of Object.entries(headers))
      say(
        `servers.${server}.headers.${name}`,
        serverFault(name, managed) ??
          templateFault(value) ??
          aliasFault(config, value) ??
          unqualifiedFault(config, value),
      );
    for (const name of passHeaders) {
      const fault = name in headers ? `${name} is fixed in headers: the client's cannot pass` : null;
      say(`servers.${server}.passHeaders`, serverFault(name, managed) ?? fault);
    }
  }
}

interface Places {
  readonly config: Config;
  readonly server: string;
  /** Of the entry in the file. */
  readonly key: string;
  readonly places: readonly string[];
}

function checkPlaces({ config, server, key, places }: Places, problem: Report): void {
  const own = new Set([config.wristband.header, config.routeHeader ?? ""]);
  if (new Set(places).size !== places.length) problem(`${key}.headers`, "names a header twice");
  for (const place of places) {
    const parameter = parameterOf(place);
    if (parameter === null) {
      const fault = credentialFault(place, own);
      if (fault !== null) problem(`${key}.header`, fault);
      continue;
    }
    const { url = "", callRouting } = config.servers[server] ?? {};
    if ((callRouting ?? config.callRouting) === "direct")
      problem(`${key}.in`, "query needs the broker, which writes the URL: say callRouting: broker for this server");
    if (URL.parse(url)?.searchParams.has(parameter) === true)
      problem(`${key}.name`, `${parameter} stands in the server's url already`);
  }
}

export function checkCredentialHeaders(config: Config, { problem }: Reporter): void {
  for (const [name, server] of Object.entries(config.servers))
    for (const chain of ["credential", "discovery"] as const)
      server[chain].forEach((entry, i) => {
        const key = `servers.${name}.${chain}[${i}].${entry.kind}`;
        checkPlaces({ config, server: name, key, places: placesOf(entry) }, problem);
        const values = entry.kind === "static" ? [entry, ...entry.more] : [];
        if (!values.every(({ value }) => HEADER_VALUE.test(value.reveal())))
          problem(`${key}.file`, "holds what no header can carry: one line of visible ASCII, without spaces around it");
      });
}
