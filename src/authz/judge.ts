// Decides one operation of a verified caller: its server, what the configuration offers, policy. Every front door asks here, so
// that none has rules of its own. Pure: all I/O is behind the ports.
import { createLargeBodies, type LargeBodies } from "./large-bodies.ts";
import { createCredentialWaits, type CredentialWaits } from "./credential-waits.ts";
import type { McpEndpoint } from "./endpoint.ts";
import type { CheckFacts } from "./facts.ts";
import { heldScopes } from "./held-scopes.ts";
import { chosenServers, isChosen, type Chosen } from "./chosen-servers.ts";
import { openNames, opens } from "./identify-caller.ts";
import { isWatching, judgeWatched } from "./listen-request.ts";
import { createLocalTimes, type LocalTimes } from "./local-time.ts";
import { Permit, type CallTarget } from "./permit.ts";
import { createPolicyCallers, inputOf, type InputSettings } from "./policy-input.ts";
import type { Ports } from "./ports.ts";
import { pass, refuse, refuseByPolicy, type Step } from "./step.ts";
import { knownTarget, offeredTarget, type Target, type TargetSettings } from "./target.ts";
import { taskTarget } from "./task-request.ts";
import type { AuthzRequest, BoundCredential, Decision, Identity, PolicyCaller, PolicyInput } from "./types.ts";
import { isOfTask } from "../mcp/method-table.ts";
import { rpcContextOf } from "../mcp/read-operation.ts";
import type { Operation } from "../mcp/operation.ts";

export interface JudgeSettings extends TargetSettings, InputSettings {
  /** A challenge for scopes names those too that the token has. */
  readonly challengesHeldScopes: boolean;
  /** Time zones in which policy sees the time. */
  readonly zones: readonly string[];
  /** Checks of one caller with a body above 32 KiB that are under way at a time. */
  readonly largeBodiesPerCaller: number;
}

/** What all requests share, through whatever door they come: the bounds of one caller hold for all of them together. */
export interface Shared {
  readonly callerOf: (identity: Identity) => PolicyCaller;
  readonly localTimes: (seconds: number) => LocalTimes | null;
  readonly inTurn: LargeBodies;
  readonly waits: CredentialWaits;
}

export function createShared({ zones, largeBodiesPerCaller }: JudgeSettings): Shared {
  return {
    callerOf: createPolicyCallers(),
    localTimes: createLocalTimes(zones),
    inTurn: createLargeBodies(largeBodiesPerCaller),
    waits: createCredentialWaits(),
  };
}

/** The values that all steps of one decision share. Made once for each. */
export interface JudgeContext {
  readonly settings: JudgeSettings;
  readonly shared: Shared;
  readonly ports: Pick<Ports, "note" | "decide" | "visible" | "openTask" | "fetchCredential">;
  /** What policy sees of the request beside the operation. */
  readonly request: Pick<AuthzRequest, "host" | "path" | "headers">;
  readonly facts: CheckFacts;
  readonly signal: AbortSignal;
}

/** One operation of a verified caller at an endpoint. */
export interface Asked {
  readonly endpoint: McpEndpoint;
  readonly identity: Identity;
  readonly operation: Operation;
}

/** Writes down what is asked. */
export function noteOperation(facts: CheckFacts, operation: Operation): void {
  facts.rpc = rpcContextOf(operation);
  facts.method = operation.method;
  facts.kind = operation.kind;
  facts.name = operation.name;
}

/** Decides by configuration and policy. A call's credential is fetched apart, by {@link credentialFor}. */
export function judge(context: JudgeContext, asked: Asked): Step<Permit> | Promise<Step<Permit>> {
  const { identity, operation } = asked;
  const chosen = chosenServers(context.request.headers);
  if (!chosen.ok) return chosen;
  const target = targetOf(context, asked, chosen.value);
  if (!target.ok) return target;
  // The request has already been answered: an evaluation would have no use, and no caller to count against.
  if (context.signal.aborted) return refuse("deadline", "before policy was asked");
  if (isWatching(operation)) return judgeStream(context, asked, chosen.value);
  const input = inputOf(context, context.shared.callerOf(identity), target.value);
  if (operation.class === "named") return judgeCall(context, identity, [target.value, input]);
  if (operation.class === "list" || operation.class === "listen")
    return judgeList(context, { ...asked, chosen: chosen.value }, input);
  return pass(Permit.ofHousekeeping(identity, { kind: "open" }));
}

