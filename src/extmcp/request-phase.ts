// What becomes of an McpRequest: the caller and the operation are judged as a Check judges them, by the same pipeline. Pure but for the
// pipeline.
import type { CheckFacts } from "../authz/facts.ts";
import type { McpEndpoint } from "../authz/endpoint.ts";
import type { Grant } from "../authz/grant.ts";
import { chosenOf, chosenServers } from "../authz/chosen-servers.ts";
import { opens } from "../authz/identify-caller.ts";
import type { Decided, Passage, Pipeline } from "../authz/pipeline.ts";
import { permits } from "../authz/permit.ts";
import { createPolicyCallers } from "../authz/policy-input.ts";
import { pass, refuse, refuseBody, type Step } from "../authz/step.ts";
import type { AuthzRequest, BoundCredential, Identity } from "../authz/types.ts";
import type { Operation } from "../mcp/operation.ts";
import { readTakenApart } from "../mcp/read-operation.ts";
import type { McpMessage } from "./decode.ts";
import type { Admitted, Tickets } from "./ticket.ts";

/** A request that goes on, and the ticket for its answer. */
export interface Admission {
  readonly grant: Grant;
  readonly ticket: string;
}

export interface RequestPorts {
  /** That of the configuration in force. */
  readonly pipeline: () => Pipeline;
  readonly tickets: Tickets;
}

/** Metadata of the gateway's configuration that we read: `sourceIp` is the client's address. */
export const METADATA = { ticket: "mcp_authz", sourceIp: "source_ip" } as const;
const callerOf = createPolicyCallers();

/** Judges one request. What it proves goes into `facts`. */
export async function judgeRequest(
  ports: RequestPorts,
  message: McpMessage,
  [facts, signal]: readonly [CheckFacts, AbortSignal],
): Promise<Step<Admission>> {
  const pipeline = ports.pipeline();
  const request = requestOf(message);
  if (!request.ok) return request;
  const located = pipeline.admit(request.value, facts);
  if (!located.ok) return located;
  const target = targetOf(pipeline, located.value, message.services);
  if (!target.ok) return target;
  const identity = await pipeline.identify({ request: request.value, endpoint: located.value }, facts, signal);
  if (!identity.ok) return identity;
  facts.server = target.value.server;
  const of = { endpoint: target.value, identity: identity.value, request: request.value };
  const read = () => operationOf(message, of, facts);
  const bytes = message.json?.length ?? 0;
  const decided = await pipeline.decide({ ...of, read, bytes, behindGateway: true }, facts, signal);
  if (!decided.ok) return decided;
  const asked = { ...of, operation: decided.value.operation };
  const passage = await passageOf(pipeline, asked, [decided.value, signal]);
  const grant = pipeline.grant(passage, facts);
  if (!grant.ok) return grant;
  const headers = pipeline.seenHeaders(request.value.headers);
  const admitted = { ...admittedOf(asked, [located.value, facts]), headers };
  return pass({ grant: grant.value, ticket: ports.tickets.seal(admitted, message) });
}

/** The HTTP request that the gateway describes: its pseudo-headers say where it goes. */
function requestOf({ headers, json, metadata }: McpMessage): Step<AuthzRequest> {
  if (headers.overflow) return refuse("header_too_large", "too many headers");
  const [method, path, host] = [headers.get(":method"), headers.get(":path"), headers.get(":authority")];
  if (method === undefined || path === undefined || host === undefined)
    return refuse("header_malformed", "no pseudo-headers: does requestHeaders of the gateway leave them out?");
  if ([":method", ":path", ":authority"].some((name) => headers.repeated(name)))
    return refuse("header_malformed", "a pseudo-header comes twice");
  const cut = path.indexOf("?");
  return pass({
    ...{ method, host, headers },
    path: cut === -1 ? path : path.slice(0, cut),
    query: cut === -1 ? null : path.slice(cut + 1),
    body: json === null ? { kind: "none" } : { kind: "bytes", bytes: json },
    peer: metadata.get(METADATA.sourceIp) ?? "",
  });
}

/** The endpoint of the one server that is asked, or of several; each must be one of the endpoint that the client reached. */
function targetOf(pipeline: Pipeline, located: McpEndpoint, services: readonly string[]): Step<McpEndpoint> {
  if (services.length === 0 || new Set(services).size < services.length)
    return refuse("route_unknown", "no services, or one twice");
  let target: McpEndpoint = located;
  for (const service of services) {
    const endpoint = pipeline.endpointOf(service);
    if (!endpoint.ok) return endpoint;
    if (located.server !== null && located.server !== service)
      return refuse("route_unknown", "a service of another endpoint");
    target = { ...endpoint.value, virtualServer: located.virtualServer };
  }
  return pass(services.length === 1 ? target : { ...located, search: false });
}

function operationOf(
  { method, json }: McpMessage,
  { endpoint, request }: Pick<AskedRequest, "endpoint" | "request">,
  facts: CheckFacts,
): Step<Operation> {
  const read = readTakenApart({ method, params: json }, request.headers);
  if (!read.ok) {
    facts.rpc = read.rpc;
    return refuseBody(read.fault);
  }
  if (read.operation.class === "named" && endpoint.server === null)
    return refuse("route_unknown", "a call for several services");
  return pass(read.operation);
}

interface AskedRequest {
  readonly endpoint: McpEndpoint;
  readonly identity: Identity;
  readonly operation: Operation;
  readonly request: AuthzRequest;
}

/**
 * A handshake and a list of one server carry the caller's own credential if there is one: servers want it before they name anything.
 * What goes to several servers carries none, for each of them would get it.
 */
async function passageOf(
  pipeline: Pipeline,
  { endpoint: { server }, identity, operation: { version }, request: { headers } }: AskedRequest,
  [{ permit, credential }, signal]: readonly [Decided, AbortSignal],
): Promise<Passage> {
  const isHousekeeping = !permits(permit, "call");
  const asked = isHousekeeping && server !== null && opens(identity, server);
  const found = asked ? await pipeline.credentialOf(server, identity, signal) : null;
  const own: BoundCredential | null = found?.ok === true ? found.value : credential;
  return { permit, credential: own, server, version, headers };
}

function admittedOf(
  { identity, operation: { version }, request }: AskedRequest,
  [{ virtualServer }, facts]: readonly [McpEndpoint, CheckFacts],
): Omit<Admitted, "headers"> {
  return {
    requestId: facts.requestId,
    caller: callerOf(identity),
    actors: identity.actors,
    opens: openTo(identity, request),
    ...{ virtualServer, version, host: request.host, path: request.path, sourceIp: request.peer },
    expiresAt: identity.expiresAt,
  };
}

/** The servers whose names the caller may see; null for all. */
function openTo(identity: Identity, { headers }: AuthzRequest): readonly string[] | null {
  const chosen = chosenServers(headers);
  if (!chosen.ok) return []; // refused before
  const open = chosenOf(chosen.value, identity.method === "jwt" ? null : identity.opens);
  return open === null ? null : [...open];
}
