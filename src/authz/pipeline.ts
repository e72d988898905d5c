// The pipeline with its doors: `check` for an HTTP request (ext_authz), and for every other front door the same steps one by one.
// Pure: all I/O is behind the ports.
import { admit, admitBody } from "./admit.ts";
import { callerIn, createCheck, type Check, type CheckSettings } from "./check.ts";
import { endpointAt, endpointPath, findEndpoint, type McpEndpoint } from "./endpoint.ts";
import type { CheckFacts } from "./facts.ts";
import { Grant } from "./grant.ts";
import { admitTo, identifyCaller, tokenUse } from "./identify-caller.ts";
import { createShared, credentialFor, judge, noteOperation, type Asked, type JudgeContext } from "./judge.ts";
import { judgeNames, type NamesAsked } from "./judge-names.ts";
import { SMALL_BODY_BYTES } from "./large-bodies.ts";
import { Permit, permits } from "./permit.ts";
import type { Ports } from "./ports.ts";
import { policyHeadersOf } from "./policy-input.ts";
import { readPresented } from "./presented.ts";
import { clientHeaders, droppedHeaders, NO_SERVER_HEADERS, type ServerHeaders } from "./server-headers.ts";
import { countedCaller } from "./source.ts";
import { pass, refuse, type Step } from "./step.ts";
import type { Operation } from "../mcp/operation.ts";
import type { AuthzRequest, BoundCredential, Identity, PolicyCaller } from "./types.ts";

/** A request as a door describes it: what presents the caller, and what policy sees. */
export type Described = Pick<AuthzRequest, "method" | "host" | "path" | "headers" | "peer" | "principal">;
/** What policy sees as `input.request`. */
type Seen = Pick<AuthzRequest, "host" | "path" | "headers">;

/** One operation of a verified caller. */
export interface DecisionRequest extends Omit<Asked, "operation"> {
  /** Reads the operation, in the caller's turn where the message is large: that costs milliseconds. */
  readonly read: () => Step<Operation>;
  readonly request: Seen;
  /** Bytes of the message: callers take turns with large ones. */
  readonly bytes: number;
  /** True where names are the servers' own, without aliases, and lists are filtered when they are there ({@link Pipeline.visibleOf}). */
  readonly behindGateway?: boolean;
  /** False for a server whose credential is not fetched: the door gives none, and it could not be had without a token. */
  readonly wantsCredential?: (server: string) => boolean;
}

/** A permit, with the credential of a call. */
export interface Decided {
  readonly permit: Permit;
  /** Null for what is no call. */
  readonly credential: BoundCredential | null;
  readonly operation: Operation;
}

/** A list that is there, and whose caller was verified before. */
export interface ListAsked extends NamesAsked {
  readonly caller: PolicyCaller;
  /** Names of the servers that the caller's key opens; null for all. */
  readonly opens: ReadonlySet<string> | null;
  readonly request: Seen;
  /** Bytes of the list. */
  readonly bytes: number;
}

/** A permitted request on its way to one server, or to several (null). */
export interface Passage extends Omit<Decided, "operation"> {
  readonly server: string | null;
  readonly version: string;
  readonly headers: AuthzRequest["headers"];
}

export interface Pipeline {
  readonly check: Check;
  /** The endpoint of a server, or the one of all servers (null). Refuses a name that the configuration does not have. */
  endpointOf(server: string | null): Step<McpEndpoint>;
  /** Finds the endpoint of a POST and admits it, as a Check does before it looks at the caller. */
  admit(request: AuthzRequest, facts: CheckFacts): Step<McpEndpoint>;
  /** Finds the caller in the headers of a request, as a Check does. Writes endpoint and caller into `facts`. */
  identify(
    asked: { readonly request: Described; readonly endpoint: McpEndpoint },
    facts: CheckFacts,
    signal: AbortSignal,
  ): Promise<Step<Identity>>;
  /** Decides one operation of a caller whom the door has verified, and fetches the credential of a call that is allowed. */
  decide(asked: DecisionRequest, facts: CheckFacts, signal: AbortSignal): Promise<Step<Decided>>;
  /** The credential of a caller for a server, where no call asks for it. */
  credentialOf(server: string, identity: Identity, signal: AbortSignal): Promise<Step<BoundCredential>>;
  /** The names of a list that its caller may see. */
  visibleOf(asked: ListAsked, facts: CheckFacts, signal: AbortSignal): Promise<Step<ReadonlySet<string>>>;
  /** The headers that policy sees of these. */
  seenHeaders(headers: AuthzRequest["headers"]): Readonly<Record<string, string>>;
  /** The headers of a request that goes to its server without the broker. Those that do not reach it are written into `facts`. */
  grant(passage: Passage, facts: CheckFacts): Step<Grant>;
}

