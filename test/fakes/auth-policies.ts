// Policies of Kuadrant and Authorino that an import maps whole, and callers whom they tell apart.

/** Texts by name. */
export const POLICIES: Readonly<Record<string, string>> = {
  "rules of every kind": `apiVersion: kuadrant.io/v1
kind: AuthPolicy
metadata: {name: p, namespace: mcp-test, labels: {app: gw}}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: g}
  patterns:
    members: [{selector: auth.identity.realm.roles, operator: incl, value: member}]
    named:
      allOf: [{predicate: "auth.identity.sub != ''"}]
  rules:
    authentication:
      idp:
        jwt: {issuerUrl: "https://idp.example.com", ttl: 60}
        when: [{predicate: "auth.identity.env == 'prod'"}]
        credentials: {authorizationHeader: {prefix: Bearer}}
        defaults: {tier: {value: free}}
        overrides: {team: {selector: auth.identity.org.team}, gold: {expression: "auth.identity.tier == 'gold'"}}
        priority: 1
      partner:
        jwt: {issuerUrl: "https://partner.example.com"}
    authorization:
      members: {patternMatching: {patterns: [{patternRef: members}, {patternRef: named}]}, priority: 0}
      not-banned: {patternMatching: {patterns: [{selector: auth.identity.flags, operator: excl, value: banned}]}}
      writers:
        when: [{predicate: "request.headers['x-mcp-toolname'].startsWith('write_')"}]
        patternMatching:
          patterns:
            - any:
                - predicate: auth.identity.gold
                - all: [{selector: auth.identity.sub, operator: matches, value: "^root$"}, {predicate: "auth.identity.team != 'guests'"}]
      not-suspended:
        opa:
          version: v1
          rego: |
            allow if not input.auth.identity.suspended
      small:
        opa:
          allValues: true
          rego: |
            allow { input.auth.identity.level <= 3 }
    response:
      unauthorized: {code: 403, headers: {www-authenticate: {value: Bearer}}, body: {value: "no access"}}
`,
  "a chain of credentials": `apiVersion: kuadrant.io/v1
kind: AuthPolicy
metadata: {name: p}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}
  overrides:
    strategy: atomic
    when: [{predicate: "!request.path.contains('/.well-known')"}]
    rules:
      authentication:
        idp: {jwt: {issuerUrl: "https://idp.example.com"}}
      metadata:
        login:
          http:
            url: https://vault.example.com/v1/auth/jwt/login
            method: POST
            contentType: application/json
            body:
              expression: |
                "{\\"role\\":\\"r\\",\\"jwt\\":\\"" + request.headers['authorization'].split('Bearer ')[1] + "\\"}"
          cache: {key: {selector: auth.identity.sub}, ttl: 300}
        vault:
          when: [{predicate: has(auth.metadata.login.auth.client_token)}]
          http:
            urlExpression: '"https://vault.example.com/v1/secret/data/" + auth.identity.sub'
            headers: {X-Vault-Token: {expression: auth.metadata.login.auth.client_token}}
        swap:
          when: [{predicate: "!has(auth.metadata.vault.data)"}]
          http:
            url: https://idp.example.com/protocol/openid-connect/token
            method: POST
            credentials: {authorizationHeader: {prefix: Basic}}
            sharedSecretRef: {name: te, key: client}
            bodyParameters:
              grant_type: {value: "urn:ietf:params:oauth:grant-type:token-exchange"}
              subject_token: {expression: "request.headers['authorization'].split('Bearer ')[1]"}
              audience: {expression: "request.headers['x-mcp-servername']"}
              scope: {value: openid}
      authorization:
        members: {patternMatching: {patterns: [{selector: auth.identity.realm.roles, operator: incl, value: member}]}}
      response:
        success:
          headers:
            authorization:
              plain:
                expression: '"Bearer " + (has(auth.metadata.vault.data) && type(auth.metadata.vault.data.data.token) == string ? auth.metadata.vault.data.data.token : auth.metadata.swap.access_token)'
            x-tenant: {plain: {selector: auth.identity.tenant}, key: X-Tenant}
            x-kind: {plain: {value: mcp}}
`,
  "a wristband, as an AuthConfig": `apiVersion: authorino.kuadrant.io/v1beta3
kind: AuthConfig
metadata: {name: p}
spec:
  hosts: [gw.example.com]
  authentication:
    idp: {jwt: {issuerUrl: "https://idp.example.com"}}
  metadata:
    vault:
      http:
        url: https://vault.example.com/v1/secret/data/shared
        credentials: {customHeader: {name: X-Vault-Token}}
        sharedSecretRef: {name: te, key: token}
  authorization:
    found: {patternMatching: {patterns: [{predicate: has(auth.metadata.vault.data)}]}}
    staff: {patternMatching: {patterns: [{predicate: "auth.identity.flags.all(f, f != 'banned')"}]}}
  response:
    success:
      headers:
        authorization: {plain: {expression: '"Bearer " + auth.metadata.vault.data.data.token'}}
        x-mcp-authorized:
          wristband:
            issuer: https://gw.example.com
            tokenDuration: 300
            customClaims: {tools: {selector: auth.identity.tools}}
            signingKeyRefs: [{name: band, algorithm: ES256}]
`,
};

const good = {
  sub: "s",
  env: "prod",
  realm: { roles: ["member"] },
  flags: [],
  level: 1,
  org: { team: "core" },
  tenant: "t",
};
const at = (claims: object, { issuer = "https://idp.example.com", name = "read" } = {}) => ({
  identity: { issuer, claims },
  mcp: { method: "tools/call", kind: "tool", name, server: "github" },
  request: { headers: {} },
});

/** What a rule is asked with. */
export const CALLS: readonly object[] = [
  at(good),
  at({ ...good, tier: "gold" }, { name: "write_file" }),
  at({ ...good, tier: "gold" }, { issuer: "https://partner.example.com" }),
  at({ ...good, sub: "root" }, { name: "write_file" }),
  at({ ...good, sub: "root", org: { team: "guests" } }, { name: "write_file" }),
  at(good, { name: "write_file" }),
  at(good, { issuer: "https://evil.example.com" }),
  at({ ...good, env: "test" }),
  at({ ...good, realm: { roles: ["other"] } }),
  at({ ...good, flags: ["banned"] }),
  at({ ...good, suspended: true }),
  at({ ...good, level: 9 }),
  at({ sub: "s" }),
  at({}),
];
