// Members of `_meta` that MCP defines (2026-07-28, Base Protocol). Constants only.
const PREFIX = "io.modelcontextprotocol/";

/** The revision of a request. */
export const META_VERSION = `${PREFIX}protocolVersion`;
export const META_CAPABILITIES = `${PREFIX}clientCapabilities`;
export const META_LOG_LEVEL = "io.modelcontextprotocol/logLevel";
export const META_CLIENT = `${PREFIX}clientInfo`;
/** The request of `subscriptions/listen` to whose stream a notification belongs. */
export const META_SUBSCRIPTION = `${PREFIX}subscriptionId`;
