// The pipeline that decides one request: endpoint, admission, token, body, policy, credential, wristband. Pure: all I/O is
// behind the ports.
import { admit, admitBody, admitMedia, type AdmitSettings } from "./admit.ts";
import { findEndpoint, type EndpointTable, type McpEndpoint } from "./endpoint.ts";
import { Grant, type HeaderSettings } from "./grant.ts";
import { createCredentialWaits, type CredentialWaits } from "./credential-waits.ts";
import { createLargeBodies, isLarge } from "./large-bodies.ts";
import { tellOnStream } from "./told-refusal.ts";
import { admitBodiless, revisionOf, sessionIdOf } from "./session-request.ts";
import { admitTo, identifyCaller, openNames, opens, tokenUse } from "./identify-caller.ts";
import { heldScopes } from "./held-scopes.ts";
import { readPresented, type PresentedSettings } from "./presented.ts";
import { pass, refuse, refuseBody, refuseByPolicy, type Step } from "./step.ts";
import type { Outcome } from "./outcome.ts";
import { createLocalTimes, type LocalTimes } from "./local-time.ts";
import { createPolicyCallers, inputOf } from "./policy-input.ts";
import { relayedCall } from "./relayed-call.ts";
import type {
  PolicyCaller,
  PolicyInput,
  PolicyOperation,
  AllowDecision,
  Decision,
  AuthzRequest,
  Credential,
  Identity,
  Visible,
  WristbandUse,
} from "./types.ts";
import type { Ports } from "./ports.ts";
import { corsHeaders, documentResponse, preflightResponse, type DocumentSettings } from "./public-document.ts";
import type { CheckFacts } from "./facts.ts";
import type { Operation } from "../mcp/operation.ts";
import { isOfTask } from "../mcp/method-table.ts";
import { knownTarget, offeredTarget, type Target, type TargetSettings } from "./target.ts";
import { isWatching, judgeWatched } from "./listen-request.ts";
import { taskTarget, type TaskRequest } from "./task-request.ts";
import { readOperation, rpcContextOf } from "../mcp/read-operation.ts";
import { clientHeaders, droppedHeaders, NO_SERVER_HEADERS, type ServerHeaders } from "./server-headers.ts";
import type { Secret } from "../secret/secret.ts";
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
    if (endpoint.kind === "document") return documentResponse(settings.documents, request.method, endpoint.resource);
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

    const asked: CallerRequest = { endpoint, identity: identity.value, caller: callerOf(identity.value) };
    const isTurned = isLarge(request.body);
    if (isTurned) ports.note(facts);
    const decided = isTurned
      ? inTurn(identity.value, async () => decide(context, asked), signal)
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
  readonly caller: PolicyCaller;
}

/** Reads the body and decides its operation. */
function decide(context: CheckContext, { endpoint, identity, caller }: CallerRequest): Outcome | Promise<Outcome> {
  const operation = operationOf(context, endpoint);
  if (!operation.ok) return operation;
  if (operation.value.class === "session" && !endpoint.sessions) return refuse("method_unknown", "no sessions");
  const session = sessionIdOf(context.request, endpoint, operation.value.version);
  if (!session.ok) return session;
  const target = targetOf(context, { endpoint, identity, operation: operation.value });
  if (!target.ok) return target;
  // The Check has already been answered: an evaluation would have no use, and no caller to count against.
  if (context.signal.aborted) return refuse("deadline", "before policy was asked");
  const input = inputOf(context, caller, target.value);
  const asked = { endpoint, identity, input, sessionId: session.value };
  if (isWatching(operation.value)) return decideWatching(context, { ...asked, caller }, operation.value);
  return operation.value.class === "named"
    ? decideCall(context, { ...asked, operation: target.value })
    : decideHousekeeping(context, { ...asked, class: operation.value.class });
}

