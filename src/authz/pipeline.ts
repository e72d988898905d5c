// The pipeline with its doors: `check` for an HTTP request (ext_authz), and for every other front door `identify` and `decide`, which
// are the same steps one by one. Pure: all I/O is behind the ports.
import { callerIn, createCheck, type Check, type CheckSettings } from "./check.ts";
import { endpointAt, endpointPath, type McpEndpoint } from "./endpoint.ts";
import type { CheckFacts } from "./facts.ts";
import { admitTo, identifyCaller, tokenUse } from "./identify-caller.ts";
import { createShared, credentialFor, judge, noteOperation, type Asked, type JudgeContext } from "./judge.ts";
import { SMALL_BODY_BYTES } from "./large-bodies.ts";
import { permits, type Permit } from "./permit.ts";
import type { Ports } from "./ports.ts";
import { readPresented } from "./presented.ts";
import { pass, refuse, type Step } from "./step.ts";
import type { AuthzRequest, Credential, Identity } from "./types.ts";

/** A request as a door without HTTP semantics of its own describes it: what presents the caller, and what policy sees. */
export type Described = Pick<AuthzRequest, "method" | "host" | "path" | "headers" | "peer" | "principal">;

/** One operation of a verified caller. */
export interface DecisionRequest extends Asked {
  /** What policy sees as `input.request`. */
  readonly request: Pick<AuthzRequest, "host" | "path" | "headers">;
  /** Bytes of the message: callers take turns with large ones. */
  readonly bytes: number;
}

/** A permit, with the credential of a call. */
export interface Decided {
  readonly permit: Permit;
  /** Null for what is no call. */
  readonly credential: Credential | null;
}

export interface Pipeline {
  readonly check: Check;
  /** The endpoint of a server, or of several (null). Refuses a name that the configuration does not have. */
  endpointOf(server: string | null): Step<McpEndpoint>;
  /** Finds the caller in the headers of a request, as a Check does. Writes endpoint and caller into `facts`. */
  identify(
    asked: { readonly request: Described; readonly endpoint: McpEndpoint },
    facts: CheckFacts,
    signal: AbortSignal,
  ): Promise<Step<Identity>>;
  /** Decides one operation of a caller whom the door has verified, and fetches the credential of a call that is allowed. */
  decide(asked: DecisionRequest, facts: CheckFacts, signal: AbortSignal): Promise<Step<Decided>>;
}

export function createPipeline(settings: CheckSettings, ports: Ports): Pipeline {
  const shared = createShared(settings);
  const { publicOrigin } = settings.admit;
  return {
    check: createCheck(settings, ports, shared),
    endpointOf(server) {
      const endpoint = endpointAt(settings.endpoints.paths, server === null ? "/mcp" : endpointPath(server))?.endpoint;
      if (endpoint?.kind !== "mcp" || endpoint.server !== server) return refuse("route_unknown", "no such server");
      return pass(endpoint);
    },
    async identify({ request, endpoint }, facts, signal) {
      noteEndpoint(facts, endpoint, request);
      const presented = readPresented(request.headers, settings.presents);
      if (!presented.ok) return presented;
      const use = tokenUse({ request, publicOrigin, source: request.peer }, endpoint, presented.value);
      const claim = { presented: presented.value, use, endpoint, request };
      const identified = await identifyCaller(ports, claim, signal);
      const identity = identified.ok ? admitTo(endpoint, identified.value) : identified;
      facts.identity = callerIn(identity);
      return identity;
    },
    async decide(asked, facts, signal) {
      const { identity, operation, request } = asked;
      facts.identity = identity;
      facts.endpoint = asked.endpoint;
      noteOperation(facts, operation);
      const context: JudgeContext = { settings, shared, ports, request, facts, signal };
      if (asked.bytes <= SMALL_BODY_BYTES) return decided(context, asked);
      ports.note(facts);
      return shared.inTurn(identity, () => decided(context, asked), signal);
    },
  };
}

function noteEndpoint(facts: CheckFacts, endpoint: McpEndpoint, { path, peer }: Described): void {
  facts.endpoint = endpoint;
  facts.server = endpoint.server;
  facts.path = path;
  facts.sourceIp = peer;
}

async function decided(context: JudgeContext, asked: Asked): Promise<Step<Decided>> {
  const permitted = await judge(context, asked);
  if (!permitted.ok) return permitted;
  const permit = permitted.value;
  if (!permits(permit, "call")) return pass({ permit, credential: null });
  const credential = await credentialFor(context, permit.identity, permit.what.target.server);
  if (!credential.ok) return credential;
  const { kind, origin } = credential.value;
  context.facts.credential = kind;
  context.facts.origin = origin ?? null;
  return pass({ permit, credential: credential.value });
}
