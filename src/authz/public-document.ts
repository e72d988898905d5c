/** A document or preflight answer that the Check itself gives: public, status 200 or 204-like, never a grant. */
export interface Publication {
  readonly published: true;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export interface DocumentSettings {
  readonly publicOrigin: string;
  readonly issuers: readonly string[];
  readonly scopes: readonly string[];
}

/** The RFC 9728 §2 document of one resource. Nothing of it comes from the request. */
export function protectedResourceDocument(settings: DocumentSettings, resource: string): Publication {
  const document = {
    resource,
    authorization_servers: settings.issuers,
    ...(settings.scopes.length > 0 && { scopes_supported: settings.scopes }),
    bearer_methods_supported: ["header"],
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

/** The answer to a public document's preflight: any origin, no credentials. */
export function publicPreflight(): Publication {
  return preflight("*", "GET, HEAD, OPTIONS", "mcp-protocol-version, content-type");
}

/** The answer to an MCP endpoint's preflight from a listed origin. */
export function endpointPreflight(origin: string): Publication {
  const requestHeaders =
    "authorization, content-type, accept, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, last-event-id";
  return preflight(origin, "POST, OPTIONS", requestHeaders);
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

/** What an answer to a cross-origin request from a listed origin carries, so that a browser may read it. */
export function corsHeaders(origin: string): Map<string, string> {
  return new Map([
    ["access-control-allow-origin", origin],
    ["access-control-expose-headers", "www-authenticate, mcp-session-id"],
    ["vary", "origin"],
  ]);
}
