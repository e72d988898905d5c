// The pipeline behind ext_authz, which decides one HTTP request: endpoint, admission, token, body, then the operation by judge.ts,
// headers, credential, wristband. Pure: all I/O is behind the ports.
import { admit, admitBody, admitMedia, type AdmitSettings } from "./admit.ts";
import { findEndpoint, type EndpointTable, type McpEndpoint } from "./endpoint.ts";
import { Grant, type HeaderSettings, type Proof } from "./grant.ts";
import { isLarge } from "./large-bodies.ts";
import { tellOnStream } from "./told-refusal.ts";
import { admitBodiless, revisionOf, sessionIdOf } from "./session-request.ts";
import { admitTo, identifyCaller, tokenUse } from "./identify-caller.ts";
import { createShared, credentialFor, judge, noteOperation, type JudgeContext, type JudgeSettings } from "./judge.ts";
import type { Shared } from "./judge.ts";
import { permits, type Permit, type PermitOf } from "./permit.ts";
import { readPresented, type PresentedSettings } from "./presented.ts";
import { pass, refuse, refuseBody, type Step } from "./step.ts";
import type { Outcome } from "./outcome.ts";
import { countedCaller } from "./source.ts";
import { createHostPaths, type HostPathSettings } from "./host-paths.ts";
import { describedRequest } from "./policy-input.ts";
import { relayedCall } from "./relayed-call.ts";
import type { AuthzRequest, Identity, Visible, WristbandUse } from "./types.ts";
import type { Ports } from "./ports.ts";
import { corsHeaders, documentResponse, preflightResponse, type DocumentSettings } from "./public-document.ts";
import type { CheckFacts } from "./facts.ts";
import type { Operation } from "../mcp/operation.ts";
import { isOfTask } from "../mcp/method-table.ts";
import { MODERN } from "../mcp/versions.ts";
import { readOperation } from "../mcp/read-operation.ts";
import { clientHeaders, droppedHeaders, NO_SERVER_HEADERS, type ServerHeaders } from "./server-headers.ts";
import type { Secret } from "../secret/secret.ts";
import { readSearchMode } from "../mcp/search-mode.ts";

export interface CheckSettings extends JudgeSettings, HostPathSettings {
  readonly endpoints: EndpointTable;
  readonly admit: AdmitSettings;
  readonly documents: DocumentSettings;
  readonly headers: HeaderSettings;
  readonly presents: PresentedSettings;
  /** The way of each server's calls: relayed by the broker, or straight. */
  readonly routing: Readonly<Record<string, "broker" | "direct">>;
  /** By server: what it gets beside the credential. */
  readonly serverHeaders: Readonly<Record<string, ServerHeaders>>;
  /** Headers that are counted when they do not reach a server. */
  readonly watchedHeaders: ReadonlySet<string>;
  readonly clientAddress: "peer" | "x-envoy-external-address";
}

/** Decides one request, and writes each fact into `facts` as soon as it is proven. */
export type Check = (request: AuthzRequest, facts: CheckFacts, signal: AbortSignal) => Promise<Outcome>;

/** The values that all steps of one Check share. Made once per Check. */
interface CheckContext extends JudgeContext {
  readonly settings: CheckSettings;
  readonly ports: Ports;
  readonly request: AuthzRequest;
}

/**
 * Makes the pipeline: each step returns its value, or the one reason that ends the Check.
 * @param shared of all doors of this process
 */
export function createCheck(settings: CheckSettings, ports: Ports, shared: Shared = createShared(settings)): Check {
  const decideHostPath = createHostPaths({ settings, ports, shared });
  return async (request, facts, signal) => {
    const context: CheckContext = { settings, shared, ports, request, facts, signal };
    const source = sourceIp(context);
    facts.sourceIp = source;
    const located = findEndpoint(settings.endpoints, request.host, request.path);
    if (!located.ok) return located;
    const { endpoint, path } = located.value;
    facts.endpoint = endpoint;
    if (endpoint.kind === "document") return documentResponse(settings.documents, request.method, endpoint.resource);
    if (endpoint.kind === "host") return decideHostPath({ ...context, described: () => describedRequest(context) });
    facts.path = path;
    facts.server = endpoint.server;

    const admission = admit(settings.admit, request, endpoint);
    if (!admission.ok) return admission;
    facts.corsOrigin = admission.value.corsOrigin;
    if (request.method === "OPTIONS") return preflightOf(context, endpoint.sessions);

    const presented = readPresented(request.headers, settings.presents);
    if (!presented.ok) return presented;
    const { publicOrigin } = settings.admit;
    const use = tokenUse({ request, publicOrigin, source }, endpoint, presented.value);
    const identified = await identifyCaller(ports, { presented: presented.value, use, endpoint, request }, signal);
    const identity = identified.ok ? admitTo(endpoint, identified.value) : identified;
    facts.identity = callerIn(identity);
    if (!identity.ok) return identity;
    if (request.method !== "POST") return decideBodiless(context, endpoint, identity.value);

    const asked: CallerRequest = { endpoint, identity: identity.value };
    const isTurned = isLarge(request.body);
    if (isTurned) ports.note(facts);
    const decided = isTurned
      ? shared.inTurn(countedCaller(identity.value, source), async () => decide(context, asked), signal)
      : decide(context, asked);
    return told(context, asked, decided);
  };
}

