// How a person with a token has proven who she is, for identities that tests make by hand.

/** Of a token that says nothing of the authentication. */
export const BY_TOKEN = { method: "jwt", kind: "user", amr: [], acr: null, authTime: null } as const;

/** The same as policy sees it. */
export const POLICY_BY_TOKEN = { method: "jwt", kind: "user", amr: [], acr: null, auth_time: null } as const;
