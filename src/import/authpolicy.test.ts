import { describe, expect, it } from "vitest";
import { importAuthPolicy, type ImportOptions } from "./authpolicy.ts";
import { SourceError } from "./source.ts";

const OPTIONS: ImportOptions = {
  file: "p.yaml",
  policy: null,
  origin: "https://gw.example.com",
  servers: [{ name: "mcp-test/github", url: "https://gh.example.com/mcp" }],
  audiences: ["a"],
  issuer: null,
};
const AUTHENTICATION = "authentication: {idp: {jwt: {issuerUrl: https://idp.example.com}}}";

const policy = (rules: string) =>
  `apiVersion: kuadrant.io/v1\nkind: AuthPolicy\nmetadata: {name: p}\nspec:\n  rules:\n${rules.replaceAll(/^(?=.)/gm, "    ")}`;
const imported = (text: string, options: Partial<ImportOptions> = {}) =>
  importAuthPolicy(text, { ...OPTIONS, ...options });
const faults = (text: string) =>
  imported(text).report.faults.map(({ line, key, message }) => `${line}: ${key}: ${message}`);
const rules = (more: string) => policy(`${AUTHENTICATION}\n${more}`);

describe("what is not mapped is named by its line", () => {
  const opa = (rego: string) =>
    `authorization:\n  x:\n    opa:\n      rego: |\n${rego.replaceAll(/^(?=.)/gm, "        ")}`;
  const predicate = (text: string) =>
    `authorization:\n  x:\n    patternMatching:\n      patterns:\n        - predicate: ${JSON.stringify(text)}`;
  const selector = (name: string, operator = "eq", value = "v") =>
    `authorization:\n  x:\n    patternMatching:\n      patterns:\n        - {selector: ${JSON.stringify(name)}, operator: ${operator}, value: ${JSON.stringify(value)}}`;

  it.each([
    [
      "rules that are fetched",
      "authorization:\n  x:\n    opa:\n      externalPolicy: {url: https://p.example.com}",
      /^10: .*externalPolicy: rules that are fetched/,
    ],
    [
      "a path",
      opa('allow {\n  startswith(input.context.request.http.path, "/admin")\n}'),
      /^12: .*rego: context\.request\.http\.path is another here/,
    ],
    ["a path behind an import", opa("import input.request as r\nallow { r.path }"), /^11: .*request is not known here/],
    ["a path in a template string", opa('allow { $"{input.request.path}" == "/x" }'), /^10: .*template strings/],
    [
      "an answer of others",
      opa("allow { input.auth.metadata.geo.country }"),
      /^11: .*auth\.metadata\.geo\.country is what a call/,
    ],
    ["all of the input", opa("allow { x := input; x.request.path }"), /^11: .*not known here/],
    ["a computed place", opa('k := "path"\nallow { input.request[k] }'), /^12: .*not known here/],
    ["data", opa("allow { data.mcp.authz.allow }"), /^11: .*data is not/],
    ["the caller's token", opa('allow { input.request.headers["authorization"] }'), /^11: .*carries a credential/],
    [
      "a header of the router that clients write here",
      opa('allow { input.request.headers["x-mcp-annotation-hints"] == "readOnly=true" }'),
      /^11: .*any client/,
    ],
    ["a computed header", opa("allow { some h; input.request.headers[h] }"), /^11: .*computed/],
    ["a path in CEL", predicate("request.path.startsWith('/x')"), /^11: .*request\.path is another here/],
    ["a path by index", predicate("request['path'] == '/x'"), /^11: .*not known here/],
    ["a method but POST", predicate("request.method != 'DELETE'"), /^11: .*request\.method is POST/],
    ["all headers", predicate("request.headers.all(h, h != 'x-debug')"), /^11: .*only request\.headers\.exists/],
    ["a value of another rule", predicate("auth.authorization.x.ok"), /^11: .*a value of another rule/],
    ["a function", predicate("auth.identity.n.format() == ''"), /^11: .*format\(\) is not translated/],
    ["what is no CEL", predicate("auth.identity.?x.orValue('') == ''"), /^11: .*no CEL/],
    ["a query of gjson", selector('auth.identity.roles.#(=="a")'), /^11: .*more than a path of names/],
    ["a modifier of gjson", selector("auth.identity.roles.@tostr"), /^11: .*more than a path of names/],
    ["an index of gjson", selector("auth.identity.roles.0"), /^11: .*more than a path of names/],
    ["a method in a selector", selector("context.request.http.method", "neq", "DELETE"), /^11: .*method is POST/],
    ["an operator", selector("auth.identity.sub", "gt"), /^11: .*an operator/],
    [
      "a value that YAML takes for a number",
      "authorization:\n  x:\n    patternMatching:\n      patterns:\n        - {selector: auth.identity.n, operator: eq, value: 1}",
      /^11: .*quote it/,
    ],
    [
      "a pattern that is not there",
      "authorization: {x: {patternMatching: {patterns: [{patternRef: y}]}}}",
      /^7: .*no pattern y/,
    ],
    [
      "Kubernetes",
      "authorization: {x: {kubernetesSubjectAccessReview: {user: {selector: auth.identity.sub}}}}",
      /^7: .*asks somebody else/,
    ],
    ["an entry without a method", "authorization: {x: {priority: 1}}", /^7: .*has none or several/],
    [
      "a key with a slip",
      "authorization: {x: {patternMatching: {patterns: []}, wen: []}}",
      /^7: spec\.rules\.authorization\.x\.wen: is not known/,
    ],
    ["a section with a slip", "autorization: {x: {}}", /^7: spec\.rules\.autorization: is not known/],
    ["a call out", "metadata: {geo: {http: {url: https://geo.example.com/}}}", /^7: .*a call to somebody else/],
    ["a callback", "callbacks: {x: {http: {url: https://x.example.com}}}", /^7: .*nobody is called/],
    [
      "a redirect",
      "response: {unauthenticated: {code: 302, headers: {location: {value: https://x}}}}",
      /^7: .*code: answered with 401/,
    ],
    ["data for other filters", "response: {success: {filters: {x: {json: {properties: {}}}}}}", /^7: .*filters/],
    [
      "a wristband of another algorithm",
      "response: {success: {headers: {x: {wristband: {issuer: https://i, signingKeyRefs: [{name: k, algorithm: RS256}]}}}}}",
      /^7: .*ES256/,
    ],
    [
      "the client's own header as credential",
      `response: {success: {headers: {authorization: {plain: {expression: "'Bearer ' + request.headers['x-pat']"}}}}}`,
      /^7: .*neither a credential/,
    ],
  ])("%s", (_, more, line) => {
    const found = faults(rules(more));
    expect(found).toContainEqual(expect.stringMatching(line));
  });

  it.each([
    ["keys", "authentication: {x: {apiKey: {selector: {}}}}", /^6: .*apiKey: keys stand in Secrets/],
    ["nobody's token", "authentication: {x: {anonymous: {}}}", /^6: .*anonymous: callers without a token/],
    ["no authentication", "authorization: {}", /^5: spec\.rules: has no authentication/],
    ["no issuer", "authentication: {x: {jwt: {jwksUrl: https://i/jwks}}}", /^6: .*does not say whose tokens/],
    [
      "a cookie",
      "authentication: {x: {jwt: {issuerUrl: https://i}, credentials: {cookie: {name: t}}}}",
      /^6: .*cookie: tokens come as/,
    ],
    [
      "two ways for one issuer",
      "authentication: {x: {jwt: {issuerUrl: https://i}, defaults: {a: {value: 1}}}, y: {jwt: {issuerUrl: https://i}}}",
      /^6: .*y: .*twice/,
    ],
  ])("callers: %s", (_, more, line) => expect(faults(policy(more))).toContainEqual(expect.stringMatching(line)));

  it.each([
    [
      "a condition that opens the rest",
      "spec:\n  when: [{predicate: \"request.headers['x-env'] == 'prod'\"}]\n",
      /^5: spec\.when\[0\]\.predicate: requests for which it does not hold/,
    ],
    [
      "a path that is only like /.well-known",
      "spec:\n  when: [{predicate: \"!request.path.contains('/.well-known') || true\"}]\n",
      /^5: spec\.when/,
    ],
    [
      "policies that add to this one",
      "spec:\n  overrides:\n    strategy: merge\n    rules: {}\n",
      /^6: .*strategy: other policies/,
    ],
  ])("around the rules: %s", (_, spec, line) =>
    expect(faults(`apiVersion: kuadrant.io/v1\nkind: AuthPolicy\nmetadata: {name: p}\n${spec}`)).toContainEqual(
      expect.stringMatching(line),
    ),
  );

  it("a text with anchors, a key twice, no policy, and two of them are no source", () => {
    const two = `${rules("")}\n---\n${rules("")}`;
    for (const text of ["a: &x 1\nb: *x", "a: 1\na: 2", "kind: Secret", two, "[", ""])
      expect(() => imported(text), text).toThrow(SourceError);
    expect(() => imported(two, { policy: "other" })).toThrow(/there are default\/p \(line 1\), default\/p/);
  });
});

