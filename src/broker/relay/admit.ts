// Admits a call to the relay: proves once more that its wristband names this operation on this server. Pure.
import type { IncomingMessage } from "node:http";
import type { McpEndpoint } from "../../authz/endpoint.ts";
import type { CredentialHeaders } from "../../authz/credential-set.ts";
import { readMore, type MoreParts } from "../../authz/credential-parts.ts";
import { HEADER_VALUE } from "../../authz/header-value.ts";
import { clientHeaders } from "../../authz/server-headers.ts";
import { pass, refuse, type Refused, type Step } from "../../authz/step.ts";
import type { Task, TaskIds } from "../../authz/task-ids.ts";
import type { RequestHeaders } from "../../authz/types.ts";
import { isOfTask } from "../../mcp/method-table.ts";
import { taskMade, taskOf, type CallTask, type TaskMaker } from "./tasks.ts";
import { Secret } from "../../secret/secret.ts";
import type { Curation } from "../../mcp/curation.ts";
import type { Operation } from "../../mcp/operation.ts";
import type { Resolver, Target } from "../../mcp/resolver.ts";
import { bodyDigest, destinationIn, namesExactly, type WristbandClaims } from "../../wristband/claims.ts";
import type { ClientSession } from "../sessions/client-session.ts";
import type { CallAsking } from "./asking.ts";
import { passing, type Upstream, type UpstreamCredential, type Upstreams } from "../upstream/upstream.ts";
import type { MapUri } from "./result-names.ts";

/** A call that its wristband allows at this server. */
export interface RelayCall {
  readonly upstream: Upstream;
  readonly operation: Operation;
  /** The requests among which its id is unique to its client. */
  readonly scope: string;
  /** The server's own name or URI. */
  readonly name: string;
  /** Maps the URIs that the server sends; null where they stay. */
  readonly mapUri: MapUri | null;
  readonly body: Buffer;
  readonly task: CallTask;
  readonly credential: UpstreamCredential | null;
  readonly wristband: WristbandClaims;
  /** The wristband itself. */
  readonly jws: string;
  /** The client's session; null without one. */
  readonly session: ClientSession | null;
  /** What its server may ask her; null for nothing. */
  readonly asking: CallAsking | null;
  /** Headers of the client that are passed on. */
  readonly forwarded: Readonly<Record<string, string>>;
}

export interface AdmitCallOptions {
  readonly resolver: Resolver;
  readonly curation: Curation;
  readonly upstreams: Upstreams;
  /** Ids of tasks; null where tasks are not offered. */
  readonly tasks: TaskIds | null;
}

export interface IncomingCall {
  readonly endpoint: McpEndpoint;
  readonly operation: Operation;
  readonly body: Buffer;
  readonly wristband: WristbandClaims;
  /** The wristband itself. */
  readonly jws: string;
  /** The client's session; null without one. */
  readonly session: ClientSession | null;
  readonly headers: IncomingMessage["headersDistinct"];
}

const NONE: ReadonlySet<string> = new Set();
/** Set by the relay itself. */
const OWN_MCP_HEADERS = new Set(["mcp-protocol-version", "mcp-method", "mcp-name"]);

/**
 * Trusts the sender in nothing: the server is resolved here and must be the one that `serve` named, and the wristband must
 * name this one operation and nothing else. The wristband of a list calls nothing.
 */
export function admitCall(options: AdmitCallOptions, incoming: IncomingCall): Step<RelayCall> {
  const { resolver, upstreams } = options;
  const { operation, body, wristband, jws, headers } = incoming;
  const task = taskOf(options.tasks, operation, wristband);
  const target = targetOf(resolver, incoming, task);
  const upstream = target === null ? undefined : upstreams.get(target.server);
  if (target === null || upstream === undefined) return refuse("wristband_invalid", "no server");
  const unproven = unprovenIn(options, incoming, target);
  if (unproven !== null) return refuse("wristband_invalid", unproven);
  if (!isMeantFor(wristband, upstream)) return ELSEWHERE;
  const credential = credentialOf(upstream, headers);
  if (!credential.ok) return credential;
  const own = ownHeaders(incoming, upstream);
  if (!own.ok) return own;
  return pass({
    upstream: passing(upstream, own.value.passed),
    operation,
    scope: scopeOf(incoming),
    name: target.name,
    mapUri: mapUriOf(resolver, incoming.endpoint, target),
    body,
    task: callTask(options.tasks, task, { operation, body, wristband, server: target.server, tool: target.name }),
    credential: credential.value,
    wristband,
    jws,
    session: incoming.session,
    asking: null,
    forwarded: own.value.forwarded,
  });
}

/** What the wristband does not prove of this call; null where it proves it. */
function unprovenIn({ curation }: AdmitCallOptions, incoming: IncomingCall, target: Target): string | null {
  const { operation, body, wristband, headers, endpoint } = incoming;
  if (single(headers["x-mcp-server"]) !== target.server) return "another server";
  if (wristband.use !== "call" || !namesExactly(wristband, operation.kind, target)) return "another operation";
  if (operation.kind === null || !curation.offers(operation.kind, target, endpoint.virtualServer)) return "not offered";
  return bodyDigest(body) === wristband.body ? null : "another body";
}

/** The requests of one session, or without one of a caller's client at one endpoint: nobody else's call is among them. */
export function scopeOf({
  endpoint,
  wristband,
  session,
}: Omit<IncomingCall, "operation" | "body" | "headers">): string {
  const { idp, sub, client } = wristband;
  return JSON.stringify([idp, sub, client, endpoint.resource, session?.key ?? null]);
}

