// Decides requests to paths of the host that are no MCP endpoint, by a policy of the form of opa-envoy-plugin
// (docs/opa-envoy.md). Pure: what verifies and what decides is behind the ports.
import { checkNames, type AdmitSettings } from "./admit.ts";
import { checkEvasive } from "./evasive-names.ts";
import type { CheckFacts } from "./facts.ts";
import { Grant, type HeaderSettings } from "./grant.ts";
import type { HostDecision } from "./host-decision.ts";
import { identifyCaller, tokenUse } from "./identify-caller.ts";
import { isLarge, type LargeBodies } from "./large-bodies.ts";
import type { Outcome } from "./outcome.ts";
import type { Ports } from "./ports.ts";
import { readPresented, type PresentedSettings } from "./presented.ts";
import { sourceCaller } from "./source.ts";
import { pass, refuse, type Step } from "./step.ts";
import type { AuthzRequest, Identity, PolicyCaller, PolicyRequest } from "./types.ts";

export interface HostPathSettings {
  readonly admit: Pick<AdmitSettings, "publicOrigin" | "lookalikes" | "maxBodyBytes">;
  readonly headers: HeaderSettings;
  readonly presents: PresentedSettings;
  /** Managed headers of the client's that pass to the host's servers. */
  readonly hostPasses?: ReadonlySet<string>;
}

export interface HostPathParts {
  readonly settings: HostPathSettings;
  readonly ports: Ports;
  readonly shared: {
    readonly callerOf: (identity: Identity) => PolicyCaller;
    readonly inTurn: LargeBodies;
  };
}

/** A request whose path is one of the host's. */
export interface HostRequest {
  readonly request: AuthzRequest;
  readonly facts: CheckFacts;
  readonly signal: AbortSignal;
  readonly described: () => PolicyRequest;
}

/** Makes the decision on such requests: form, caller where one presents something, policy. */
export function createHostPaths(parts: HostPathParts): (asked: HostRequest) => Promise<Outcome> {
  const { settings, ports, shared } = parts;
  return async (asked) => {
    const { request, facts, signal } = asked;
    facts.method = request.method;
    const admitted = admitHost(settings, request);
    if (!admitted.ok) return admitted;
    const caller = await hostCaller(parts, asked);
    facts.identity = caller.ok ? caller.value : (caller.caller ?? null);
    if (!caller.ok) return caller;
    const source = sourceCaller(facts.sourceIp);
    const suspended = caller.value === null ? (ports.refusalOf?.(source) ?? null) : null;
    if (suspended !== null) return suspended;
    if (signal.aborted) return refuse("deadline", "before policy was asked");
    const decide = async () => decideHost(parts, asked, caller.value);
    if (!isLarge(request.body)) return decide();
    ports.note(facts);
    return shared.inTurn(caller.value ?? source, decide, signal);
  };
}

/** RFC 3986 §3.3, without ";": some servers drop it and what follows. */
const PATH = /^\/(?:[!$&'()*+,=:@A-Za-z0-9._~/-]|%[0-9A-Fa-f]{2})*$/;
/** Segments that are joined, dropped or followed. */
const SEGMENTS = /\/\/|\/\.{1,2}(?:\/|$)/;
/** Unreserved characters (RFC 3986 §2.3): nobody needs to escape them. */
const UNRESERVED = /[A-Za-z0-9\-._~]/;
/** What a server may decode once more, take for a slash, or drop. */
const SPECIAL = new Set(["%", "/", "\\", ";"]);

function isAmbiguous(hex: string): boolean {
  const code = Number.parseInt(hex, 16);
  const character = String.fromCharCode(code);
  return code < 0x20 || code === 0x7f || UNRESERVED.test(character) || SPECIAL.has(character);
}

/**
 * True for a path that has one reading: policy would decide about one path, and the server serve another (threat model: C10).
 */
function isNormal(path: string): boolean {
  if (!PATH.test(path) || SEGMENTS.test(path)) return false;
  return ![...path.matchAll(/%(..)/g)].some(([, hex = ""]) => isAmbiguous(hex));
}

function admitHost({ admit }: HostPathSettings, request: AuthzRequest): Step<true> {
  const { path, query, body, headers } = request;
  if (headers.get("upgrade") !== undefined) return refuse("header_malformed", "upgrade");
  if (request.method === "CONNECT" || request.method === "TRACE") return refuse("method_not_allowed", "method");
  if (!isNormal(path)) return { ...refuse("header_malformed", "path"), about: "the path is not in normal form" };
  if (query !== null && /[^\x21-\x7e]|#/.test(query))
    return { ...refuse("header_malformed", "query"), about: "the query is not in normal form" };
  if ("bytes" in body && body.bytes.length > admit.maxBodyBytes)
    return { ...refuse("body_too_large", "limits.bodyBytes"), limitBytes: admit.maxBodyBytes };
  return checkNames(admit, request);
}

/** The caller; null where nothing is presented that could be a credential of ours. What is presented and does not verify is refused. */
async function hostCaller(
  { settings, ports }: HostPathParts,
  { request, facts, signal }: HostRequest,
): Promise<Step<Identity | null>> {
  const presented = readPresented(request.headers, settings.presents);
  if (!presented.ok) return presented.reason === "token_missing" ? pass(null) : presented; // another scheme is the server's
  if (presented.value.by === "nothing") return pass(null);
  const { publicOrigin } = settings.admit;
  const at = { resource: publicOrigin };
  const use = tokenUse({ request, publicOrigin, source: facts.sourceIp ?? "" }, at, presented.value);
  return identifyCaller(ports, { presented: presented.value, use, endpoint: { server: null }, request }, signal);
}

function decideHost(
  { settings, ports, shared }: HostPathParts,
  { request, facts, described }: HostRequest,
  identity: Identity | null,
): Outcome {
  const caller = identity === null ? null : shared.callerOf(identity);
  const hidden = identity === null ? NONE : credentialHeaders(settings.presents);
  const asked = { request, caller, described: described(), hidden };
  const decision = ports.decideHost?.(asked, facts) ?? refuse("internal", "no policy for the host's paths");
  if (!decision.ok) return decision;
  facts.policy = decision.value.revision;
  const evasive = decision.value.allow ? checkEvasive(request, decision.value) : pass(true);
  return evasive.ok ? outcomeOf(settings, decision.value, hidden) : evasive;
}

const NONE: ReadonlySet<string> = new Set();

function credentialHeaders({ keyHeaders, proxyHeaders }: PresentedSettings): ReadonlySet<string> {
  return new Set(["authorization", "dpop", ...keyHeaders, ...proxyHeaders]);
}

function outcomeOf(settings: HostPathSettings, decision: HostDecision, hidden: ReadonlySet<string>): Outcome {
  const { metadata } = decision;
  if (decision.allow) {
    const passes = new Set([...(settings.hostPasses ?? NONE)].filter((name) => !hidden.has(name)));
    return Grant.forHost(decision, passes, settings.headers);
  }
  return { ...refuse("policy_denied"), metadata, ...(decision.answer !== null && { answer: decision.answer }) };
}