it("what cannot be mapped has no value, negated or not, and stands in the policy with its line", () => {
  const { policy: made } = imported(
    rules(
      'authorization:\n  x:\n    when: [{predicate: "!(request.path == \'/x\')"}]\n    patternMatching: {patterns: [{predicate: "true"}]}',
    ),
  );
  expect(made().get("policy.rego")).toMatch(/# NOT MAPPED: line 9\nr\d+ := true if \{\n\t1 == 2\n\}/);
});

describe("credentials", () => {
  const vault = `metadata:
  vault:
    http:
      urlExpression: '"https://vault.example.com/v1/secret/data/" + auth.identity.preferred_username + "/" + request.headers["x-mcp-servername"].replace("/", ".")'
      credentials: {customHeader: {name: X-Vault-Token}}
      sharedSecretRef: {name: te, key: token}
`;
  const exchange = `  swap:
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
`;
  const header = (expression: string) =>
    `response: {success: {headers: {authorization: {plain: {expression: ${JSON.stringify(expression)}}}}}}`;
  const found = "has(auth.metadata.vault.data) && type(auth.metadata.vault.data.data.token) == string";
  const chain = (text: string) => {
    const { config, report } = imported(text);
    const { servers } = config.tree as unknown as { servers: Record<string, { credential: unknown }> };
    return { faults: report.faults, credential: servers["github"]?.credential };
  };

  it("the caller's entry of a Vault, then an exchanged token", () =>
    expect(
      chain(
        rules(
          `${vault}${exchange}${header(`"Bearer " + (${found} ? auth.metadata.vault.data.data.token : auth.metadata.swap.access_token)`)}`,
        ),
      ),
    ).toEqual({
      faults: [],
      credential: [
        { vault: { mount: "secret", path: "{username}/mcp-test.github" } },
        {
          exchange: {
            tokenEndpoint: "https://idp.example.com/protocol/openid-connect/token",
            profile: "keycloak",
            client: { id: "replace-me", secret: { file: "secrets/te.client" } },
            audience: "mcp-test/github",
            scope: "openid",
          },
        },
      ],
    }));

  it.each([
    [
      "the reverse order by a negated condition",
      `"Bearer " + (!(${found}) ? auth.metadata.vault.data.data.token : auth.metadata.swap.access_token)`,
    ],
    ["another part of the answer", '"Bearer " + auth.metadata.vault.data.metadata.version'],
    [
      "the caller's own token as the last",
      `"Bearer " + (${found} ? auth.metadata.vault.data.data.token : request.headers["authorization"])`,
    ],
  ])("not mapped: %s", (_, expression) =>
    expect(chain(rules(`${vault}${exchange}${header(expression)}`)).faults).not.toEqual([]),
  );

  it("a condition on who gets a credential is not dropped", () => {
    const when = exchange.replace("!has(auth.metadata.vault.data)", "auth.identity.admin == true");
    const { faults: lines } = chain(rules(`${vault}${when}${header('"Bearer " + auth.metadata.swap.access_token')}`));
    expect(lines.map(({ key }) => key)).toContain("spec.rules.metadata.swap.when[0].predicate");
  });

  it.each([
    ["in an entry", "has(auth.metadata.vault.data) && has(auth.metadata.vault.data.data.approved)"],
    ["of a version", "has(auth.metadata.vault.data.metadata.approved)"],
    ["by its type", "type(auth.metadata.vault.data.data.approved) == bool"],
    ["of another call", "auth.metadata.exists(p, p == 'other')"],
  ])("a condition on another part of an answer restricts somebody, and is not dropped: %s", (_, asked) => {
    const guard = `authorization: {found: {patternMatching: {patterns: [{predicate: ${JSON.stringify(asked)}}]}}}\n`;
    const one = header('"Bearer " + auth.metadata.vault.data.data.token');
    expect(chain(rules(`${vault}${guard}${one}`)).faults).not.toEqual([]);
    const when = exchange.replace("!has(auth.metadata.vault.data)", asked);
    expect(chain(rules(`${vault}${when}${header('"Bearer " + auth.metadata.swap.access_token')}`)).faults).not.toEqual(
      [],
    );
    const two = header(
      `"Bearer " + (${asked} ? auth.metadata.vault.data.data.token : auth.metadata.swap.access_token)`,
    );
    expect(chain(rules(`${vault}${exchange}${two}`)).faults).not.toEqual([]);
  });

  it("headers with names of JavaScript's own are headers", () =>
    expect(
      faults(
        rules(
          "authorization: {x: {patternMatching: {patterns: [{predicate: \"request.headers['constructor'] == 'a'\"}]}}}",
        ),
      ),
    ).toEqual([]));

  it("an entry that asks for a credential is what the chain says, unless it asks for one of several", () => {
    const guard = `authorization: {found: {patternMatching: {patterns: [{predicate: ${JSON.stringify(found)}}]}}}\n`;
    const one = header('"Bearer " + auth.metadata.vault.data.data.token');
    expect(chain(rules(`${vault}${guard}${one}`)).faults).toEqual([]);
    const two = header(
      `"Bearer " + (${found} ? auth.metadata.vault.data.data.token : auth.metadata.swap.access_token)`,
    );
    expect(chain(rules(`${vault}${exchange}${guard}${two}`)).faults).not.toEqual([]);
    const negated = guard.replace("has(", "!has(");
    expect(chain(rules(`${vault}${negated}${one}`)).faults).not.toEqual([]);
  });

  describe("an entry or a condition that says that something was found", () => {
    const login = (token: string) => `  login:
    http:
      url: https://vault.example.com/v1/auth/jwt/login
      method: POST
      body:
        expression: |
          "{\\"role\\":\\"r\\",\\"jwt\\":\\"" + ${token} + "\\"}"
`;
    const own = login("request.headers['authorization'].split('Bearer ')[1]");
    const others = login("auth.metadata.service.access_token");
    const service = `  service:
    http:
      url: https://idp.example.com/token
      method: POST
      sharedSecretRef: {name: s, key: client}
      bodyParameters: {grant_type: {value: client_credentials}}
`;
    const byLogin = vault
      .replace(
        "credentials: {customHeader: {name: X-Vault-Token}}",
        "headers: {X-Vault-Token: {expression: auth.metadata.login.auth.client_token}}",
      )
      .replace(/ {6}sharedSecretRef.*\n/, "");
    const one = header('"Bearer " + auth.metadata.vault.data.data.token');
    const two = header(
      `"Bearer " + (${found} ? auth.metadata.vault.data.data.token : auth.metadata.swap.access_token)`,
    );
    const guard = (asked: string) =>
      `authorization: {found: {patternMatching: {patterns: [{predicate: ${JSON.stringify(asked)}}]}}}\n`;
    const loggedIn = "has(auth.metadata.login.auth.client_token)";

    it.each([
      ["the caller's own log-in", `${byLogin}${own}${guard(loggedIn)}${one}`],
      ["its type", `${vault}${guard("type(auth.metadata.vault.data.data.token) == string")}${one}`],
      ["a map on the way to it", `${vault}${guard("type(auth.metadata.vault.data) == map")}${one}`],
      ["by its name", `${vault}${guard("auth.metadata.exists(p, p == 'vault')")}${one}`],
      [
        "a log-in before a read",
        `${byLogin.replace("    http", `    when: [{predicate: ${loggedIn}}]\n    http`)}${own}${one}`,
      ],
      [
        "a fallback as the guides ask for it",
        `${vault}${exchange.replace("!has(auth.metadata.vault.data)", "!has(auth.metadata.vault.data) || !has(auth.metadata.vault.data.data) || type(auth.metadata.vault.data.data.token) != string")}${two}`,
      ],
    ])("holds wherever the chain finds it: %s", (_, text) => expect(chain(rules(text)).faults).toEqual([]));

    it.each([
      ["of a log-in with another's token", `${byLogin}${others}${service}${guard(loggedIn)}${one}`],
      ["of a log-in that no read uses", `${vault}${own}${guard(loggedIn)}${one}`],
      [
        "of a client's token that no chain holds",
        `${vault}${service}${guard("has(auth.metadata.service.access_token)")}${one}`,
      ],
      ["that it is null", `${vault}${guard("type(auth.metadata.vault.data.data.token) == null_type")}${one}`],
      ["that it is a number", `${vault}${guard("type(auth.metadata.vault.data.data.token) == int")}${one}`],
      ["that all is text", `${vault}${guard("type(auth.metadata) == string")}${one}`],
      ["that the answer is text", `${vault}${guard("type(auth.metadata.vault) == string")}${one}`],
      [
        "of a second log-in first",
        `${vault}${exchange}${own}${header(`"Bearer " + (${loggedIn} && ${found} ? auth.metadata.vault.data.data.token : auth.metadata.swap.access_token)`)}`,
      ],
      [
        "that it is null, as a choice",
        `${vault}${exchange}${header('"Bearer " + (type(auth.metadata.vault.data.data.token) == null_type ? auth.metadata.vault.data.data.token : auth.metadata.swap.access_token)')}`,
      ],
      // Authorino keeps the body of an error, too.
      [
        "that somebody answered, as a choice",
        `${vault}${exchange}${header('"Bearer " + (has(auth.metadata.vault) ? auth.metadata.vault.data.data.token : auth.metadata.swap.access_token)')}`,
      ],
      ["that the first was found, for the second", `${vault}${exchange.replace("!has", "has")}${two}`],
      [
        "that nobody answered",
        `${vault}${exchange.replace("!has(auth.metadata.vault.data)", "!has(auth.metadata.vault)")}${two}`,
      ],
      [
        "of tokens for several servers",
        `${vault}${exchange.replace("!has(auth.metadata.vault.data)", "type(auth.identity.aud) != string")}${two}`,
      ],
      [
        "of tokens for this server",
        `${vault}${exchange.replace("!has(auth.metadata.vault.data)", "auth.identity.aud == request.headers['x-mcp-servername']")}${two}`,
      ],
    ])("is a rule of its own, and is named: %s", (_, text) => expect(chain(rules(text)).faults).not.toEqual([]));
  });

  it.each([
    ["another address", "https://vault.example.com/v1/secret", "https://other.example.com/v1/secret"],
    ["another token", "name: te, key: token", "name: te, key: another"],
  ])("there is one Vault: a second one is not mapped: %s", (_, text, other) => {
    const second = vault.replace("metadata:\n", "").replace("  vault:", "  second:").replace(text, other);
    const both = `"Bearer " + (${found} ? auth.metadata.vault.data.data.token : auth.metadata.second.data.data.token)`;
    const same = vault.replace("metadata:\n", "").replace("  vault:", "  second:");
    expect(chain(rules(`${vault}${same}${header(both)}`)).faults).toEqual([]);
    expect(chain(rules(`${vault}${second}${header(both)}`)).faults.map(({ key }) => key)).toEqual([
      "spec.rules.metadata.second",
    ]);
  });

  it.each([
    ["a scope that is computed", "scope: {value: openid}", 'scope: {expression: "auth.identity.scope"}'],
    [
      "a subject as a constant",
      "subject_token: {expression: \"request.headers['authorization'].split('Bearer ')[1]\"}",
      "subject_token: {value: abc}",
    ],
    ["a header of its own", "method: POST", "method: POST\n      headers: {X-Vault-Namespace: {value: team}}"],
    ["another form", "method: POST", "method: POST\n      contentType: application/json"],
    ["a secret in another header", "authorizationHeader: {prefix: Basic}", "customHeader: {name: X-Key}"],
  ])("whatever a call says is carried or named: %s", (_, text, other) => {
    const two = header(
      `"Bearer " + (${found} ? auth.metadata.vault.data.data.token : auth.metadata.swap.access_token)`,
    );
    expect(exchange).toContain(text);
    expect(chain(rules(`${vault}${exchange.replace(text, other)}${two}`)).faults).not.toEqual([]);
  });
});

it("two servers of one name are no source: one would get the other's URL", () =>
  expect(() =>
    imported(rules(""), {
      servers: ["team-a/github", "team-b/github"].map((name, i) => ({ name, url: `https://s${i}.example.com` })),
    }),
  ).toThrow(/team-a\/github and team-b\/github would both be the server github/));
