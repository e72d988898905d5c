// The pipeline that decides one request: endpoint, admission, token, body, policy, credential, wristband. Pure: all I/O is
// behind the ports.
import { admit, admitBody, admitMedia, type AdmitSettings } from "./admit.ts";
import { findEndpoint, type EndpointTable, type McpEndpoint } from "./endpoint.ts";
import { Grant, type HeaderSettings } from "./grant.ts";
import { createCredentialWaits, type CredentialWaits } from "./credential-waits.ts";
import { createLargeBodies, isLarge } from "./large-bodies.ts";
import { admitBodiless, revisionOf, sessionIdOf } from "./session-request.ts";
import { admitTo, identifyCaller, openNames, opens, tokenUse } from "./identify-caller.ts";
import { heldScopes } from "./held-scopes.ts";
import { readPresented, type PresentedSettings } from "./presented.ts";
import { pass, refuse, refuseBody, refuseByPolicy, type Step } from "./step.ts";
import type { Outcome } from "./outcome.ts";
import { createLocalTimes, type LocalTimes } from "./local-time.ts";
import { createPolicyCallers, policyInput } from "./policy-input.ts";
import { relayedCall } from "./relayed-call.ts";
import type {
  PolicyCaller,
  PolicyInput,
  PolicyOperation,
  AllowDecision,
  Decision,
  AuthzRequest,
  Identity,
  Visible,
  WristbandUse,
} from "./types.ts";
import type { Ports } from "./ports.ts";
import {
  corsHeaders,
  endpointPreflight,
  protectedResourceDocument,
  publicPreflight,
  type DocumentSettings,
} from "./public-document.ts";
import type { CheckFacts } from "./facts.ts";
import type { Operation } from "../mcp/operation.ts";
import { isOfTask } from "../mcp/method-table.ts";
import { offeredTarget, resolveTarget, type Target, type TargetSettings } from "./target.ts";
import { taskTarget } from "./task-request.ts";
import { readOperation, rpcContextOf } from "../mcp/read-operation.ts";
import { clientHeaders, droppedHeaders, NO_SERVER_HEADERS, type ServerHeaders } from "./server-headers.ts";
import { readSearchMode } from "../mcp/search-mode.ts";

export interface CheckSettings extends TargetSettings {
  readonly endpoints: EndpointTable;
  readonly admit: AdmitSettings;
  readonly documents: DocumentSettings;
  readonly headers: HeaderSettings;
  readonly presents: PresentedSettings;
  /** The way of each server's calls: relayed by the broker, or straight. */
  readonly routing: Readonly<Record<string, "broker" | "direct">>;
  readonly policyHeaders: readonly string[];
  /** A challenge for scopes names those too that the token has. */
  readonly challengesHeldScopes: boolean;
  /** By server: what it gets beside the credential. */
  readonly serverHeaders: Readonly<Record<string, ServerHeaders>>;
  /** Headers that are counted when they do not reach a server. */
  readonly watchedHeaders: ReadonlySet<string>;
  readonly compat: "authorino" | null;
  /** Time zones in which policy sees the time. */
  readonly zones: readonly string[];
  readonly clientAddress: "peer" | "x-envoy-external-address";
  /** Checks of one caller with a body above 32 KiB that are under way at a time. */
  readonly largeBodiesPerCaller: number;
}

/** Decides one request, and writes each fact into `facts` as soon as it is proven. */
export type Check = (request: AuthzRequest, facts: CheckFacts, signal: AbortSignal) => Promise<Outcome>;

/** The values that all steps of one Check share. Made once per Check. */
interface CheckContext {
  readonly settings: CheckSettings;
  readonly localTimes: (seconds: number) => LocalTimes | null;
  readonly ports: Ports;
  readonly request: AuthzRequest;
  readonly facts: CheckFacts;
  readonly signal: AbortSignal;
  readonly waits: CredentialWaits;
}

