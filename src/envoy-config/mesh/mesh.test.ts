import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parse, parseAllDocuments, stringify } from "yaml";
import { loadConfig } from "../../config/load.ts";
import { MESH_NAMES, meshManifests, type MeshName } from "./mesh.ts";
import { gatewayDuration, type MeshOptions } from "./placement.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-mesh-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ADDRESSES = {
  authzAddress: "mcp-authz.mcp-system.svc.cluster.local:9001",
  brokerAddress: "mcp-broker.mcp-system.svc.cluster.local:9003",
};

function printed(
  mesh: MeshName,
  more: Readonly<Record<string, unknown>> = {},
  { namespace = null, ...options }: Partial<MeshOptions> = {},
) {
  const file = join(folder, "mcp-authz.yaml");
  const tree = {
    publicOrigin: "https://gw.example.com",
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "w.pem" }] },
    servers: { s: { url: "https://s.example.com/mcp", credential: [{ none: {} }] } },
  };
  const limits = { bodyBytes: 60_000 };
  writeFileSync(
    file,
    stringify({ ...tree, limits, ...more, envoy: { ...ADDRESSES, ...(more["envoy"] as object | undefined) } }),
  );
  return meshManifests(loadConfig(file, {}).config, mesh, { namespace, ...options });
}

const documents = (text: string | null) =>
  parseAllDocuments(text ?? "").map((one) => one.toJS() as { kind: string; metadata: object; spec: object });
const kinds = (text: string | null) => documents(text).map(({ kind }) => kind);
const keys = (mesh: MeshName, more: Readonly<Record<string, unknown>>) =>
  printed(mesh, more).problems.map(({ key }) => key);

describe.each(MESH_NAMES)("%s", (mesh) => {
  it("prints manifests, without problem and warning", () => {
    const { text, problems, warnings } = printed(mesh);
    expect([problems, warnings]).toEqual([[], []]);
    expect(kinds(text)).toContain("HTTPRoute");
    expect(text).toContain("gw.example.com");
  });

  it.each<[string, Readonly<Record<string, unknown>>, string[]]>([
    ["direct routing of all", { callRouting: "direct" }, ["callRouting"]],
    [
      "direct routing of one server",
      { servers: { s: { url: "https://s.example.com/mcp", callRouting: "direct", credential: [{ none: {} }] } } },
      ["servers.s.callRouting"],
    ],
    ["an address as origin", { publicOrigin: "http://127.0.0.1:8080" }, ["publicOrigin"]],
    ["an address among hosts", { hosts: ["10.0.0.1"] }, ["hosts"]],
    ["an IPv6 address among hosts", { hosts: ["[::1]"] }, ["hosts"]],
    ["seventeen hosts", { hosts: Array.from({ length: 16 }, (_, i) => `h${i}.example.com`) }, ["hosts"]],
    ["a socket of serve", { envoy: { authzAddress: "unix:run/a.sock" } }, ["envoy.authzAddress"]],
    ["no address of the broker", { envoy: { brokerAddress: null } }, ["envoy.brokerAddress"]],
    ["a gateway on a socket", { envoy: { listen: "unix:run/g.sock" } }, ["envoy.listen"]],
    [
      "a certificate by address",
      { envoy: { tls: { authz: { caFile: "ca.pem", serverName: "10.0.0.1" } } } },
      ["envoy.tls.authz.serverName"],
    ],
  ])("names the key of what it cannot say: %s", (_, more, expected) => {
    expect(keys(mesh, more)).toEqual(expected);
    expect(printed(mesh, more).text).toBeNull();
  });

  it("tells all problems at once", () => {
    expect(keys(mesh, { callRouting: "direct", hosts: ["10.0.0.1"], envoy: { authzAddress: null } })).toEqual([
      "callRouting",
      "hosts",
      "envoy.authzAddress",
    ]);
  });

  it("warns of accepted text", () =>
    expect(printed(mesh, { acceptTextBody: true }).warnings.map(({ key }) => key)).toEqual(["acceptTextBody"]));

  it("puts everything of ours into the namespace", () => {
    for (const { kind, metadata } of documents(printed(mesh, {}, { namespace: "edge" }).text)) {
      if (kind === "GatewayClass") continue;
      const isAtService = ["ReferenceGrant", "BackendTLSPolicy"].includes(kind);
      expect({ kind, ...metadata }).toMatchObject({ kind, namespace: isAtService ? "mcp-system" : "edge" });
    }
  });

  it("follows the keys: no default is printed where each has another value", () => {
    const more = {
      wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "w.pem" }], header: "x-mine" },
      limits: { bodyBytes: 50_000 },
      envoy: { listen: "0.0.0.0:8443", maxStreamSeconds: 60 },
    };
    const { text } = printed(mesh, more);
    expect(text).not.toMatch(/x-authorized-tools|\b8080\b|900s|15m|262144/);
    expect(text).toMatch(/x-mine/);
    expect(text).toMatch(/\b50000\b/);
  });
});

