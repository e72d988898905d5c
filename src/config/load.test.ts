import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { ConfigError, loadConfig } from "./load.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-config-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(join(folder, "pat"), "s3cret-canary\n", { mode: 0o600 });
writeFileSync(join(folder, "empty"), "");
writeFileSync(join(folder, "lines"), "a\nb\n", { mode: 0o600 });
writeFileSync(join(folder, "open"), "x", { mode: 0o644 });

type Tree = Record<string, unknown>;

function good(): Tree {
  return {
    publicOrigin: "https://gw.example.com",
    callRouting: "direct",
    identity: {
      issuers: [{ issuer: "https://idp.example.com", audiences: ["https://gw.example.com"], algorithms: ["ES256"] }],
    },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "wristband.pem" }] },
    servers: { github: { url: "https://mcp.github.example.com/mcp", credential: [{ static: { file: "pat" } }] } },
  };
}

function load(tree: unknown, env: Record<string, string> = {}) {
  const file = join(folder, "mcp-authz.yaml");
  writeFileSync(file, typeof tree === "string" ? tree : stringify(tree));
  return loadConfig(file, env);
}

/** The keys and messages that a file is refused with. */
function problems(tree: unknown, env: Record<string, string> = {}): string {
  try {
    load(tree, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map((p) => `${p.key}: ${p.message}`).join("\n");
    throw error;
  }
  return "";
}

/** A good file with one value put at a path like "servers.github.url". */
function withValue(path: string, value: unknown): Tree {
  const tree = good();
  const parts = path.split(".");
  let node = tree;
  for (const part of parts.slice(0, -1)) node = (node[part] ??= {}) as Tree;
  node[parts.at(-1) ?? ""] = value;
  return tree;
}

it("a secret can be read anew where it came from, and stays where that is gone", () => {
  const path = join(folder, "rotated");
  const revealed = () => config.vault?.auth.token?.latest().reveal();
  writeFileSync(path, "first", { mode: 0o600 });
  const vault = { address: "https://vault.example.com", auth: { token: { file: "rotated" } } };
  const { config } = load({ ...good(), vault });
  expect(revealed()).toBe("first");
  writeFileSync(path, "second");
  expect(revealed()).toBe("second");
  writeFileSync(path, "");
  expect(revealed()).toBe("first");
  rmSync(path);
  expect(revealed()).toBe("first");
});

describe("a minimal file", () => {
  it("gets every default", () => {
    const { config, warnings } = load(good());
    expect(warnings).toEqual([]);
    expect(config).toMatchObject({
      denial: "jsonrpc",
      checkTimeoutMs: 800,
      drainMs: 10_000,
      listen: { authz: { kind: "tcp", host: "127.0.0.1", port: 9001 }, plaintext: false },
      audit: { file: null },
      wristband: { audience: "mcp-broker", header: "x-authorized-tools", ttlSeconds: 300 },
      clientAddress: "peer",
    });
    expect(config.policy.path).toBe(join(folder, "policies"));
    expect(config.servers["github"]?.credential[0]).toMatchObject({
      kind: "static",
      header: "authorization",
      scheme: "Bearer",
    });
  });

  it("D24: holds secrets so that printing does not show them", () => {
    const { config } = load(good());
    expect(`${inspect(config, { depth: 20 })}${JSON.stringify(config)}`).not.toContain("s3cret-canary");
    const entry = config.servers["github"]?.credential[0];
    expect(entry?.kind === "static" && entry.value.reveal()).toBe("s3cret-canary");
  });

  it("expands variables in scalars, and TB-06: names the key of an unset one", () => {
    expect(load(withValue("publicOrigin", "https://${HOST}"), { HOST: "x.example.com" }).config.publicOrigin).toBe(
      "https://x.example.com",
    );
    expect(problems(withValue("servers.github.url", "https://${NO_SUCH}/mcp"))).toBe(
      "servers.github.url: the variable NO_SUCH is not set",
    );
  });
});

describe("every problem names its key", () => {
  const server = "servers.github";
  const withHelp = (credentialHelp: unknown): Tree => {
    const { github } = good()["servers"] as { github: Tree };
    return { ...good(), servers: { github: { ...github, credentialHelp } } };
  };

  it.each([
    ["a link", "https://gw.example.com/connect?server=github"],
    ["a sentence", "Ask the helpdesk: they store your key, see https://wiki.example.com/keys"],
    ["other letters", "Bitte im Intranet unter «Schlüssel» hinterlegen."],
  ])("credentialHelp may be %s", (_, text) =>
    expect(load(withHelp(text)).config.servers["github"]?.credentialHelp).toBe(text),
  );

  it.each([
    ["nothing", ""],
    ["too long", "x".repeat(301)],
    ["a line break", "a\nb"],
    ["an escape of a terminal", "\u001b[2Jgone"],
    ["a direction character", "a\u202eb"],
    ["an invisible character", "a\u200bb"],
    ["a line separator", "a\u2028b"],
    ["plain http", "http://gw.example.com/connect"],
    ["a script", "javascript:alert(1)"],
    ["user info", "https://alice@gw.example.com/"],
    ["no text", { file: "help.txt" }],
  ])("credentialHelp is refused: %s", (_, text) =>
    expect(problems(withHelp(text))).toContain("servers.github.credentialHelp"),
  );

  it.each<[string, Tree | string, RegExp]>([
    ["unknown key", withValue("publicOrigins", 1), /^publicOrigins: is not a key of this file$/],
    ["Envoy listens on no name", withValue("envoy.listen", "localhost:8080"), /^envoy\.listen: localhost is a name/],
    ["nor for operators", withValue("envoy.opsListen", "gw.internal:1"), /^envoy\.opsListen: gw\.internal is a name/],
    ["nor twice on one", withValue("envoy.opsListen", "127.0.0.1:8080"), /^envoy\.opsListen: is the same/],
    ["nested unknown key", withValue("policy.pth", 1), /^policy\.pth: is not a key/],
    ["missing", { ...good(), publicOrigin: undefined }, /^publicOrigin: is required$/],
    [
      "A22: no audience",
      withValue("identity.issuers", [{ issuer: "https://i", audiences: [], algorithms: ["ES256"] }]),
      /audiences: name at least one/,
    ],
    [
      "A02: HS256",
      withValue("identity.issuers", [{ issuer: "https://i", audiences: ["a"], algorithms: ["HS256"] }]),
      /^identity\.issuers\[0\]\.algorithms\[0\]/,
    ],
    [
      "A38: plain http issuer",
      withValue("identity.issuers", [{ issuer: "http://idp", audiences: ["a"], algorithms: ["ES256"] }]),
      /allowHttp/,
    ],
    ...(["169.254.169.254", "2852039166", "[fd00:ec2::254]", "[::ffff:a9fe:a9fe]", "100.100.100.200"].map((host) => [
      `CF-36: a server at ${host}`,
      withValue(`${server}.url`, `https://${host}/mcp`),
      /^servers\.github\.url: is a link-local or metadata address/,
    ]) as [string, Tree, RegExp][]),
    [
      "CF-36: an issuer's keys at a metadata address",
      withValue("identity.issuers", [
        { issuer: "https://i", jwksUri: "https://[fe80::1]/k", audiences: ["a"], algorithms: ["ES256"] },
      ]),
      /^identity\.issuers\[0\]\.jwksUri: is a link-local/,
    ],
    [
      "CF-36: outgoing.allow",
      withValue("outgoing.allow", ["169.254.0.0/16"]),
      /^outgoing\.allow\[0\]: is a link-local/,
    ],
    [
      "CF-36: an allowed host at a metadata address",
      withValue("identity.issuers", [
        { issuer: "https://i", allowedHosts: ["k", "169.254.169.254"], audiences: ["a"], algorithms: ["ES256"] },
      ]),
      /^identity\.issuers\[0\]\.allowedHosts\[1\]: is a link-local/,
    ],
    ["CF-36: a range that is none", withValue("outgoing.allow", ["10.0.0.0/33"]), /^outgoing\.allow\[0\]: must be/],
    ["origin with a path", withValue("publicOrigin", "https://gw.example.com/"), /^publicOrigin: must be an origin/],
    ["upper-case origin", withValue("publicOrigin", "https://GW.example.com"), /^publicOrigin/],
    ["user info", withValue(`${server}.url`, "https://a:b@x/mcp"), /user info/],
    ["fragment", withValue(`${server}.url`, "https://x/mcp#a"), /fragment/],
    ["http upstream", withValue(`${server}.url`, "http://x.example.com/mcp"), /servers\.github\.url: plain http/],
    [
      "server name",
      { ...good(), servers: { Git_Hub: { url: "https://x/", credential: [{ none: {} }] } } },
      /a server name is/,
    ],
    ["no servers", { ...good(), servers: {} }, /servers: name at least one server/],
    ["servers left out", { ...good(), servers: undefined }, /servers: name at least one server/],
    [
      "servers beside mode: envoy",
      withValue("policy", { path: "policies", mode: "envoy" }),
      /policy\.mode: envoy decides no MCP calls/,
    ],
    [
      "P7.2-1: inline secret",
      withValue(`${server}.credential`, [
        { exchange: { tokenEndpoint: "https://x", client: { id: "a", secret: "inline" }, audience: "b" } },
      ]),
      /never the value itself/,
    ],
    [
      "two kinds in one entry",
      withValue(`${server}.credential`, [{ none: {}, static: { file: "pat" } }]),
      /exactly one of/,
    ],
    ["a CA without https", withValue("catalog", { caFile: "ca.pem" }), /^catalog\.caFile: needs an https catalog\.url/],
    [
      "a CA of serve's keys without https",
      withValue("wristband.caFile", "ca.pem"),
      /^wristband\.caFile: needs an https wristband\.jwksUrl, or tls\.ops/,
    ],
    [
      "a CA of a server without https",
      withValue("servers.s", { url: "http://127.0.0.1:1/mcp", caFile: "ca.pem", credential: [{ none: {} }] }),
      /^servers\.\w+\.caFile: needs an https servers/,
    ],
    [
      "a CA of an issuer without https",
      withValue("identity.issuers", [
        {
          issuer: "https://idp.example.com",
          audiences: ["a"],
          algorithms: ["ES256"],
          jwksUri: "http://127.0.0.1:1/jwks",
          caFile: "ca.pem",
        },
      ]),
      /^identity\.issuers\[0\]\.caFile: needs an https identity\.issuers\[0\]\.jwksUri/,
    ],
    ...["https:idp.example.com/jwks", "https:\\\\idp.example.com/jwks", "https://idp.example.com\\a/jwks"].flatMap(
      (jwks): [string, string | Tree, RegExp][] => {
        const issuer = { issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"], jwksUri: jwks };
        return [
          [`keys of an issuer at ${jwks}`, withValue("identity.issuers", [issuer]), /jwksUri: must be scheme:\/\/host/],
          [`our keys at ${jwks}`, withValue("wristband.jwksUrl", jwks), /jwksUrl: must be scheme:\/\/host/],
        ];
      },
    ),
    ["empty chain", withValue(`${server}.credential`, []), /empty chain/],
    [
      "missing secret file",
      withValue(`${server}.credential`, [{ static: { file: "nope" } }]),
      /nope cannot be read \(ENOENT\)/,
    ],
    ["empty secret file", withValue(`${server}.credential`, [{ static: { file: "empty" } }]), /is empty/],
    [
      "credential in a routing header",
      withValue(`${server}.credential`, [{ static: { file: "pat", header: "host" } }]),
      /cannot carry a credential/,
    ],
    ...["x-upstream-header", "mcp-name", "content-type", "accept", "traceparent"].map(
      (header): [string, string | Tree, RegExp] => [
        `credential in ${header}, which the relay writes`,
        withValue(`${server}.credential`, [{ static: { file: "pat", header } }]),
        /cannot carry a credential/,
      ],
    ),
    [
      "vault without vault",
      withValue(`${server}.credential`, [{ vault: { mount: "secret", path: "{subject}" } }]),
      /needs the key vault/,
    ],
    ["public listener", withValue("listen", { authz: "0.0.0.0:9001" }), /^listen\.authz: 0\.0\.0\.0 is not loopback/],
    ["listener address", withValue("listen", { ops: "9002" }), /^listen\.ops: must be/],
    ["wristband header", withValue("wristband.header", "authorization"), /^wristband\.header/],
    [
      "C27: a wristband in a header that the relay hands on",
      withValue("wristband.header", "mcp-wristband"),
      /^wristband\.header: .* reaches the servers/,
    ],
    ["a route in a header that the relay hands on", withValue("routeHeader", "mcp-route"), /^routeHeader: .* reaches/],
    [
      "a credential in routeHeader",
      { ...withValue(`${server}.credential`, [{ static: { file: "pat", header: "x-key" } }]), routeHeader: "x-key" },
      /x-key cannot carry a credential/,
    ],
    [
      "C11: a query that Envoy would not send",
      withValue(`${server}.url`, "https://mcp.github.example.com/mcp?tenant=a"),
      /^servers\.github\.url: .* callRouting: broker/,
    ],
    [
      "B23: a header for policy that nobody compares with the body",
      withValue("policy.headers", ["mcp-param-region"]),
      /^policy\.headers: .* input\.mcp\.arguments/,
    ],
    ["underscore header", withValue("routeHeader", "x_route"), /^routeHeader: must not hold/],
    ["N-10: offline_access", withValue("challenge", { scopes: ["offline_access"] }), /offline_access/],
    [
      "client SANs without CA",
      withValue("tls", { authz: { certFile: "a", keyFile: "b", clientSans: ["x"] } }),
      /needs tls\.authz\.clientCaFile/,
    ],
    ["duplicate YAML key", "publicOrigin: a\npublicOrigin: b\n", /is not YAML/],
    ["not a mapping", "- a\n", /\(file\)/],
  ])("%s", (_, tree, expected) => expect(problems(tree)).toMatch(expected));

  it("tells all problems in one run", () => {
    expect(problems({ ...good(), publicOrigin: 3, x: 1, denial: "maybe" }).split("\n")).toHaveLength(3);
  });

  it("B18: a prefix that begins another one is refused", () => {
    const two = (a: string | undefined, b: string) => ({
      ...good(),
      servers: {
        a: { url: "https://a/mcp", ...(a !== undefined && { prefix: a }), credential: [{ none: {} }] },
        b: { url: "https://b/mcp", prefix: b, credential: [{ none: {} }] },
      },
    });
    expect(problems(two(undefined, "a_b_"))).toMatch(/^servers\.b\.prefix: "a_b_" begins with "a_", the prefix of a/);
    expect(problems(two("x_", "x_"))).toMatch(/servers\.b\.prefix/);
    expect(problems(two("x_", "y_"))).toBe("");
  });

  describe("vault", () => {
    const issuer = { issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] };
    const tree = (entry: Tree = {}, vault: Tree = {}, issuers: Tree[] = [{}]): Tree => ({
      ...withValue(`${server}.credential`, [{ vault: { mount: "secret", path: "{username}/{host}", ...entry } }]),
      vault: {
        address: "https://vault.example.com",
        auth: { approle: { roleId: { file: "pat" }, secretId: { file: "pat" } } },
        ...vault,
      },
      identity: { issuers: issuers.map((more, i) => ({ ...issuer, issuer: `https://idp${i}.example.com`, ...more })) },
    });
    const at = "servers\\.github\\.credential\\[0\\]\\.vault";
    it.each<[string, Tree, RegExp]>([
      ["an unknown placeholder", tree({ path: "{user}/x" }), new RegExp(`^${at}\\.path: \\{user\\} is not known`)],
      ["M10: a path that climbs", tree({ path: "{username}/../x" }), new RegExp(`^${at}\\.path: ".."`)],
      ["a placeholder beside text", tree({ path: "mcp-{username}" }), /a placeholder is a whole segment/],
      ["a slash at the end", tree({ path: "{username}/" }), /must not begin or end/],
      ["M10: a mount that climbs", tree({ mount: "../sys" }), new RegExp(`^${at}\\.mount: must be segments`)],
      ["G02: a mount of the Vault's own", tree({ mount: "sys/raw" }), /sys belongs to the Vault itself/],
      ["G13: a namespace that climbs", tree({}, { namespace: "team/.." }), /^vault\.namespace: must be segments/],
      ["an address with a path", tree({}, { address: "https://vault/v1" }), /^vault\.address: must be an origin/],
      ["G20: plain http", tree({}, { address: "http://vault.example.com" }), /^vault\.address: plain http/],
      ["P7.2-1: an inline token", tree({}, { auth: { token: "s.x" } }), /never the value itself/],
      ["two ways to log in", tree({}, { auth: { token: { file: "pat" }, approle: {} } }), /vault\.auth/],
      ...["jwt", "oidc", "cert", "plugin"].map((name): [string, Tree, RegExp] => [
        `G14, G15: ${name}, by which a Vault may be shown other tokens`,
        tree({}, { auth: { [name]: { mount: name, role: "default" } } }),
        new RegExp(`^vault\\.auth\\.${name}: is no way to log in: there are approle, kubernetes and token$`, "m"),
      ]),
      [
        "G14: another one beside approle",
        tree({}, { auth: { jwt: {}, token: { file: "pat" } } }),
        /^vault\.auth\.jwt: is no/m,
      ],
      ["a token that is no header", tree({}, { auth: { token: { file: "lines" } } }), /^vault\.auth\.token: is not a/],
      ["an owner of a dynamic secret", tree({ dynamic: {}, requireOwner: true }), /requireOwner: is for entries of KV/],
      [
        "a dynamic secret by the caller's own log-in",
        tree({ dynamic: {}, asCaller: true }, { callerLogin: { role: "r" } }),
        /asCaller: cannot be with dynamic/,
      ],
      ["a role by a name that two can have", tree({ dynamic: {} }, {}, [{}, {}]), /use \{issuerAlias\} in the path/],
      ["no time for a dynamic secret", tree({ dynamic: { idleSeconds: 0 } }), /dynamic\.idleSeconds/],
      ["an alias in capitals", tree({}, {}, [{ alias: "Acme" }]), /issuers\[0\]\.alias: must be 1 to 63/],
      [
        "one alias for two",
        tree({ requireOwner: true }, {}, [{ alias: "a" }, { alias: "a" }]),
        /issuers\[1\]\.alias: is/,
      ],
      ["no alias where it is used", tree({ path: "{issuerAlias}/{subject}" }), /issuers\[0\]\.alias: is required/],
      [
        "a host that is no segment",
        {
          ...tree(),
          servers: {
            x: { url: "https://[::1]/mcp", credential: [{ vault: { mount: "secret", path: "{username}/{host}" } }] },
          },
        },
        /\{host\} would be "\[::1\]", which cannot be part of a path: use \{server\}/,
      ],
    ])("%s", (_, file, expected) => expect(problems(file)).toMatch(expected));

    const warnings = (file: Tree) => load(file).warnings.map(({ key, message }) => `${key}: ${message}`);
    it("a good one, and what it warns of", () => {
      const path = "{issuerAlias}/{subject}/{host}";
      expect(warnings(tree({ path }, {}, [{ alias: "a" }, { alias: "b" }]))).toEqual([
        expect.stringContaining("servers.github.discovery"),
      ]);
      expect(warnings(tree())).toContainEqual(expect.stringContaining("{username} comes from a claim"));
      expect(warnings(tree({ path: "shared/{host}" }))).toContainEqual(expect.stringContaining("names no caller"));
      expect(warnings(tree({ path: "creds/app", dynamic: {} }, {}, [{}, {}]))).toEqual([
        expect.stringContaining("servers.github.discovery"),
      ]);
      expect(warnings(tree({}, { timeoutMs: 900 }))).toContainEqual(expect.stringMatching(/^vault\.timeoutMs/));
    });
    it("P2.4-7: warns of a token that somebody made", () => {
      expect(warnings(tree({}, { auth: { token: { file: "pat" } } }))).toContainEqual(
        expect.stringMatching(/^vault\.auth\.token: .* use approle/),
      );
    });
  });

  it("several issuers need an owner for names in Vault", () => {
    const issuer = { issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] };
    const tree = {
      ...withValue(`${server}.credential`, [{ vault: { mount: "secret", path: "{username}/{host}" } }]),
      vault: { address: "https://vault", auth: { token: { file: "pat" } } },
      identity: { issuers: [issuer, { ...issuer, issuer: "https://other.example.com" }] },
    };
    expect(problems(tree)).toMatch(/requireOwner: true/);
  });
});