/** Makes the pipeline: each step returns its value, or the one reason that ends the Check. */
export function createCheck(settings: CheckSettings, ports: Ports): Check {
  const callerOf = createPolicyCallers();
  const localTimes = createLocalTimes(settings.zones);
  const inTurn = createLargeBodies(settings.largeBodiesPerCaller);
  const waits = createCredentialWaits();
  return async (request, facts, signal) => {
    const context: CheckContext = { settings, localTimes, ports, request, facts, signal, waits };
    const source = sourceIp(context);
    facts.sourceIp = source;
    const located = findEndpoint(settings.endpoints, request.host, request.path);
    if (!located.ok) return located;
    const { endpoint, path } = located.value;
    facts.endpoint = endpoint;
    if (endpoint.kind === "document") return document(context, endpoint.resource);
    facts.path = path;
    facts.server = endpoint.server;

    const admission = admit(settings.admit, request, endpoint);
    if (!admission.ok) return admission;
    facts.corsOrigin = admission.value.corsOrigin;
    if (request.method === "OPTIONS") return preflight(context, endpoint.sessions);

    const presented = readPresented(request.headers, settings.presents);
    if (!presented.ok) return presented;
    const { publicOrigin } = settings.admit;
    const use = tokenUse({ request, publicOrigin, source }, endpoint, presented.value);
    const identified = await identifyCaller(ports, [presented.value, use], signal);
    const identity = identified.ok ? admitTo(endpoint, identified.value) : identified;
    facts.identity = callerIn(identity);
    if (!identity.ok) return identity;
    if (request.method !== "POST") return decideBodiless(context, endpoint, identity.value);

    const asked: CallerRequest = { endpoint, identity: identity.value, caller: callerOf(identity.value) };
    if (!isLarge(request.body)) return decide(context, asked);
    ports.note(facts);
    return inTurn(identity.value, async () => decide(context, asked), signal);
  };
}

/** A request whose caller is verified and whose body is not read yet. */
interface CallerRequest {
  readonly endpoint: McpEndpoint;
  readonly identity: Identity;
  readonly caller: PolicyCaller;
}

/** Reads the body and decides its operation. */
function decide(context: CheckContext, { endpoint, identity, caller }: CallerRequest): Outcome | Promise<Outcome> {
  const operation = operationOf(context, endpoint);
  if (!operation.ok) return operation;
  if (operation.value.class === "session" && !endpoint.sessions) return refuse("method_unknown", "no sessions");
  const session = sessionIdOf(context.request, endpoint, operation.value.version);
  if (!session.ok) return session;
  const target = isOfTask(operation.value.method)
    ? taskTarget(context.ports, context.facts, { endpoint, identity, operation: operation.value })
    : knownTarget(context, endpoint, operation.value);
  if (!target.ok) return target;
  const offered = offeredTarget(context.settings, endpoint, target.value);
  if (!offered.ok) return offered;
  const { server } = target.value;
  if (server !== null && !opens(identity, server))
    return refuse("policy_denied", "the caller's key does not open this server");
  // The Check has already been answered: an evaluation would have no use, and no caller to count against.
  if (context.signal.aborted) return refuse("deadline", "before policy was asked");
  const input = inputOf(context, caller, target.value);
  const asked = { endpoint, identity, input, sessionId: session.value };
  return operation.value.class === "named"
    ? decideCall(context, { ...asked, operation: target.value })
    : decideHousekeeping(context, { ...asked, class: operation.value.class });
}

/** Decides GET and DELETE: they act on the caller's own session, of which the broker alone knows. */
function decideBodiless(context: CheckContext, endpoint: McpEndpoint, identity: Identity): Outcome | Promise<Outcome> {
  const { request, facts } = context;
  facts.rpc = { id: null, notification: true, version: revisionOf(request) };
  const sessionId = admitBodiless(request, endpoint);
  if (!sessionId.ok) return sessionId;
  facts.method = request.method;
  return grantHousekeeping(context, { identity, sessionId: sessionId.value }, [NO_NAMES, { use: "session" }]);
}