/** The server and its own name for what is asked, if the configuration offers it. */
function targetOf({ settings, ports, facts }: CheckContext, asked: TaskRequest): Step<Target> {
  const target = isOfTask(asked.operation.method)
    ? taskTarget(ports, facts, asked)
    : knownTarget(settings, facts, asked);
  const offered = target.ok ? offeredTarget(settings, asked.endpoint, target.value) : target;
  if (!offered.ok) return offered;
  const { server } = offered.value;
  return server === null || opens(asked.identity, server) ? offered : refuse("policy_denied", KEY_DOES_NOT_OPEN);
}

const KEY_DOES_NOT_OPEN = "the caller's key does not open this server";

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
  const { operation } = read;
  facts.rpc = rpcContextOf(operation);
  facts.method = operation.method;
  facts.kind = operation.kind;
  facts.name = operation.name;
  if (!search) return pass(operation);
  const meant = readSearchMode(operation);
  return meant.ok ? pass(meant.operation) : { ok: false, ...meant.fault };
}

const NO_NAMES: Visible = { tools: {}, prompts: {}, resources: {} };

interface Housekeeping {
  readonly endpoint: McpEndpoint;
  readonly identity: Identity;
  readonly input: PolicyInput;
  readonly sessionId: string | null;
  readonly class: Exclude<Operation["class"], "named">;
  /** For the servers of a stream that tells of resources. */
  readonly credentials?: Secret | null;
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

/** Decides a stream that names resources: each by itself. The wristband has those that are allowed, and nothing else. */
async function decideWatching(
  context: CheckContext,
  { endpoint, identity, caller, sessionId }: CallerRequest & Pick<Housekeeping, "sessionId">,
  operation: Operation,
): Promise<Outcome> {
  const { settings, ports, facts, signal } = context;
  const body = admitBody(settings.admit, context.request);
  if (!body.ok) return body;
  ports.note(facts); // the next steps may wait
  const judged = await judgeWatched(
    {
      ...{ resolver: settings.resolver, curation: settings.curation, signal },
      opens: (server) => opens(identity, server),
      decide: (target) => ports.decide(inputOf(context, caller, target), facts),
      fetchCredential: async (server) => credentialFor(context, identity, server),
    },
    endpoint,
    operation,
  );
  if (!judged.ok) return judged;
  const { names, policy, note, credentials } = judged.value;
  facts.policy = policy;
  const use = { use: "listen" as const, body: body.value, policy: policy ?? undefined };
  const granted = await grantHousekeeping(context, { identity, sessionId, credentials }, [names, use]);
  facts.note = note;
  return granted;
}

function credentialFor(
  { ports, signal, waits }: CheckContext,
  identity: Identity,
  server: string,
): Step<Credential> | Promise<Step<Credential>> {
  const asked = ports.fetchCredential(server, identity, signal);
  return asked instanceof Promise ? waits(identity, asked, signal) : asked;
}

/** Lets a request through to the broker, with a wristband of these names and this use. */
async function grantHousekeeping(
  { settings, ports, facts }: CheckContext,
  { identity, sessionId, credentials = null }: Pick<Housekeeping, "identity" | "sessionId" | "credentials">,
  [visible, use]: readonly [Visible, WristbandUse],
): Promise<Outcome> {
  const signed = await ports.signWristband(identity, visible, use);
  if (!signed.ok) return signed;
  const wristband = signed.value;
  facts.wristband = wristband.jti;
  if (wristband.leftOut.length > 0) facts.note = `too large for the list: ${wristband.leftOut.join(", ")}`;
  const proof = { identity, decision: "housekeeping" as const };
  const route = { to: "broker" as const, wristband, sessionId, credentials };
  return Grant.of(proof, { ...route, responseHeaders: corsOf(facts) }, settings.headers);
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
  const { settings, ports, facts } = context;
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

  const asked = credentialFor(context, identity, server);
  const fetched = asked instanceof Promise ? await asked : asked;
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
