// What `envoy-config --for MESH` prints, held to the schemas of its kinds, which the Go modules bring that the data planes are
// built from. Strict: no field that a schema does not know. Rules in CEL are for an API server.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Ajv, type AnySchemaObject } from "ajv";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parseAllDocuments, stringify } from "yaml";
import { loadConfig } from "../../src/config/load.ts";
import { meshManifests, type MeshName } from "../../src/envoy-config/mesh/mesh.ts";
import type { MeshOptions } from "../../src/envoy-config/mesh/placement.ts";

const TOOLS = resolve(import.meta.dirname, "../../tools/go");
const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-manifests-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Folder of a module that a tool is built from; null where Go, or the module, is not here. */
function moduleOf(tool: string, module: string): string | null {
  const args = ["list", "-C", join(TOOLS, tool), "-mod=readonly", "-m", "-f", "{{.Dir}}", module];
  const env = { ...process.env, GOPROXY: "off", GOFLAGS: "" };
  const path = spawnSync("go", args, { encoding: "utf8", env }).stdout?.trim() ?? "";
  return path !== "" && existsSync(path) ? path : null;
}

const yamlIn = (path: string) => readdirSync(path).map((name) => join(path, name));
const gatewayApi = moduleOf("envoy-gateway", "sigs.k8s.io/gateway-api");
const envoyGateway = moduleOf("envoy-gateway", "github.com/envoyproxy/gateway");
const istio = moduleOf("istiod-files", "istio.io/istio");
const FILES = [
  ...(gatewayApi === null ? [] : yamlIn(join(gatewayApi, "config/crd/experimental"))),
  ...(envoyGateway === null ? [] : yamlIn(join(envoyGateway, "charts/gateway-crds-helm/templates/generated"))),
  ...(istio === null ? [] : [join(istio, "manifests/charts/base/files/crd-all.gen.yaml")]),
].filter((name) => name.endsWith(".yaml"));

interface Definition {
  readonly kind: string;
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly { readonly name: string; readonly schema: { readonly openAPIV3Schema: object } }[];
  };
}

function definitions(): Map<string, object> {
  const found = new Map<string, object>();
  for (const file of FILES) {
    const text = readFileSync(file, "utf8").replaceAll(/^\{\{.*\}\}\s*$/gm, ""); // of charts
    for (const document of parseAllDocuments(text)) {
      const { kind, spec } = (document.toJS() ?? {}) as Definition;
      if (kind !== "CustomResourceDefinition") continue;
      for (const { name, schema } of spec.versions)
        found.set(`${spec.group}/${name} ${spec.names.kind}`, schema.openAPIV3Schema);
    }
  }
  return found;
}

/** The schema as the API server reads it with `--validate=strict`. */
function strict(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(strict);
  if (typeof schema !== "object" || schema === null) return schema;
  const own = schema as Record<string, unknown>;
  if (own["x-kubernetes-int-or-string"] === true) return {};
  const entries = Object.entries(own).map(([key, value]) => [key, key === "default" ? value : strict(value)]);
  const isClosed =
    own["type"] === "object" && own["properties"] !== undefined && own["additionalProperties"] === undefined;
  const isOpen = own["x-kubernetes-preserve-unknown-fields"] === true;
  return { ...Object.fromEntries(entries), ...(isClosed && !isOpen && { additionalProperties: false }) };
}

const tls = { caFile: "ca.pem", serverName: "authz.example.com", certFile: "own.pem", keyFile: "own.key" };
const services = {
  authzAddress: "mcp-authz.mcp-system.svc.cluster.local:9001",
  brokerAddress: "mcp-broker.mcp-system.svc.cluster.local:9003",
};
const ENVOYS: Readonly<Record<string, object>> = {
  Services: services,
  "Services with TLS": {
    ...services,
    listen: "0.0.0.0:443",
    tls: { listen: { certFile: "g.pem", keyFile: "g.key" }, authz: tls, broker: tls },
  },
  addresses: { authzAddress: "10.1.2.3:9001", brokerAddress: "broker.example.com:9003", trustedHops: 2 },
};
const own = { namespace: "istio-ingress", selector: { key: "istio", value: "ingressgateway" } };
const CASES: readonly (readonly [string, MeshName, MeshOptions, boolean])[] = [
  ["Envoy Gateway", "envoy-gateway", { namespace: "edge" }, envoyGateway !== null && gatewayApi !== null],
  ["Istio by Gateway API", "istio", { namespace: "edge" }, istio !== null && gatewayApi !== null],
  ["Istio's own kinds", "istio", own, istio !== null],
  ["Kubernetes", "kubernetes", { namespace: "edge" }, gatewayApi !== null],
];
const ROWS = CASES.flatMap(([title, mesh, options, isHere]) =>
  Object.keys(ENVOYS).map((name) => [`${title}, ${name}`, mesh, name, options, isHere] as const),
).filter(([, mesh, name]) => mesh !== "kubernetes" || name !== "addresses"); // Gateway API takes Services alone

let known: ReadonlyMap<string, object>;
beforeAll(() => {
  known = definitions();
});

/** What is wrong with a manifest. */
function faultsOf(manifest: { readonly apiVersion: string; readonly kind: string }): readonly unknown[] {
  const found = known.get(`${manifest.apiVersion} ${manifest.kind}`);
  if (found === undefined) return ["no schema"];
  const schema = strict(found) as AnySchemaObject;
  const validate = ajv.compile({
    ...schema,
    properties: { ...schema["properties"], apiVersion: {}, kind: {}, metadata: {} },
  });
  validate(manifest);
  return validate.errors ?? [];
}

it.skipIf(gatewayApi === null)("a field that no schema knows, and a value that it does not take, are noticed", () => {
  const route = (spec: object) => ({ apiVersion: "gateway.networking.k8s.io/v1", kind: "HTTPRoute", spec });
  expect(faultsOf(route({ hostnames: ["a.example.com"] }))).toEqual([]);
  expect(faultsOf(route({ hostname: ["a.example.com"] }))).not.toEqual([]);
  expect(faultsOf(route({ hostnames: ["_"] }))).not.toEqual([]);
});

it.for(ROWS)("%s, as --for %s prints it, is valid", ([, mesh, name, options, isHere], { skip }) => {
  if (!isHere) skip("its modules are not here");
  const file = join(folder, "mcp-authz.yaml");
  writeFileSync(
    file,
    stringify({
      publicOrigin: "https://gw.example.com",
      identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
      policy: { path: "policies" },
      wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "w.pem" }] },
      sessions: { keys: [{ id: "s", file: "s.key" }] },
      limits: { bodyBytes: 60_000 },
      servers: { s: { url: "https://s.example.com/mcp", credential: [{ none: {} }] } },
      envoy: ENVOYS[name],
    }),
  );
  const { text, problems } = meshManifests(loadConfig(file, {}).config, mesh, options);
  expect(problems).toEqual([]);
  for (const document of parseAllDocuments(text ?? "")) {
    const manifest = document.toJS() as { apiVersion: string; kind: string };
    expect({ kind: manifest.kind, faults: faultsOf(manifest) }).toEqual({ kind: manifest.kind, faults: [] });
  }
});
