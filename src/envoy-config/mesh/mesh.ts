// What `mcp-authz envoy-config --for MESH` prints: manifests for a data plane that somebody else configures. Pure.
import { stringify } from "yaml";
import type { Problem, Report } from "../../config/problem.ts";
import type { Config } from "../../config/schema.ts";
import { tlsCommands, type Manifest } from "./common.ts";
import { checkEnvoyGateway, envoyGatewayManifests } from "./envoy-gateway.ts";
import { checkIstio, checkIstioHosts, istioManifests, istioMeshConfig, istioSecrets } from "./istio.ts";
import { checkKubernetes, checkServices, kubernetesManifests } from "./kubernetes.ts";
import { isLoopback, placementOf, type MeshOptions, type Placement } from "./placement.ts";

interface Mesh {
  /** Tells what the mesh cannot say. */
  readonly check: (config: Config, problem: Report) => void;
  readonly checkPlaces?: (placement: Placement, problem: Report) => void;
  readonly manifests: (config: Config, placement: Placement) => Manifest[];
  /** What goes into the configuration of the mesh itself. */
  readonly meshConfig?: (config: Config, placement: Placement) => object;
  /** Commands that make the objects with certificates. */
  readonly commands: (config: Config, placement: Placement) => string[];
  /** What must be so before, as lines. */
  readonly needs: (config: Config, placement: Placement) => readonly string[];
}

const MESHES = {
  "envoy-gateway": {
    check: checkEnvoyGateway,
    manifests: envoyGatewayManifests,
    commands: tlsCommands,
    needs: () => [
      "Envoy Gateway 1.9 or newer with extensionApis.enableEnvoyPatchPolicy: true in its configuration, and enableBackend:",
      "true where serve or the broker is no Service. Afterwards EnvoyPatchPolicy mcp must say Programmed: True: without it bodies",
      "come as text, and serve refuses them.",
    ],
  },
  istio: {
    check: checkIstio,
    checkPlaces: checkIstioHosts,
    manifests: istioManifests,
    meshConfig: istioMeshConfig,
    commands: istioSecrets,
    needs: (config, placement) => [
      "Istio 1.27 or newer. This goes into its MeshConfig first, beside the providers that are there:",
      ...stringify(istioMeshConfig(config, placement), { lineWidth: 0 })
        .trimEnd()
        .split("\n")
        .map((line) => `  ${line}`),
      "Clients that wait for 100 Continue get it with ENABLE_100_CONTINUE_HEADERS=false in the environment of istiod.",
    ],
  },
  kubernetes: {
    check: checkKubernetes,
    checkPlaces: checkServices,
    manifests: kubernetesManifests,
    commands: tlsCommands,
    needs: () => [
      "A GatewayClass mcp of an implementation with the features HTTPRouteExternalAuthGRPC and HTTPRouteExternalAuthForwardBody,",
      "and Gateway API 1.6 of the experimental channel. Gateway API does not say whether a body goes as bytes: serve refuses text.",
    ],
  },
} satisfies Record<string, Mesh>;

export type MeshName = keyof typeof MESHES;
export const MESH_NAMES = Object.keys(MESHES) as readonly MeshName[];

export interface Printed {
  /** The manifests as one stream of YAML; null where the configuration cannot be mapped. */
  readonly text: string | null;
  /** Istio: its part of MeshConfig, as YAML; null for others. */
  readonly meshConfig: string | null;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

export function meshManifests(config: Config, name: MeshName, options: MeshOptions): Printed {
  const problems: Problem[] = [];
  const problem: Report = (key, message) => problems.push({ key, message });
  const mesh: Mesh = MESHES[name];
  const placement = placementOf(config, options, problem);
  mesh.check(config, problem);
  if (placement !== null) mesh.checkPlaces?.(placement, problem);
  if (placement === null || problems.length > 0) return { text: null, meshConfig: null, problems, warnings: [] };
  const documents = mesh
    .manifests(config, placement)
    .map((manifest) => stringify(manifest, { aliasDuplicateObjects: false, lineWidth: 0 }));
  return {
    text: head(config, name, placement) + documents.join("---\n"),
    meshConfig: mesh.meshConfig === undefined ? null : stringify(mesh.meshConfig(config, placement), { lineWidth: 0 }),
    problems,
    warnings: warningsOf(config, placement),
  };
}

function head(config: Config, name: MeshName, placement: Placement): string {
  const mesh: Mesh = MESHES[name];
  const commands = mesh.commands(config, placement);
  const lines = [
    `Manifests of mcp-authz for ${name}, printed by \`mcp-authz envoy-config --for ${name}\`. Do not edit: print them anew.`,
    "Apply: kubectl apply -f THIS_FILE",
    ...mesh.needs(config, placement),
    ...(commands.length > 0
      ? ["Certificates come from these objects; make them first:", ...commands.map((line) => `  ${line}`)]
      : []),
  ];
  return `${lines.map((line) => `# ${line}`).join("\n")}\n`;
}

function warningsOf(config: Config, { authz, broker }: Placement): Problem[] {
  const warnings: Problem[] = [];
  const parts = [
    ["authz", authz],
    ["broker", broker],
  ] as const;
  for (const [part, to] of parts) {
    if (isLoopback(to))
      warnings.push({
        key: `envoy.${part}Address`,
        message: "is loopback: right only where the mesh's Envoy runs on the same host",
      });
  }
  if (config.acceptTextBody)
    warnings.push({
      key: "acceptTextBody",
      message:
        "is not needed: the manifests have bodies sent as bytes. Without it serve notices when that part of them is not in force",
    });
  return warnings;
}
