// Renders a refusal as an HTTP response, with a JSON-RPC error or a tool's result where the request was one. Pure.
import { challenge, type ChallengeSettings } from "./challenge.ts";
import { REFUSALS, type Reason } from "./refusal.ts";
import type { Refused } from "./step.ts";
import { corsHeaders } from "./public-document.ts";
import type { CheckFacts } from "./facts.ts";
import type { PolicyAnswer } from "./host-decision.ts";
import { MODERN, SUPPORTED_VERSIONS } from "../mcp/versions.ts";

/** The HTTP response of a refusal. Header names are in lower case and unique. */
export interface RefusalResponse {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/**
 * Form of a refusal of a whole request. `jsonrpc`: 200 with a JSON-RPC error, unless the protocol has a status for it.
 * `http`: the status of the table. `isError`: a refused `tools/call` is 200 with the result of a tool that failed, which hosts
 * give to the model; all else as `jsonrpc`.
 */
export type DenialForm = "jsonrpc" | "http" | "isError";

export interface RefusalResponseSettings extends ChallengeSettings {
  /** By era: `modern` is the stateless revision, `legacy` each one before. */
  readonly denial: DenialForm | Readonly<Record<"legacy" | "modern", DenialForm>>;
}

/** The facts of a request that its refusal needs. */
export type RefusalFacts = Pick<CheckFacts, "requestId" | "path" | "endpoint" | "corsOrigin" | "rpc">;

const RETRY_AFTER_SECONDS = 1;

/** Renders a refusal for the client. `detail` is not part of it: it is for the audit log alone. */
export function refusalResponse(
  settings: RefusalResponseSettings,
  refused: Refused,
  facts: RefusalFacts,
): RefusalResponse {
  if (refused.answer !== undefined) return policysResponse(refused.answer);
  const refusal = REFUSALS[refused.reason];
  const headers = new Map([
    ["content-type", "application/json"],
    ["cache-control", "no-store"],
    ["x-content-type-options", "nosniff"],
  ]);
  if (facts.corsOrigin !== null) for (const [name, value] of corsHeaders(facts.corsOrigin)) headers.set(name, value);
  if (refusal.http === 401 || refused.reason === "scope_insufficient") {
    headers.set("www-authenticate", challenge(settings, isHostPath(facts) ? null : (facts.path ?? "/mcp"), refused));
  }
  if (refusal.http === 405) headers.set("allow", allowedMethods(facts));
  if ([429, 503].includes(ownStatus(refused)))
    headers.set("retry-after", String(refused.retryAfterSeconds ?? RETRY_AFTER_SECONDS));
  return { status: status(settings, refused, facts), headers, body: JSON.stringify(body(settings, refused, facts)) };
}

function isHostPath({ endpoint }: RefusalFacts): boolean {
  return endpoint?.kind === "host";
}

/** The response that the policy of the host's paths gives: nobody keeps it, unless it says so. */
function policysResponse({ status, headers, body }: PolicyAnswer): RefusalResponse {
  const own = [
    ["cache-control", "no-store"],
    ["x-content-type-options", "nosniff"],
  ] as const;
  return { status, headers: new Map([...own, ...Array.from(headers, joinedLine)]), body };
}

function joinedLine([name, values]: readonly [string, readonly string[]]): [string, string] {
  return [name, values.join(", ")];
}

/** The stateless revision has POST only, with or without sessions (MCP 2026-07-28, Streamable HTTP). */
function allowedMethods({ endpoint, rpc }: RefusalFacts): string {
  if (endpoint?.kind === "document") return "GET, HEAD, OPTIONS";
  if (endpoint?.kind === "mcp" && endpoint.legacySse !== null)
    return endpoint.legacySse.session === null ? "GET" : "POST";
  return endpoint?.kind === "mcp" && endpoint.sessions && rpc?.version !== MODERN ? "GET, POST, DELETE" : "POST";
}

/** A server that is not called for a while is 503: the caller is told for how long. */
function ownStatus({ reason, retryAfterSeconds }: Refused): number {
  const isUntried = reason === "upstream_unavailable" && retryAfterSeconds !== undefined;
  return isUntried ? 503 : REFUSALS[reason].http;
}

function status(settings: RefusalResponseSettings, refused: Refused, facts: RefusalFacts): number {
  const { reason } = refused;
  const isLegacy = facts.rpc?.version !== MODERN;
  // What is no request gets an HTTP error. To a client of an older revision, 404 means that its session has ended (2025-11-25,
  // Session Management).
  if (!isRequest(facts)) return isLegacy && reason === "method_unknown" ? 400 : ownStatus(refused);
  return isOk(settings, refused, facts) ? 200 : ownStatus(refused);
}

/** True for the refusal of a whole request that is 200. */
function isOk(settings: RefusalResponseSettings, refused: Refused, { rpc }: RefusalFacts): boolean {
  const { reason } = refused;
  const isLegacy = rpc?.version !== MODERN;
  // The answer is there, and too large: a status of failure would have clients and proxies ask for it again.
  if (reason === "answer_too_large" || isToolResult(settings, refused, { rpc })) return true;
  // Method not found and MissingRequiredClientCapability have a status in the stateless revision alone.
  if (reason === "method_unknown" || reason === "capability_missing") return isLegacy;
  if (formFor(settings, { rpc }) === "http" || keepsStatus(reason)) return false;
  // No message of an honest client, but for a number that her model made.
  if (reason === "body_malformed") return isLegacy && rpc?.isToolCall === true;
  // Clients end the session at a status of failure, or tell it alone (docs/refusals.md#clients). Where the stateless revision
  // has a code of its own, its status is 400.
  return isLegacy || REFUSALS[reason].rpc === null;
}

/** True for what clients act on by status, code or challenge. */
export function keepsStatus(reason: Reason): boolean {
  return REFUSALS[reason].http === 401 || PROTOCOLS_OWN.has(reason);
}

/** True for a request whose client reads the body of the response: one of HTTP+SSE reads no more than the status. */
function isRequest({ rpc, endpoint }: Pick<RefusalFacts, "rpc" | "endpoint">): boolean {
  return (
    rpc !== null && rpc.id !== null && !rpc.notification && !(endpoint?.kind === "mcp" && endpoint.legacySse !== null)
  );
}

function isOlderRequest({ rpc }: Pick<RefusalFacts, "rpc">): boolean {
  return rpc !== null && !rpc.notification && rpc.version !== MODERN;
}

/** What the protocol has a status, code or challenge of its own for: clients act on that, and a model could not. */
const PROTOCOLS_OWN: ReadonlySet<Reason> = new Set([
  ...(["scope_insufficient", "session_unknown", "method_unknown", "header_mismatch", "header_malformed"] as const),
  ...(["version_unsupported", "capability_missing", "wristband_invalid"] as const),
]);

/** Whatever is refused of a name, the form is the same: it does not tell a hidden name from one that nobody has. */
function isToolResult(
  settings: RefusalResponseSettings,
  { reason }: Refused,
  facts: Pick<RefusalFacts, "rpc">,
): boolean {
  if (facts.rpc?.isToolCall !== true || facts.rpc.notification) return false;
  return formFor(settings, facts) === "isError" && !keepsStatus(reason);
}

function formFor({ denial }: RefusalResponseSettings, { rpc }: Pick<RefusalFacts, "rpc">): DenialForm {
  if (typeof denial === "string") return denial;
  return denial[rpc?.version === MODERN ? "modern" : "legacy"];
}

function body(settings: RefusalResponseSettings, refused: Refused, facts: RefusalFacts): object {
  const { http, message } = REFUSALS[refused.reason];
  const { requestId } = facts;
  if (http === 401) return { error: "unauthorized", message };
  if (facts.endpoint?.kind !== "mcp") return { error: refused.reason, message: messageOf(message, refused), requestId };
  return rpcRefusal(settings, refused, facts);
}

function messageOf(message: string, { limitBytes, help, about }: Refused): string {
  const whole = about === undefined ? message : `${message}: ${about}`;
  const limited = limitBytes === undefined ? whole : `${whole} (limit: ${limitBytes} bytes)`;
  return help === undefined ? limited : `${limited}. ${help}`;
}

/** Invalid Request (JSON-RPC 2.0 §5.1): what an older revision has for a call that its client cannot make. */
const INVALID_REQUEST = -32_600;

function olderCode(reason: Reason, facts: Pick<RefusalFacts, "rpc">): number | null {
  return reason === "capability_missing" && isOlderRequest(facts) ? INVALID_REQUEST : null;
}

type RpcFacts = Pick<RefusalFacts, "rpc" | "requestId">;

/** A refusal as a JSON-RPC message with the request's id: the body, or the last event of a stream. */
export function rpcRefusal(settings: RefusalResponseSettings, refused: Refused, facts: RpcFacts): object {
  return isToolResult(settings, refused, facts) ? toolResult(refused, facts) : rpcError(refused, facts);
}

const REFUSAL_META = "mcp-authz/refusal";

/** A failed tool's result (MCP, Tools, Error Handling). Its text is all that a model reads. */
function toolResult(refused: Refused, { rpc, requestId }: RpcFacts): object {
  const { reason, help, limitBytes, retryAfterSeconds } = refused;
  const text = `${messageOf(REFUSALS[reason].message, refused)} (${reason}, request ${requestId})`;
  const told = {
    ...{ reason, requestId },
    ...(limitBytes !== undefined && { limitBytes }),
    ...(help !== undefined && { help }),
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  };
  const result = { content: [{ type: "text", text }], isError: true, _meta: { [REFUSAL_META]: told } };
  const resultType = rpc?.version === MODERN ? { resultType: "complete" } : {};
  return { jsonrpc: "2.0", id: rpc?.id ?? null, result: { ...resultType, ...result } };
}

function rpcError(refused: Refused, facts: RpcFacts): object {
  const { rpc, message } = REFUSALS[refused.reason];
  const { reason, rpcCode, help, limitBytes, extension, retryAfterSeconds } = refused;
  const supported =
    reason === "version_unsupported"
      ? { supported: refused.supported ?? SUPPORTED_VERSIONS, requested: requestedBy(facts.rpc) }
      : {};
  const required = extension === undefined ? {} : { requiredCapabilities: { extensions: { [extension]: {} } } };
  const helped = help === undefined ? {} : { help };
  const again = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
  const limited = limitBytes === undefined ? {} : { limitBytes };
  return {
    jsonrpc: "2.0",
    id: facts.rpc?.id ?? null,
    error: {
      code: rpcCode ?? olderCode(reason, facts) ?? rpc ?? ownStatus(refused),
      message: messageOf(message, refused),
      data: { reason, requestId: facts.requestId, ...supported, ...required, ...limited, ...helped, ...again },
    },
  };
}

const MAX_REQUESTED = 64;

/** The revision that the client asked for: its own text, which a schema wants back (MCP 2026-07-28, UnsupportedProtocolVersionError). */
function requestedBy(context: RefusalFacts["rpc"]): string {
  return (context?.version ?? "").slice(0, MAX_REQUESTED);
}
