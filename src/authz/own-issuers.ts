// Issuers of callers without an access token. No configured issuer can have such a name: theirs are http URLs. Pure.

export const OWN_ISSUER = "urn:mcp-authz:";

export const API_KEY_ISSUER = `${OWN_ISSUER}api-key`;
