// The closed list of names that an attribute of a span can have. Values are names of the configuration, words of our tables and
// what the audit line shows too; never a token, a claim, a credential, a path or an argument. Pure.

/**
 * OpenTelemetry's semantic conventions where they have a name (https://opentelemetry.io/docs/specs/semconv/gen-ai/mcp/), ours for
 * the rest. Not among them on purpose: `mcp.session.id`, `mcp.resource.uri`, `url.*`, `gen_ai.tool.call.*`, `enduser.*`.
 */
export const ATTRIBUTE_NAMES = [
  "mcp.method.name",
  "mcp.protocol.version",
  "gen_ai.operation.name",
  "gen_ai.tool.name",
  "gen_ai.prompt.name",
  "rpc.system.name",
  "rpc.method",
  "http.request.method",
  "http.response.status_code",
  "server.address",
  "server.port",
  "error.type",
  /** Id of the Check: the audit line's `request_id`, and `requestId` of a refusal. */
  "mcp_authz.request_id",
  "mcp_authz.decision",
  "mcp_authz.reason",
  /** A server's name in the configuration. */
  "mcp_authz.server",
  "mcp_authz.credential",
  /** Revision of the policy that decided. */
  "mcp_authz.policy",
  /** End of a relayed call: `answered`, `left`, or the reason of a refusal. */
  "mcp_authz.outcome",
] as const;

export type AttributeName = (typeof ATTRIBUTE_NAMES)[number];
export type AttributeValue = string | number;