/** A client of HTTP+SSE is told on her stream what is refused of her. */
function told(context: CheckContext, { endpoint, identity }: CallerRequest, outcome: Outcome | Promise<Outcome>) {
  if ((endpoint.legacySse?.session ?? null) === null) return outcome;
  return Promise.resolve(outcome).then((decided) => tellOnStream({ ...context, identity }, decided));
}

/** A request whose caller is verified and whose body is not read yet. */
interface CallerRequest {
  readonly endpoint: McpEndpoint;
  readonly identity: Identity;
}

/** A request whose operation is read. */
interface Read {
  readonly endpoint: McpEndpoint;
  readonly operation: Operation;
  readonly sessionId: string | null;
}

/** Reads the body and decides its operation. */
function decide(context: CheckContext, { endpoint, identity }: CallerRequest): Outcome | Promise<Outcome> {
  const operation = operationOf(context, endpoint);
  if (!operation.ok) return operation;
  if (operation.value.class === "session" && !endpoint.sessions) return refuse("method_unknown", "no sessions");
  const session = sessionIdOf(context.request, endpoint, operation.value.version);
  if (!session.ok) return session;
  const read = { endpoint, operation: operation.value, sessionId: session.value };
  const judged = judge(context, { endpoint, identity, operation: operation.value });
  const granted = (permit: Step<Permit>) => (permit.ok ? grant(context, read, permit.value) : permit);
  return judged instanceof Promise ? judged.then(granted) : granted(judged);
}

function grant(context: CheckContext, read: Read, permit: Permit): Promise<Outcome> {
  if (permits(permit, "call")) return grantCall(context, read, permit);
  return permits(permit, "watch") ? grantWatch(context, read, permit) : grantHousekeeping(context, read, permit);
}

/** Decides GET and DELETE: they act on the caller's own session, of which the broker alone knows. */
function decideBodiless(context: CheckContext, endpoint: McpEndpoint, identity: Identity): Outcome | Promise<Outcome> {
  const { request, facts } = context;
  facts.rpc = { id: null, notification: true, version: revisionOf(request) };
  const sessionId = admitBodiless(request, endpoint);
  if (!sessionId.ok) return sessionId;
  facts.method = request.method;
  const proof: Proof = { identity, decision: "housekeeping" };
  return grantToBroker(context, { proof, sessionId: sessionId.value }, [NO_NAMES, { use: "session" }]);
}

/** The caller for the audit line: also that of a token with a valid signature that was refused for another reason. */
export function callerIn(identified: Step<Identity>): Identity | null {
  return identified.ok ? identified.value : (identified.caller ?? null);
}

function sourceIp({ settings, request }: CheckContext): string {
  if (settings.clientAddress === "peer") return request.peer;
  return request.headers.get("x-envoy-external-address") ?? request.peer;
}

function preflightOf({ facts: { corsOrigin }, settings: { presents } }: CheckContext, hasSessions: boolean): Outcome {
  return preflightResponse(corsOrigin, hasSessions, [...presents.keyHeaders, ...(presents.dpop ? ["dpop"] : [])]);
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
  noteOperation(facts, read.operation);
  if (!search) return pass(read.operation);
  const meant = readSearchMode(read.operation);
  return meant.ok ? pass(meant.operation) : { ok: false, ...meant.fault };
}

const NO_NAMES: Visible = { tools: {}, prompts: {}, resources: {} };

/** Lets a housekeeping request through: the broker answers it, and shows only the names in the wristband. */
function grantHousekeeping(
  context: CheckContext,
  { endpoint, operation, sessionId }: Read,
  permit: Permit,
): Promise<Outcome> {
  const names = permits(permit, "list") ? permit.what.names : NO_NAMES;
  const use: WristbandUse =
    operation.class === "session"
      ? { use: "session" }
      : { use: "list", merged: endpoint.server === null, policy: context.facts.policy ?? undefined };
  return grantToBroker(context, { proof: proofOf(permit), sessionId }, [names, use]);
}