it("P7: warns where a server reads other bytes than policy", () => {
  const told = (tree: Tree) => load(tree).warnings.map(({ key }) => key);
  expect(told(withValue("acceptTextBody", true))).toEqual(["servers.github.callRouting"]);
  expect(told({ ...withValue("acceptTextBody", true), callRouting: "broker" })).toEqual([]);
});

it("the relay sends the query of a server's URL", () => {
  const url = "https://mcp.github.example.com/mcp?tenant=a";
  expect(problems({ ...withValue("servers.github.url", url), callRouting: "broker" })).toBe("");
});

it("passthrough is for direct calls alone", () => {
  expect(problems(withValue("servers.github.passthrough", true))).toBe("");
  const relayed = { ...withValue("servers.github.passthrough", true), callRouting: "broker" };
  expect(problems(relayed)).toContain("servers.github.passthrough: is for direct calls");
});

it("calls are relayed unless the file says otherwise", () => {
  const { config } = load(withValue("callRouting", undefined));
  expect([config.callRouting, config.servers["github"]?.callRouting]).toEqual(["broker", null]);
});

it("Q07: warns of a secret that everybody can read", () => {
  expect(load(withValue("servers.github.credential", [{ static: { file: "open" } }])).warnings[0]?.message).toContain(
    "chmod 600",
  );
});

it("F07, Q07: warns of a private key that everybody can read, and of none that is not there yet", () => {
  const tree = (file: string) => ({
    ...withValue("wristband.keys", [{ kid: "k1", file }]),
    tls: { ops: { certFile: "cert.pem", keyFile: file } },
  });
  const opened = load(tree("open")).warnings.map(({ key }) => key);
  expect(opened.filter((key) => key === join(folder, "open"))).toHaveLength(2);
  expect(load(tree("pat")).warnings).toEqual(load(tree("none.pem")).warnings);
});

it("says so when the file is not there", () => {
  expect(() => loadConfig(join(folder, "none.yaml"), {})).toThrow(
    /cannot be read \(ENOENT\); name it with --config or MCP_AUTHZ_CONFIG/,
  );
});
