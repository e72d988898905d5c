// Issuers of callers without an access token. No configured issuer can have such a name: theirs are http URLs. Pure.

export const OWN_ISSUER = "urn:mcp-authz:";

export const API_KEY_ISSUER = `${OWN_ISSUER}api-key`;

export const DEVELOPMENT_ISSUER = `${OWN_ISSUER}development`;

export const ANONYMOUS_ISSUER = `${OWN_ISSUER}anonymous`;

export function proxyIssuer(name: string): string {
  return `${OWN_ISSUER}proxy:${name}`;
}
