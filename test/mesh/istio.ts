// Istio as a data plane: its discovery server, which reads files in place of Kubernetes (tools/go/istiod-files), and a plain Envoy
// that says it is a gateway of Istio.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { requireTool } from "../../src/files/program.ts";
import { logPath, startChild, type Child } from "../../demo/child.ts";
import { freePort } from "../../demo/ports.ts";
import { goProgram } from "../../tools/lib/go-programs.ts";
import { listening, meshConfigFile, printed, type Plane, type Setting } from "./planes.ts";

/** Which kinds Istio reads: its own, or those of Gateway API. */
export type IstioWay = "classic" | "gateway-api";

const CLASSIC = ["--namespace", "istio-ingress", "--selector", "istio=ingressgateway"];

/** https://istio.io/latest/docs/ops/deployment/architecture/: the production code of configuration, a plain Envoy as gateway. */
export async function startIstio(setting: Setting, way: IstioWay): Promise<Plane> {
  const [port, xds, admin] = await Promise.all([freePort(), freePort(), freePort()]);
  const folder = join(setting.folder, `istio-${way}`);
  mkdirSync(folder, { recursive: true });
  const put = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const file = meshConfigFile(setting, port);
  const args = ["--for", "istio", ...(way === "classic" ? CLASSIC : [])];
  const mesh = parse(printed(file, [...args, "--mesh-config"])) as object;
  const files = [put("manifests.yaml", printed(file, args))];
  if (way === "gateway-api") files.push(put("cluster.yaml", clusterObjects(port)));
  const start = (name: string, command: string, more: readonly string[]) =>
    startChild({
      name,
      command,
      args: more,
      cwd: folder,
      logFile: logPath(setting.folder, `${way}-${name}.log`),
      env: ENV,
    });
  const discovery = start("istio", goProgram("istiod-files"), [
    put("mesh.yaml", stringify({ ...mesh, ...PLAIN_ENVOY })),
    `127.0.0.1:${xds}`,
    ...files,
  ]);
  await listening(xds, [discovery]);
  const bootstrapFile = put("envoy.yaml", bootstrap({ ...NODES[way], xds, admin }));
  const flags = ["--use-dynamic-base-id", "--concurrency", "1"];
  const envoy = start("envoy", requireTool("envoy"), ["-c", bootstrapFile, ...flags]);
  await listening(port, [envoy, discovery]);
  return { port, stop: () => inTurn([envoy, discovery]) };
}

async function inTurn(children: readonly Child[]): Promise<void> {
  for (const child of children) await child.stop();
}

/** The gateway's own, for istiod alone: with that of serve and the broker here, it would be taken for their pod. */
const GATEWAY_IP = "10.9.0.1";
/** This Envoy has neither Istio's agent nor its filters. */
const PLAIN_ENVOY = { enableAutoMtls: false, defaultProviders: {} };
const ENV = {
  PILOT_ENABLE_ALPN_FILTER: "false",
  PILOT_ENABLE_METADATA_EXCHANGE: "false",
  ENABLE_100_CONTINUE_HEADERS: "false", // as the head of the manifests says
};
const NODES = {
  classic: { namespace: "istio-ingress", labels: { istio: "ingressgateway" } },
  "gateway-api": { namespace: "mcp", labels: { "gateway.networking.k8s.io/gateway-name": "mcp" } },
} as const;

/** What a cluster would have of the gateway: its Service, a pod, an address. */
function clusterObjects(port: number): string {
  const name = { "gateway.networking.k8s.io/gateway-name": "mcp" };
  const ports = [{ name: "http", port, targetPort: port, protocol: "TCP" }];
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "mcp-istio", namespace: "mcp" },
      spec: { clusterIP: "10.0.7.3", type: "LoadBalancer", ports, selector: name },
    },
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "gw", namespace: "mcp", labels: name },
      spec: { containers: [{ name: "p", image: "p" }] },
      status: {
        podIP: GATEWAY_IP,
        podIPs: [{ ip: GATEWAY_IP }],
        phase: "Running",
        conditions: [{ type: "Ready", status: "True" }],
      },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: "mcp-istio-1", namespace: "mcp", labels: { "kubernetes.io/service-name": "mcp-istio" } },
      addressType: "IPv4",
      endpoints: [
        {
          addresses: [GATEWAY_IP],
          conditions: { ready: true },
          targetRef: { kind: "Pod", name: "gw", namespace: "mcp" },
        },
      ],
      ports: [{ name: "http", port, protocol: "TCP" }],
    },
    {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "GatewayClass",
      metadata: { name: "istio" },
      spec: { controllerName: "istio.io/gateway-controller" },
    },
  ]
    .map((one) => stringify(one))
    .join("---\n");
}

interface Bootstrap {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly xds: number;
  readonly admin: number;
}

/** A plain Envoy that says it is a gateway of Istio. */
function bootstrap({ namespace, labels, xds, admin }: Bootstrap): string {
  const source = { ads: {}, resource_api_version: "V3", initial_fetch_timeout: "0s" };
  const socket = (port: number) => ({ socket_address: { address: "127.0.0.1", port_value: port } });
  const http = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  return stringify({
    node: {
      id: `router~${GATEWAY_IP}~gw.${namespace}~${namespace}.svc.cluster.local`,
      cluster: `gw.${namespace}`,
      metadata: {
        NAMESPACE: namespace,
        ISTIO_VERSION: "1.31.0",
        LABELS: labels,
        SERVICE_ACCOUNT: "gw",
        CLUSTER_ID: "Kubernetes",
        INSTANCE_IPS: GATEWAY_IP,
      },
    },
    admin: { address: socket(admin) },
    dynamic_resources: {
      ads_config: {
        api_type: "GRPC",
        transport_api_version: "V3",
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: "xds-grpc" } }],
      },
      lds_config: source,
      cds_config: source,
    },
    static_resources: {
      clusters: [
        {
          name: "xds-grpc",
          type: "STATIC",
          connect_timeout: "1s",
          typed_extension_protocol_options: {
            [http]: { "@type": `type.googleapis.com/${http}`, explicit_http_config: { http2_protocol_options: {} } },
          },
          load_assignment: {
            cluster_name: "xds-grpc",
            endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(xds) } }] }],
          },
        },
      ],
    },
  });
}
