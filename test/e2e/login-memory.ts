import type { StoredOAuthClientInformation, StoredOAuthTokens } from "@modelcontextprotocol/client";

/** What a client remembers of its login, in memory: the shape is the same in both generations of the TypeScript SDK. */
export function loginMemory() {
  const kept: {
    client?: StoredOAuthClientInformation;
    tokens?: StoredOAuthTokens;
    verifier?: string;
    /** Where the person is to log in. */
    asked?: URL;
  } = {};
  const redirectUrl = "http://127.0.0.1:33418/callback";
  return {
    kept,
    redirectUrl,
    clientMetadata: {
      client_name: "test client",
      redirect_uris: [redirectUrl],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      token_endpoint_auth_method: "none",
    },
    clientInformation: () => kept.client,
    saveClientInformation: (client: StoredOAuthClientInformation) => void (kept.client = client),
    tokens: () => kept.tokens,
    saveTokens: (tokens: StoredOAuthTokens) => void (kept.tokens = tokens),
    redirectToAuthorization: (asked: URL) => void (kept.asked = asked),
    saveCodeVerifier: (verifier: string) => void (kept.verifier = verifier),
    codeVerifier: () => kept.verifier ?? "",
  };
}