/** Maps URIs where an endpoint is of several servers. */
function mapUriOf(resolver: Resolver, endpoint: IncomingCall["endpoint"], { server }: Target): MapUri | null {
  return endpoint.server === null ? resolver.namesOf(server).reference : null;
}

function callTask(ids: TaskIds | null, task: Task | null, call: TaskMaker): CallTask {
  return task === null ? taskMade(ids, call) : { kind: "about", task, text: call.operation.name ?? "" };
}

/** A task is its creating tool's. */
function targetOfTask({ server, tool }: Task, { endpoint }: IncomingCall): Target | null {
  return endpoint.server === null || endpoint.server === server ? { server, name: tool } : null;
}

function targetOf(resolver: Resolver, incoming: IncomingCall, task: Task | null): Target | null {
  return task === null ? namedTarget(resolver, incoming) : targetOfTask(task, incoming);
}

function namedTarget(resolver: Resolver, { endpoint, operation }: IncomingCall): Target | null {
  if (operation.name === null || operation.kind === null || isOfTask(operation.method)) return null;
  return resolver.resolveAt(endpoint.server, operation.kind, operation.name);
}

/** The value of a header that came exactly once, else null. */
export function single(copies: readonly string[] | undefined): string | null {
  return copies?.length === 1 ? (copies[0] ?? null) : null;
}

/** A server as one client reaches it: with the credential and the client's headers that pass. */
export function reachedBy(
  upstream: Upstream,
  incoming: IncomingCall,
  credentials: CredentialHeaders,
): Step<Pick<RelayCall, "upstream" | "credential">> {
  const listed = Object.entries(credentials).map(([name, value]) => [name, value === undefined ? undefined : [value]]);
  const credential = credentialOf(upstream, Object.fromEntries(listed) as IncomingCall["headers"]);
  if (!credential.ok) return credential;
  const own = ownHeaders(incoming, upstream);
  return own.ok ? pass({ upstream: passing(upstream, own.value.passed), credential: credential.value }) : own;
}

/** False for what `serve` allowed for a server of this name at another URL: one of the two has the newer configuration. */
export function isMeantFor(wristband: WristbandClaims, { name, destination }: Upstream): boolean {
  return destinationIn(wristband, name) === destination;
}

/** The credential that `serve` fetched; its header must be one that this server's chain fills. */
function credentialOf(upstream: Upstream, headers: IncomingCall["headers"]): Step<UpstreamCredential | null> {
  const values = headers["x-upstream-authorization"];
  const names = headers["x-upstream-header"];
  const others = headers["x-upstream-more"];
  const more = others === undefined ? null : (single(others) ?? "");
  if (values === undefined && names === undefined) return withoutMain(upstream, more);
  const value = single(values);
  const header = names === undefined ? "authorization" : single(names);
  if (value === null || header === null) return unusable("not once");
  return credentialFrom(upstream, { header, value, more });
}

/** A credential in the form in which `serve` sends it. */
interface SentCredential {
  readonly header: string;
  readonly value: string;
  /** Null for none. */
  readonly more: string | null;
}

/** A credential of `serve`'s; each of its parts must be one that this server's chain fills. */
export function credentialFrom(upstream: Upstream, { header, value, more }: SentCredential): Step<UpstreamCredential> {
  const parts = moreParts(more);
  return parts === null ? NOT_IN_FORM : usable(upstream, { header, value: new Secret(value), ...parts });
}

function moreParts(text: string | null): MoreParts | null {
  return text === null ? { more: [], session: null } : readMore(text);
}

/** `none` in the chain, with or without headers that say who calls. */
function withoutMain(upstream: Upstream, text: string | null): Step<UpstreamCredential | null> {
  const parts = moreParts(text);
  if (parts === null) return NOT_IN_FORM;
  const {
    more: [first, ...more],
    session,
  } = parts;
  if (upstream.needsCredential) return unusable("none came");
  return first === undefined ? pass(null) : usable(upstream, { ...first, more, session });
}

function usable(upstream: Upstream, credential: UpstreamCredential): Step<UpstreamCredential> {
  const parts = [credential, ...(credential.more ?? [])];
  if (!parts.every(({ header }) => upstream.credentialHeaders.has(header)))
    return unusable("a header that the chain does not fill");
  if (new Set(parts.map(({ header }) => header)).size !== parts.length) return unusable("not once");
  return parts.every(({ value }) => HEADER_VALUE.test(value.reveal()))
    ? pass(credential)
    : unusable("not a header value");
}

function unusable(detail: string): Refused {
  return refuse("credential_unavailable", detail);
}

/** Nothing of the request goes anywhere; it passes once both have read the same. */
export const ELSEWHERE = unusable("for another URL of this server");

const NOT_IN_FORM = unusable("not in its form");

interface OwnHeaders {
  readonly forwarded: Readonly<Record<string, string>>;
  readonly passed: Readonly<Record<string, string>>;
}

/** The headers of the client that go on: the protocol's with the call, and what the configuration lets pass. */
function ownHeaders({ headers, operation }: IncomingCall, { passHeaders: passes = NONE }: Upstream): Step<OwnHeaders> {
  const own = clientHeaders(headerTable(headers), { passes }, operation.version);
  if (!own.ok) return own;
  const forwarded = [...own.value.protocol].filter(([name]) => !OWN_MCP_HEADERS.has(name));
  return pass({ forwarded: Object.fromEntries(forwarded), passed: Object.fromEntries(own.value.passed) });
}

function headerTable(headers: IncomingCall["headers"]): RequestHeaders {
  return {
    get: (name) => headers[name]?.[0],
    repeated: (name) => headers[name]?.length !== 1,
    names: () => Object.keys(headers),
  };
}