/** The server and its own name for what is asked, if the configuration offers it. */
function targetOf({ settings, ports, facts }: JudgeContext, asked: Asked, chosen: Chosen): Step<Target> {
  const target = isOfTask(asked.operation.method)
    ? taskTarget(ports, facts, asked)
    : knownTarget(settings, facts, asked);
  const offered = target.ok ? offeredTarget(settings, asked.endpoint, target.value) : target;
  if (!offered.ok) return offered;
  const { server } = offered.value;
  if (server === null) return offered;
  if (!isChosen(chosen, server)) return refuse("policy_denied", "the client chose other servers");
  return opens(asked.identity, server) ? offered : refuse("policy_denied", KEY_DOES_NOT_OPEN);
}

const KEY_DOES_NOT_OPEN = "the caller's key does not open this server";

function noteDecision(facts: CheckFacts, { revision, note, labels }: Decision): void {
  facts.policy = revision;
  facts.note = note;
  facts.labels = labels ?? null;
}

function judgeCall(
  { settings, ports, facts }: JudgeContext,
  identity: Identity,
  [target, input]: readonly [Target, PolicyInput],
): Step<Permit> {
  if (!hasServer(target)) return refuse("internal", "a named operation without a server");
  const decision = ports.decide(input, facts);
  if (!decision.ok) return decision;
  noteDecision(facts, decision.value);
  if (!decision.value.allow) return refuseByPolicy(decision.value, heldScopes(identity, settings.challengesHeldScopes));
  return pass(Permit.ofCall(identity, decision.value, target));
}

function hasServer(target: Target): target is CallTarget {
  return target.server !== null;
}

async function judgeList(
  { settings, ports, facts, signal }: JudgeContext,
  { identity, endpoint, chosen }: Asked & { readonly chosen: Chosen },
  input: PolicyInput,
): Promise<Step<Permit>> {
  ports.note(facts); // the next step may wait for a turn
  const listed = await ports.visible(input, signal, facts);
  if (!listed.ok) return listed;
  facts.policy = listed.value.revision;
  const open = openNames((server) => isChosen(chosen, server) && opens(identity, server), listed.value.names);
  const names = settings.curation.narrow(open, endpoint.virtualServer);
  return pass(Permit.ofHousekeeping(identity, { kind: "list", names, merged: input.mcp.server === null }));
}

/** Decides a stream that names resources: each by itself. Those that are allowed are permitted, and nothing else. */
async function judgeStream(
  context: JudgeContext,
  { endpoint, identity, operation }: Asked,
  chosen: Chosen,
): Promise<Step<Permit>> {
  const { settings, shared, ports, facts, signal } = context;
  ports.note(facts); // the next steps may wait
  const judged = await judgeWatched(
    {
      ...{ resolver: settings.resolver, curation: settings.curation, signal },
      opens: (server) => isChosen(chosen, server) && opens(identity, server),
      decide: (target) => ports.decide(inputOf(context, shared.callerOf(identity), target), facts),
      fetchCredential: async (server) => credentialFor(context, identity, server),
    },
    endpoint,
    operation,
  );
  if (!judged.ok) return judged;
  const { names, policy, ...watched } = judged.value;
  facts.policy = policy;
  return pass(Permit.ofHousekeeping(identity, { kind: "watch", names, ...watched }));
}

/** Fetches the caller's credential for a server. One caller cannot have all waits for a slow source. */
export function credentialFor(
  { ports, signal, shared }: Pick<JudgeContext, "ports" | "signal" | "shared">,
  identity: Identity,
  server: string,
): Step<BoundCredential> | Promise<Step<BoundCredential>> {
  const asked = ports.fetchCredential(server, identity, signal);
  return asked instanceof Promise ? shared.waits(identity, asked, signal) : asked;
}