/** The caller for the audit line: also that of a token with a valid signature that was refused for another reason. */
function callerIn(identified: Step<Identity>): Identity | null {
  return identified.ok ? identified.value : (identified.caller ?? null);
}

function sourceIp({ settings, request }: CheckContext): string {
  if (settings.clientAddress === "peer") return request.peer;
  return request.headers.get("x-envoy-external-address") ?? request.peer;
}

function document({ settings, request }: CheckContext, resource: string): Outcome {
  if (request.method === "OPTIONS") return pass(publicPreflight());
  if (request.method !== "GET" && request.method !== "HEAD") return refuse("method_not_allowed");
  return pass(protectedResourceDocument(settings.documents, resource));
}

function preflight({ facts: { corsOrigin }, settings: { presents } }: CheckContext, hasSessions: boolean): Outcome {
  const own = [...presents.keyHeaders, ...(presents.dpop ? ["dpop"] : [])];
  return corsOrigin === null
    ? refuse("method_not_allowed", "OPTIONS")
    : pass(endpointPreflight(corsOrigin, hasSessions, own));
}

function operationOf({ settings, request, facts }: CheckContext, { search }: McpEndpoint): Step<Operation> {
  const media = admitMedia(request);
  if (!media.ok) return media;
  const bytes = admitBody(settings.admit, request);
  if (!bytes.ok) return bytes;
  const read = readOperation(bytes.value, request.headers);
  if (!read.ok) {
    facts.rpc = read.rpc;
    return refuseBody(read.fault);
  }
  const { operation } = read;
  facts.rpc = rpcContextOf(operation);
  facts.method = operation.method;
  facts.kind = operation.kind;
  facts.name = operation.name;
  if (!search) return pass(operation);
  const meant = readSearchMode(operation);
  return meant.ok ? pass(meant.operation) : { ok: false, ...meant.fault };
}

/** The target, which the facts have from here on. */
function knownTarget({ settings, facts }: CheckContext, endpoint: McpEndpoint, operation: Operation): Step<Target> {
  const target = resolveTarget(settings, endpoint, operation);
  if (target.ok && target.value.name !== null) {
    facts.server = target.value.server;
    facts.name = target.value.name;
  }
  return target;
}

function inputOf(
  { settings, localTimes, request, facts }: CheckContext,
  identity: PolicyCaller,
  mcp: PolicyOperation,
): PolicyInput {
  const headers: Record<string, string> = {};
  for (const name of settings.policyHeaders) {
    const value = request.headers.get(name);
    if (value !== undefined) headers[name] = value;
  }
  const { host } = request;
  const path = facts.path ?? request.path;
  const time = Math.floor(facts.arrivedAt / 1000);
  const local = localTimes(time);
  const described = { host, path, sourceIp: facts.sourceIp ?? "", time, headers, ...(local !== null && { local }) };
  return policyInput({ identity, mcp, request: described }, settings.compat);
}

const NO_NAMES: Visible = { tools: {}, prompts: {}, resources: {} };

interface Housekeeping {
  readonly endpoint: McpEndpoint;
  readonly identity: Identity;
  readonly input: PolicyInput;
  readonly sessionId: string | null;
  readonly class: Exclude<Operation["class"], "named">;
}

/** Decides a housekeeping request: the broker answers it, and shows only the names in the wristband. */
async function decideHousekeeping(context: CheckContext, asked: Housekeeping): Promise<Outcome> {
  const { ports, facts, signal } = context;
  const { endpoint, identity, input } = asked;
  if (asked.class === "session") return grantHousekeeping(context, asked, [NO_NAMES, { use: "session" }]);
  const isList = asked.class === "list" || asked.class === "listen";
  if (isList) ports.note(facts); // the next step may wait for a turn
  const listed = isList ? await ports.visible(input, signal, facts) : null;
  if (listed?.ok === false) return listed;
  facts.policy = listed?.value.revision ?? null;
  const open = openNames(identity, listed?.value.names ?? NO_NAMES);
  const visible = context.settings.curation.narrow(open, endpoint.virtualServer);
  return grantHousekeeping(context, asked, [
    visible,
    { use: "list", merged: input.mcp.server === null, policy: facts.policy ?? undefined },
  ]);
}