describe("Envoy Gateway: names of headers that are removed before routing", () => {
  const servers = (count: number) => {
    writeFileSync(join(folder, "secret"), "x", { mode: 0o600 });
    const credential = (i: number) => [{ static: { file: "secret", header: `x-key-${i}` } }];
    const server = (i: number) => ({ url: "https://s.example.com/mcp", prefix: `p${i}x_`, credential: credential(i) });
    return Object.fromEntries(Array.from({ length: count }, (_, i) => [`s${i}`, server(i)]));
  };
  const early = (text: string | null) => {
    const policy = documents(text).find(({ kind }) => kind === "ClientTrafficPolicy")?.spec as {
      headers: { earlyRequestHeaders: { remove: string[]; removeOnMatch: { type: string; value: string }[] } };
    };
    return policy.headers.earlyRequestHeaders;
  };

  it("more than one list takes go on in the other", () => {
    const { remove, removeOnMatch } = early(printed("envoy-gateway", { servers: servers(60) }).text);
    const exact = removeOnMatch.flatMap(({ type, value }) => (type === "Exact" ? [value] : []));
    expect(remove).toHaveLength(64);
    expect(removeOnMatch).toContainEqual({ type: "Prefix", value: "x-envoy-" });
    for (let i = 0; i < 60; i += 1) expect([...remove, ...exact]).toContain(`x-key-${i}`);
  });

  it("more than both take are a problem", () => {
    const { text, problems } = printed("envoy-gateway", { servers: servers(120) });
    expect([text, problems.map(({ key }) => key)]).toEqual([null, ["servers"]]);
  });
});

it.each(["envoy-gateway", "istio"] as const)("%s: loopback is warned of", (mesh) => {
  const { warnings } = printed(mesh, { envoy: { authzAddress: "127.0.0.1:9001" } });
  expect(warnings.map(({ key }) => key)).toEqual(["envoy.authzAddress"]);
});

describe("Istio", () => {
  const specOf = (text: string | null, kind: string) => documents(text).find((one) => one.kind === kind)?.spec;

  it("MeshConfig names serve: fail closed, 503, bytes, a time limit", () => {
    const { meshConfig } = printed("istio");
    const service = "mcp-authz.mcp-system.svc.cluster.local";
    expect(parse(meshConfig ?? "")).toMatchObject({
      extensionProviders: [
        {
          name: "mcp-authz",
          envoyExtAuthzGrpc: {
            ...{ service, port: 9001, failOpen: false, statusOnError: "503", timeout: "1.2s" },
            includeRequestBodyInCheck: { allowPartialMessage: false, packAsBytes: true },
          },
        },
        { name: "mcp-access-log" },
      ],
    });
  });

  it("every request is asked about", () => {
    const { text } = printed("istio");
    expect(specOf(text, "AuthorizationPolicy")).toMatchObject({ action: "CUSTOM", rules: [{}] });
  });

  it("a gateway that is there is chosen by the label of its pods, with Istio's own kinds", () => {
    const selector = { key: "istio", value: "ingressgateway" };
    const { text } = printed("istio", {}, { namespace: "istio-ingress", selector });
    const label = { istio: "ingressgateway" };
    expect(kinds(text)).not.toContain("HTTPRoute");
    expect(specOf(text, "Gateway")).toMatchObject({ selector: label });
    expect(specOf(text, "VirtualService")).toMatchObject({ http: [{ retries: { attempts: 0 } }] });
    expect(specOf(text, "AuthorizationPolicy")).toMatchObject({ selector: { matchLabels: label } });
    expect(specOf(text, "EnvoyFilter")).toMatchObject({ workloadSelector: { labels: label } });
  });

  it("a short name is a problem there", () => {
    const options = { namespace: "istio-ingress", selector: { key: "istio", value: "ingressgateway" } };
    const more = { publicOrigin: "http://localhost:8080", hosts: ["mcp", "gw.example.com"] };
    expect(printed("istio", more, options).problems.map(({ key }) => key)).toEqual(["publicOrigin", "hosts"]);
    expect(printed("istio", more).problems).toEqual([]);
  });

  it("certificates of clients are a problem", () => {
    const listen = { certFile: "g.pem", keyFile: "g.key", clientCaFile: "ca.pem" };
    expect(keys("istio", { envoy: { tls: { listen } } })).toEqual(["envoy.tls.listen.clientCaFile"]);
  });
});

describe("Kubernetes", () => {
  it("each request is asked about, with its body and all its headers", () => {
    const { text } = printed("kubernetes");
    const spec = documents(text).find(({ kind }) => kind === "HTTPRoute")?.spec as { rules: { filters: object[] }[] };
    const backendRef = { kind: "Service", name: "mcp-authz", namespace: "mcp-system", port: 9001 };
    const externalAuth = {
      protocol: "GRPC",
      backendRef,
      grpc: { allowedHeaders: [] },
      forwardBody: { maxSize: 60_000 },
    };
    expect(spec.rules).toHaveLength(1);
    expect(spec.rules[0]?.filters[0]).toMatchObject({ type: "ExternalAuth", externalAuth });
  });

  it.each<[string, Readonly<Record<string, unknown>>]>([
    ["limits.bodyBytes", { limits: { bodyBytes: 65_536 } }],
    ["envoy.trustedHops", { envoy: { trustedHops: 1 } }],
    ["envoy.authzAddress", { envoy: { authzAddress: "10.0.0.7:9001" } }],
    ["envoy.brokerAddress", { envoy: { brokerAddress: "broker.example.com:9003" } }],
  ])("%s is a problem where Gateway API cannot say it", (key, more) => expect(keys("kubernetes", more)).toEqual([key]));
});

it.each([
  [0, "0s"],
  [800, "800ms"],
  [1200, "1s200ms"],
  [900_000, "15m"],
  [3_600_000, "1h"],
  [100_000_000, "27h46m40s"],
])("%i ms is %s", (ms, text) => expect(gatewayDuration(ms)).toBe(text));
