// Responses that the Check gives without a token: the protected-resource document (RFC 9728 §2) and CORS preflights. Pure.
import { PROOF_ALGORITHMS } from "./challenge.ts";
import { pass, refuse, type Step } from "./step.ts";

/** A document or preflight response of the Check itself: public, never a grant. */
export interface Publication {
  readonly published: true;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export interface DocumentSettings {
  readonly publicOrigin: string;
  readonly issuers: readonly string[];
  readonly scopes: readonly string[];
  /** Whether tokens bound to a key are taken, and whether others are (RFC 9449 §7). */
  readonly dpop?: "accepted" | "required" | null;
}

/** The response for the path of a document: the document, or the preflight for it. */
export function documentResponse(settings: DocumentSettings, method: string, resource: string): Step<Publication> {
  if (method === "OPTIONS") return pass(publicPreflight());
  if (method !== "GET" && method !== "HEAD") return refuse("method_not_allowed");
  return pass(protectedResourceDocument(settings, resource));
}

/**
 * The preflight response of an endpoint.
 * @param corsOrigin the listed origin; null for any other
 * @param own headers in which callers present something, beside `authorization`
 */
export function preflightResponse(
  corsOrigin: string | null,
  hasSessions: boolean,
  own: readonly string[],
): Step<Publication> {
  return corsOrigin === null
    ? refuse("method_not_allowed", "OPTIONS")
    : pass(endpointPreflight(corsOrigin, hasSessions, own));
}

/** The protected-resource document of one resource. No part of it comes from the request. */
function protectedResourceDocument(settings: DocumentSettings, resource: string): Publication {
  const document = {
    resource,
    authorization_servers: settings.issuers,
    ...(settings.scopes.length > 0 && { scopes_supported: settings.scopes }),
    bearer_methods_supported: ["header"],
    ...((settings.dpop ?? null) !== null && { dpop_signing_alg_values_supported: PROOF_ALGORITHMS }),
    ...(settings.dpop === "required" && { dpop_bound_access_tokens_required: true }),
  };
  return {
    published: true,
    headers: new Map([
      ["content-type", "application/json"],
      ["cache-control", "public, max-age=300"],
      ["access-control-allow-origin", "*"],
      ["x-content-type-options", "nosniff"],
    ]),
    body: JSON.stringify(document),
  };
}

/** The preflight response for a public document: any origin, no credentials. */
function publicPreflight(): Publication {
  return preflight("*", "GET, HEAD, OPTIONS", "mcp-protocol-version, content-type");
}

/**
 * The preflight response for an MCP endpoint and a listed origin.
 * @param hasSessions true if GET and DELETE are served
 * @param own headers in which callers present something, beside `authorization`
 */
function endpointPreflight(origin: string, hasSessions: boolean, own: readonly string[]): Publication {
  const usual =
    "authorization, content-type, accept, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, last-event-id";
  const requestHeaders = [usual, ...own].join(", ");
  return preflight(origin, hasSessions ? "GET, POST, DELETE, OPTIONS" : "POST, OPTIONS", requestHeaders);
}

function preflight(origin: string, methods: string, requestHeaders: string): Publication {
  return {
    published: true,
    headers: new Map([
      ["content-type", "text/plain"],
      ["access-control-allow-origin", origin],
      ["access-control-allow-methods", methods],
      ["access-control-allow-headers", requestHeaders],
      ["access-control-max-age", "600"],
      ["vary", "origin"],
    ]),
    body: "",
  };
}

/** The headers with which a browser may read the response to a cross-origin request of a listed origin. */
export function corsHeaders(origin: string): Map<string, string> {
  return new Map([
    ["access-control-allow-origin", origin],
    ["access-control-expose-headers", "www-authenticate, mcp-session-id"],
    ["vary", "origin"],
  ]);
}