/** Lets a request through to the broker, with a wristband of these names and this use. */
async function grantHousekeeping(
  { settings, ports, facts }: CheckContext,
  { identity, sessionId }: Pick<Housekeeping, "identity" | "sessionId">,
  [visible, use]: readonly [Visible, WristbandUse],
): Promise<Outcome> {
  const signed = await ports.signWristband(identity, visible, use);
  if (!signed.ok) return signed;
  const wristband = signed.value;
  facts.wristband = wristband.jti;
  if (wristband.leftOut.length > 0) facts.note = `too large for the list: ${wristband.leftOut.join(", ")}`;
  const proof = { identity, decision: "housekeeping" as const };
  return Grant.of(proof, { to: "broker", wristband, sessionId, responseHeaders: corsOf(facts) }, settings.headers);
}

interface Call {
  readonly endpoint: McpEndpoint;
  readonly identity: Identity;
  readonly input: PolicyInput;
  readonly sessionId: string | null;
  readonly operation: PolicyOperation & { readonly server: string | null };
}

/**
 * True if Envoy sends a call straight to its server. A call with `Mcp-Param-*` goes to the broker: these headers mirror
 * arguments under names that only the tool's schema has, so they cannot be compared with the body here (threat model:
 * B23). The broker has the schema and makes them anew, and sends none for a client of an older revision.
 */
function goesStraight({ settings, request: { headers } }: CheckContext, { endpoint, operation }: Call): boolean {
  const { server } = endpoint;
  if (server === null || settings.routing[server] !== "direct" || isOfTask(operation.method)) return false;
  for (const name of headers.names()) if (name.startsWith("mcp-param-")) return false;
  return true;
}

function noteDecision(facts: CheckFacts, { revision, note, labels }: Decision): void {
  facts.policy = revision;
  facts.note = note;
  facts.labels = labels ?? null;
}

/** Decides a named operation: policy, then the credential, then the wristband if the broker relays it. */
async function decideCall(context: CheckContext, call: Call): Promise<Outcome> {
  const { settings, ports, facts, signal } = context;
  const { identity } = call;
  const { server } = call.operation;
  if (server === null) return refuse("internal", "a named operation without a server");
  const decision = ports.decide(call.input, facts);
  if (!decision.ok) return decision;
  noteDecision(facts, decision.value);
  if (!decision.value.allow) return refuseByPolicy(decision.value, heldScopes(identity, settings.challengesHeldScopes));

  const headers = settings.serverHeaders[server] ?? NO_SERVER_HEADERS;
  const received = context.request.headers;
  const client = clientHeaders(received, headers, call.operation.version);
  if (!client.ok) return client;
  facts.droppedHeaders = droppedHeaders(received, headers, settings.watchedHeaders);
  for (const name of facts.droppedHeaders) ports.headerDropped(name);

  const asked = ports.fetchCredential(server, identity, signal);
  const fetched = asked instanceof Promise ? await context.waits(identity, asked, signal) : asked;
  if (!fetched.ok) return fetched;
  const credential = fetched.value;
  facts.credential = credential.kind;
  facts.origin = credential.origin ?? null;
  const proof = { identity, decision: decision.value satisfies AllowDecision };
  const responseHeaders = corsOf(facts);
  if (goesStraight(context, call)) {
    const direct = { to: "server" as const, server, credential, received, client: client.value, headers };
    return Grant.of(proof, { ...direct, responseHeaders }, settings.headers);
  }
  const relayed = await relayedCall(context, call, { server, credential });
  return relayed.ok ? Grant.of(proof, { ...relayed.value, responseHeaders }, settings.headers) : relayed;
}

function corsOf(facts: CheckFacts): Map<string, string> {
  return facts.corsOrigin === null ? new Map<string, string>() : corsHeaders(facts.corsOrigin);
}