export function createPipeline(settings: CheckSettings, ports: Ports): Pipeline {
  const shared = createShared(settings);
  /** Behind a gateway that lists by itself, a server's names are its own. */
  const own = { ...settings, resolver: { ...settings.resolver, resolveAt: ownName } };
  return {
    check: createCheck(settings, ports, shared),
    endpointOf(server) {
      const endpoint = endpointAt(settings.endpoints.paths, server === null ? "/mcp" : endpointPath(server))?.endpoint;
      if (endpoint?.kind !== "mcp" || endpoint.server !== server) return refuse("route_unknown", "no such server");
      return pass(endpoint);
    },
    admit: (request, facts) => admitRequest(settings, request, facts),
    identify: (asked, facts, signal) => identifyAt([settings, ports], asked, [facts, signal]),
    async decide(asked, facts, signal) {
      const { identity, request, behindGateway = false } = asked;
      facts.identity = identity;
      facts.endpoint = asked.endpoint;
      const of = behindGateway ? own : settings;
      const context: JudgeContext = { settings: of, shared, ports, request, facts, signal };
      if (asked.bytes <= SMALL_BODY_BYTES) return decided(context, asked);
      ports.note(facts);
      return shared.inTurn(countedCaller(identity, facts.sourceIp), () => decided(context, asked), signal);
    },
    credentialOf: async (server, identity, signal) => credentialFor({ ports, signal, shared }, identity, server),
    async visibleOf(asked, facts, signal) {
      const { caller, opens, request, endpoint } = asked;
      if (opens !== null && !opens.has(endpoint.server ?? "")) return pass(new Set<string>());
      const context = { settings: own, shared, ports, request, facts, signal };
      ports.note(facts); // the next step takes turns
      const judged = () => judgeNames(context, caller, asked);
      if (asked.bytes <= SMALL_BODY_BYTES) return judged();
      return shared.inTurn(countedCaller(caller, facts.sourceIp), judged, signal);
    },
    seenHeaders: (headers) => policyHeadersOf(settings, headers),
    grant: (passage, facts) => grantOf([settings, ports], passage, facts),
  };
}

function ownName(server: string | null, _kind: unknown, name: string) {
  return server === null ? null : { server, name };
}

function admitRequest(settings: CheckSettings, request: AuthzRequest, facts: CheckFacts): Step<McpEndpoint> {
  facts.sourceIp = request.peer;
  const located = findEndpoint(settings.endpoints, request.host, request.path);
  if (!located.ok) return located;
  const { endpoint, path } = located.value;
  if (endpoint.kind !== "mcp") return refuse("route_unknown", "a document");
  noteEndpoint(facts, endpoint, { path, peer: request.peer });
  const admission = admit(settings.admit, request, endpoint);
  if (!admission.ok) return admission;
  if (request.method !== "POST") return refuse("method_not_allowed", "method");
  const body = request.body.kind === "none" ? pass(null) : admitBody(settings.admit, request);
  return body.ok ? pass(endpoint) : body;
}

async function identifyAt(
  [settings, ports]: readonly [CheckSettings, Ports],
  { request, endpoint }: { readonly request: Described; readonly endpoint: McpEndpoint },
  [facts, signal]: readonly [CheckFacts, AbortSignal],
): Promise<Step<Identity>> {
  noteEndpoint(facts, endpoint, request);
  const presented = readPresented(request.headers, settings.presents);
  if (!presented.ok) return presented;
  const { publicOrigin } = settings.admit;
  const use = tokenUse({ request, publicOrigin, source: request.peer }, endpoint, presented.value);
  const claim = { presented: presented.value, use, endpoint, request };
  const identified = await identifyCaller(ports, claim, signal);
  const identity = identified.ok ? admitTo(endpoint, identified.value) : identified;
  facts.identity = callerIn(identity);
  return identity;
}

function noteEndpoint(
  facts: CheckFacts,
  endpoint: McpEndpoint,
  { path, peer }: Pick<AuthzRequest, "path" | "peer">,
): void {
  facts.endpoint = endpoint;
  facts.server = endpoint.server;
  facts.path = path;
  facts.sourceIp = peer;
}

async function decided(context: JudgeContext, asked: DecisionRequest): Promise<Step<Decided>> {
  const read = asked.read();
  if (!read.ok) return read;
  const operation = read.value;
  noteOperation(context.facts, operation);
  const { identity } = asked;
  // Its gateway names none of the resources that the stream is for, so nothing of it can be judged.
  if (asked.behindGateway === true && operation.class === "listen") return refuse("method_unknown", "a stream");
  const isFilteredLater = asked.behindGateway === true && operation.class === "list";
  const permitted: Step<Permit> = isFilteredLater
    ? pass(Permit.ofHousekeeping(identity, { kind: "open" }))
    : await judge(context, { ...asked, operation });
  if (!permitted.ok) return permitted;
  const permit = permitted.value;
  if (!permits(permit, "call")) return pass({ permit, credential: null, operation });
  const { server } = permit.what.target;
  if (asked.wantsCredential?.(server) === false) return pass({ permit, credential: null, operation });
  const credential = await credentialFor(context, permit.identity, server);
  if (!credential.ok) return credential;
  const { kind, origin } = credential.value;
  context.facts.credential = kind;
  context.facts.origin = origin ?? null;
  return pass({ permit, credential: credential.value, operation });
}

const NO_CREDENTIAL: BoundCredential = { kind: "none", header: "authorization", value: null, destination: "" };

function serverHeadersOf({ serverHeaders }: CheckSettings, server: string | null): ServerHeaders {
  return (server === null ? undefined : serverHeaders[server]) ?? NO_SERVER_HEADERS;
}

function grantOf(
  [settings, ports]: readonly [CheckSettings, Pick<Ports, "headerDropped">],
  { permit, credential, server, version, headers }: Passage,
  facts: CheckFacts,
): Step<Grant> {
  const own = serverHeadersOf(settings, server);
  const client = clientHeaders(headers, own, version);
  if (!client.ok) return client;
  facts.droppedHeaders = droppedHeaders(headers, own, settings.watchedHeaders);
  for (const name of facts.droppedHeaders) ports.headerDropped(name);
  const { identity, decision } = permit;
  const route = { to: "server" as const, server: server ?? "", credential: credential ?? NO_CREDENTIAL };
  const described = {
    received: headers,
    client: client.value,
    headers: own,
    responseHeaders: new Map<string, string>(),
  };
  return Grant.of({ identity, decision }, { ...route, ...described }, { ...settings.headers, routeHeader: null });
}