/** Lets a stream that names resources through: the wristband has those that are permitted. */
async function grantWatch(context: CheckContext, { sessionId }: Read, permit: PermitOf<"watch">): Promise<Outcome> {
  const { settings, facts } = context;
  const body = admitBody(settings.admit, context.request);
  if (!body.ok) return body;
  const { names, note, credentials, destinations } = permit.what;
  const use = { use: "listen" as const, body: body.value, destinations, policy: facts.policy ?? undefined };
  const granted = await grantToBroker(context, { proof: proofOf(permit), sessionId, credentials }, [names, use]);
  facts.note = note;
  return granted;
}

function proofOf({ identity, decision }: Permit): Proof {
  return { identity, decision };
}

interface ToBroker {
  readonly proof: Proof;
  readonly sessionId: string | null;
  /** For the servers of a stream that tells of resources. */
  readonly credentials?: Secret | null;
}

/** Lets a request through to the broker, with a wristband of these names and this use. */
async function grantToBroker(
  { settings, ports, facts }: CheckContext,
  { proof, sessionId, credentials = null }: ToBroker,
  [visible, use]: readonly [Visible, WristbandUse],
): Promise<Outcome> {
  const signed = await ports.signWristband(proof.identity, visible, use);
  if (!signed.ok) return signed;
  const wristband = signed.value;
  facts.wristband = wristband.jti;
  if (wristband.leftOut.length > 0) facts.note = `too large for the list: ${wristband.leftOut.join(", ")}`;
  const route = { to: "broker" as const, wristband, sessionId, credentials };
  return Grant.of(proof, { ...route, responseHeaders: corsOf(facts) }, settings.headers);
}

/**
 * True if Envoy sends a call straight to its server. A call with `Mcp-Param-*` goes to the broker: these headers mirror
 * arguments under names that only the tool's schema has, so they cannot be compared with the body here (threat model:
 * B23). The broker has the schema and makes them anew, and sends none for a client of an older revision. So does a call
 * that must have such headers: the broker refuses it if one is missing (N-03).
 */
function goesStraight({ settings, ports, request: { headers } }: CheckContext, { endpoint, operation }: Read): boolean {
  const { server } = endpoint;
  if (server === null || settings.routing[server] !== "direct" || isOfTask(operation.method)) return false;
  const { kind, name, version } = operation;
  const mayMirror = kind === "tool" && name !== null && version === MODERN;
  if (mayMirror && ports.mirrorsArguments(server, name)) return false;
  for (const name of headers.names()) if (name.startsWith("mcp-param-")) return false;
  return true;
}

/** Lets a permitted call through: its headers, the credential, then the wristband if the broker relays it. */
async function grantCall(context: CheckContext, read: Read, permit: PermitOf<"call">): Promise<Outcome> {
  const { settings, ports, facts } = context;
  const { identity } = permit;
  const { target } = permit.what;
  const { server } = target;
  const headers = settings.serverHeaders[server] ?? NO_SERVER_HEADERS;
  const received = context.request.headers;
  const client = clientHeaders(received, headers, target.version);
  if (!client.ok) return client;
  facts.droppedHeaders = droppedHeaders(received, headers, settings.watchedHeaders);
  for (const name of facts.droppedHeaders) ports.headerDropped(name);

  const asked = credentialFor(context, identity, server);
  const fetched = asked instanceof Promise ? await asked : asked;
  if (!fetched.ok) return fetched;
  const credential = fetched.value;
  facts.credential = credential.kind;
  facts.origin = credential.origin ?? null;
  const responseHeaders = corsOf(facts);
  if (goesStraight(context, read)) {
    const direct = { to: "server" as const, server, credential, received, client: client.value, headers };
    return Grant.of(
      proofOf(permit),
      { ...direct, traceparent: facts.span?.traceparent, responseHeaders },
      settings.headers,
    );
  }
  const call = { identity, operation: target, sessionId: read.sessionId };
  const relayed = await relayedCall(context, call, { server, credential });
  return relayed.ok ? Grant.of(proofOf(permit), { ...relayed.value, responseHeaders }, settings.headers) : relayed;
}

function corsOf(facts: CheckFacts): Map<string, string> {
  return facts.corsOrigin === null ? new Map<string, string>() : corsHeaders(facts.corsOrigin);
}
