// `mcp-authz lint-envoy` as a command, on dumps as Envoys of Istio and Envoy Gateway show them: exit codes, a sentence and a fix.
// The shapes are those that istiod and Envoy Gateway gave in the lab (docs/mesh); what is printed stands in them.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { COMMANDS } from "../../src/cli/commands.ts";
import { runMain } from "../../src/cli/command.ts";
import { loadConfig } from "../../src/config/load.ts";
import { envoyConfig } from "../../src/envoy-config/envoy-config.ts";
import { authzOf, DUMP_FORMS, listenerOf, managerOf, nodes, routesOf, type Root } from "../fakes/envoy-dump.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-lint-meshes-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const configFile = join(folder, "mcp-authz.yaml");
const pair = { certFile: "cert.pem", keyFile: "key.pem" };
writeFileSync(
  configFile,
  stringify({
    publicOrigin: "https://gw.example.com",
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k", file: "w.pem" }] },
    envoy: {
      ...{ listen: "0.0.0.0:8443", authzAddress: "authz.mcp.svc:9001", brokerAddress: "broker.mcp.svc:9003" },
      tls: {
        listen: pair,
        authz: { ...pair, caFile: "ca.pem", serverName: "authz.mcp.svc" },
        broker: { ...pair, caFile: "ca.pem", serverName: "broker.mcp.svc" },
      },
    },
    servers: { tickets: { url: "https://tickets.example.com/mcp", credential: [{ none: {} }] } },
  }),
);
const printed = () => structuredClone(envoyConfig(loadConfig(configFile, {}).config)) as Root;

/** Under another name, wherever a cluster is named. */
function renamed(root: Root, names: Readonly<Record<string, string>>): Root {
  const clusters = /"(name|cluster|cluster_name)":"(mcp_authz|mcp_broker)"/g;
  const text = JSON.stringify(root).replaceAll(clusters, (_, key: string, name: string) => {
    return `"${key}":"${names[name] ?? name}"`;
  });
  return JSON.parse(text) as Root;
}

type Edit = (root: Root) => void;

const RBAC = "envoy.filters.http.rbac";
const SHADOW = "istio_ext_authz_";

/** A CUSTOM AuthorizationPolicy: a shadow policy marks the requests, and ext_authz asks about those that are marked. */
function istio(permissions: readonly object[], edit: Edit = () => {}): Root {
  const root = renamed(printed(), {
    mcp_authz: "outbound|9001||authz.mcp.svc.cluster.local",
    mcp_broker: "outbound|9003||broker.mcp.svc.cluster.local",
  });
  const name = "istio-ext-authz-mcp-authz-ns[edge]-policy[mcp]-rule[0]";
  const policies = { [name]: { permissions, principals: [{ and_ids: { ids: [{ any: true }] } }] } };
  const filters = nodes(managerOf(root), "http_filters");
  const at = filters.findIndex((filter) => filter["name"] === "envoy.filters.http.ext_authz");
  filters.splice(at, 0, {
    name: RBAC,
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
      shadow_rules: { action: "DENY", policies },
      shadow_rules_stat_prefix: SHADOW,
    },
  });
  authzOf(root)["filter_enabled_metadata"] = {
    filter: RBAC,
    path: [{ key: `${SHADOW}shadow_effective_policy_id` }],
    value: { string_match: { prefix: "istio-ext-authz-mcp-authz" } },
  };
  edit(root);
  listenerOf(root)["name"] = "0.0.0.0_8443";
  return root;
}

const ALL = [{ and_rules: { rules: [{ any: true }] } }];
const PATHS = [{ and_rules: { rules: [{ or_rules: { rules: [{ url_path: { path: { exact: "/mcp" } } }] } }] } }];

function envoyGateway(edit: Edit = () => {}): Root {
  const root = renamed(printed(), {
    mcp_authz: "securitypolicy/edge/mcp-authz/extauth/0",
    mcp_broker: "httproute/edge/mcp-broker/rule/0",
  });
  edit(root);
  listenerOf(root)["name"] = "edge/gateway/https";
  return root;
}

/** As istiod makes it without our EnvoyFilter. */
function withoutFilter(root: Root): void {
  for (const key of ["clear_route_cache", "validate_mutations", "encode_raw_headers"]) delete authzOf(root)[key];
  for (const route of routesOf(root)) {
    const action = route["route"] as Root | undefined;
    if (action !== undefined)
      action["retry_policy"] = { retry_on: "connect-failure,refused-stream,unavailable,cancelled", num_retries: 2 };
  }
}

