// Renders a refusal as an HTTP response, with a JSON-RPC error where the request was one. Pure.
import { challenge, type ChallengeSettings } from "./challenge.ts";
import { REFUSALS, type Reason } from "./refusal.ts";
import type { Refused } from "./step.ts";
import { corsHeaders } from "./public-document.ts";
import type { CheckFacts } from "./facts.ts";
import { MODERN, SUPPORTED_VERSIONS } from "../mcp/versions.ts";

/** The HTTP response of a refusal. Header names are in lower case and unique. */
export interface RefusalResponse {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export interface RefusalResponseSettings extends ChallengeSettings {
  /** Form of `policy_denied` for a request: 200 with a JSON-RPC error, or 403. */
  readonly denial: "jsonrpc" | "http";
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
  const refusal = REFUSALS[refused.reason];
  const headers = new Map([
    ["content-type", "application/json"],
    ["cache-control", "no-store"],
    ["x-content-type-options", "nosniff"],
  ]);
  if (facts.corsOrigin !== null) for (const [name, value] of corsHeaders(facts.corsOrigin)) headers.set(name, value);
  if (refusal.http === 401 || refused.reason === "scope_insufficient") {
    headers.set("www-authenticate", challenge(settings, facts.path ?? "/mcp", refused));
  }
  if (refusal.http === 405) headers.set("allow", facts.endpoint?.kind === "document" ? "GET, HEAD, OPTIONS" : "POST");
  if (refusal.http === 503 || refusal.http === 429)
    headers.set("retry-after", String(refused.retryAfterSeconds ?? RETRY_AFTER_SECONDS));
  return { status: status(settings, refused, facts), headers, body: JSON.stringify(body(refused, facts)) };
}

function status(settings: RefusalResponseSettings, refused: Refused, facts: RefusalFacts): number {
  const isRequest = facts.rpc !== null && !facts.rpc.notification;
  if (refused.reason === "policy_denied" && settings.denial === "jsonrpc" && isRequest) return 200;
  // The answer is there, and too large: a status of failure would have clients and proxies ask for it again.
  if (refused.reason === "answer_too_large" && isRequest) return 200;
  // MissingRequiredClientCapability is a code, and a status, of the stateless revision alone.
  if (refused.reason === "capability_missing" && isOlderRequest(facts)) return 200;
  // To a client of an older revision, 404 means that its session has ended (2025-11-25, Session Management).
  if (refused.reason === "method_unknown" && facts.rpc?.version !== MODERN) return 200;
  return REFUSALS[refused.reason].http;
}

function isOlderRequest({ rpc }: Pick<RefusalFacts, "rpc">): boolean {
  return rpc !== null && !rpc.notification && rpc.version !== MODERN;
}

function body(refused: Refused, facts: RefusalFacts): object {
  const { http, message } = REFUSALS[refused.reason];
  const { requestId } = facts;
  if (http === 401) return { error: "unauthorized", message };
  if (facts.endpoint?.kind !== "mcp") return { error: refused.reason, message, requestId };
  return rpcError(refused, facts);
}

function messageOf(message: string, { limitBytes, help }: Refused): string {
  const limited = limitBytes === undefined ? message : `${message} (limit: ${limitBytes} bytes)`;
  return help === undefined ? limited : `${limited}. ${help}`;
}

/** Invalid Request (JSON-RPC 2.0 §5.1): what an older revision has for a call that its client cannot make. */
const INVALID_REQUEST = -32_600;

function olderCode(reason: Reason, facts: Pick<RefusalFacts, "rpc">): number | null {
  return reason === "capability_missing" && isOlderRequest(facts) ? INVALID_REQUEST : null;
}

/** A refusal as a JSON-RPC error with the request's id: the body, or the last event of a stream. */
export function rpcError(refused: Refused, facts: Pick<RefusalFacts, "rpc" | "requestId">): object {
  const { http, rpc, message } = REFUSALS[refused.reason];
  const { reason, rpcCode, help, limitBytes } = refused;
  const supported = reason === "version_unsupported" ? { supported: SUPPORTED_VERSIONS } : {};
  const helped = help === undefined ? {} : { help };
  const limited = limitBytes === undefined ? {} : { limitBytes };
  return {
    jsonrpc: "2.0",
    id: facts.rpc?.id ?? null,
    error: {
      code: rpcCode ?? olderCode(reason, facts) ?? rpc ?? http,
      message: messageOf(message, refused),
      data: { reason, requestId: facts.requestId, ...supported, ...limited, ...helped },
    },
  };
}