/** ext_authz as the reference implementation of XAccessPolicy makes it (docs/mesh/kubernetes.md). */
function accessPolicy(root: Root): void {
  const check = authzOf(root);
  const { grpc_service: service, transport_api_version } = check;
  for (const key of Object.keys(check)) if (key !== "@type") delete check[key];
  const { envoy_grpc } = service as Root;
  Object.assign(check, {
    ...{ grpc_service: { envoy_grpc }, transport_api_version },
    with_request_body: { max_request_bytes: 65_535, allow_partial_message: true },
    filter_enabled_metadata: {
      filter: RBAC,
      path: [{ key: "access_policy_ext_authz_1_shadow_effective_policy_id" }],
      value: { present_match: true },
    },
  });
}

const ACCESS_POLICY = [
  ...["check-conditional", "body-partial", "body-as-text", "body-limit-large", "validate-mutations"],
  ...["raw-headers", "status-on-error", "clear-route-cache", "check-timeout"],
];

let out: string[];
let err: string[];
beforeEach(() => {
  [out, err] = [[], []];
  vi.spyOn(console, "log").mockImplementation((text) => void out.push(String(text)));
  vi.spyOn(console, "error").mockImplementation((text) => void err.push(String(text)));
});
afterEach(() => vi.restoreAllMocks());

async function lint(dump: Root | string, ...more: readonly string[]) {
  const file = join(folder, "config_dump.json");
  writeFileSync(file, typeof dump === "string" ? dump : JSON.stringify(dump));
  const code = await runMain(COMMANDS, ["lint-envoy", file, ...more]);
  return { code, out: out.join("\n"), err: err.join("\n") };
}

interface Found {
  readonly findings: readonly { readonly rule: string; readonly message: string; readonly fix: string }[];
}

describe.each(["a dump of static resources", "a dump of xDS"])("%s", (form) => {
  const shown = (root: Root) => DUMP_FORMS[form]?.(root) ?? root;

  it.each<[string, () => Root]>([
    ["Istio", () => istio(ALL)],
    ["Envoy Gateway", () => envoyGateway()],
  ])("%s: nothing is found, exit code 0", async (_, root) => {
    for (const config of [[], ["--config", configFile]]) {
      const { code, out: said } = await lint(shown(root()), ...config);
      expect({ code, said }).toMatchObject({ code: 0, said: expect.stringMatching(/^ok: /) as string });
      out.length = 0;
    }
  });

  it.each<[string, () => Root, readonly string[]]>([
    ["XAccessPolicy", () => envoyGateway(accessPolicy), ACCESS_POLICY],
    ["Istio, a rule with paths", () => istio(PATHS), ["check-conditional"]],
    [
      "Istio, without the EnvoyFilter",
      () => istio(ALL, withoutFilter),
      ["validate-mutations", "raw-headers", "clear-route-cache", "retries"],
    ],
    [
      "Envoy Gateway, failOpen",
      () => envoyGateway((root) => (authzOf(root)["failure_mode_allow"] = true)),
      ["failure-mode-allow"],
    ],
  ])("%s: exit code 1, a sentence and a fix each", async (_, root, rules) => {
    const { code, out: said } = await lint(shown(root()), "--format", "json");
    const { findings } = JSON.parse(said) as Found;
    expect(code).toBe(1);
    expect([...new Set(findings.map(({ rule }) => rule))]).toEqual(rules);
    for (const { message, fix } of findings) {
      expect(message).toMatch(/\.$/);
      expect(fix).toMatch(/\.$|\)$/);
    }
    out.length = 0;
    const text = await lint(shown(root()));
    expect(text.code).toBe(1);
    for (const { rule, message, fix } of findings)
      for (const part of [rule, message, fix]) expect(text.out).toContain(part);
  });
});

it.each<[string, string, readonly string[], RegExp]>([
  ["no JSON", '{"configs": [', [], /not JSON/],
  ["another object", "{}", [], /config_dump\.json: .+/],
  ["a format that is none", "{}", ["--format", "xml"], /--format is text or json/],
  ["a configuration that is not there", "{}", ["--config", "none.yaml"], /none\.yaml/],
])("%s: exit code 2 and a sentence", async (_, dump, more, says) => {
  const { code, out: said, err: told } = await lint(dump, ...more);
  expect({ code, said }).toEqual({ code: 2, said: "" });
  expect(told).toMatch(says);
});
