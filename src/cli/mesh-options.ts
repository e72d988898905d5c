// The options of `envoy-config --for MESH`, and what is printed for them.
import { ConfigError, type Config } from "../config/load.ts";
import { MESH_NAMES, meshManifests, type MeshName } from "../envoy-config/mesh/mesh.ts";
import type { MeshOptions } from "../envoy-config/mesh/placement.ts";
import { InputError, textOption, UsageError, type Arguments } from "./command.ts";

export const MESH_OPTIONS = {
  for: { type: "string" },
  namespace: { type: "string" },
  selector: { type: "string" },
  "mesh-config": { type: "boolean" },
} as const;

export const MESH_USAGE = [
  `  --for MESH          print Kubernetes manifests instead, for a data plane that something else configures:`,
  `                      ${MESH_NAMES.join(", ")}`,
  "  --namespace NAME    with --for: where they go; default the namespace of serve's Service, or mcp",
  "  --selector LABEL=VALUE   with --for istio: a gateway that is there already, by the label of its pods, such as",
  "                      istio=ingressgateway; name its namespace, too. Default: a Gateway of its own",
  "  --mesh-config       with --for istio: print only what goes into MeshConfig",
];

export interface MeshChoice extends MeshOptions {
  readonly mesh: MeshName;
  /** True: only the part of MeshConfig. */
  readonly isMeshConfig: boolean;
}

const NAME = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const LABEL = /^([a-zA-Z0-9](?:[-a-zA-Z0-9_./]{0,300}[a-zA-Z0-9])?)=([a-zA-Z0-9](?:[-a-zA-Z0-9_.]{0,61}[a-zA-Z0-9])?)$/;

/**
 * What `--for` and its companions say; null without it.
 * @throws {UsageError} for options that do not go together @throws {InputError} for a wrong value
 */
export function meshChoice(args: Arguments): MeshChoice | null {
  const name = textOption(args, "for");
  const [namespace, selector] = [textOption(args, "namespace"), textOption(args, "selector")];
  const isMeshConfig = args.values["mesh-config"] === true;
  checkCompanions({ name, isIstioOnly: selector !== undefined || isMeshConfig, isPlaced: namespace !== undefined });
  if (name === undefined) return null;
  const mesh = MESH_NAMES.find((known) => known === name);
  if (mesh === undefined) throw new InputError(`--for must be one of: ${MESH_NAMES.join(", ")}`);
  if (namespace !== undefined && !NAME.test(namespace))
    throw new InputError("--namespace is 1 to 63 of a-z, 0-9 and '-', and begins and ends with a letter or digit");
  if (selector !== undefined && namespace === undefined)
    throw new UsageError("--selector needs --namespace: that of the gateway's pods");
  return { mesh, namespace: namespace ?? null, selector: labelOf(selector), isMeshConfig };
}

interface Companions {
  readonly name: string | undefined;
  readonly isIstioOnly: boolean;
  readonly isPlaced: boolean;
}

function checkCompanions({ name, isIstioOnly, isPlaced }: Companions): void {
  if (name === undefined && (isIstioOnly || isPlaced))
    throw new UsageError("--namespace, --selector and --mesh-config need --for MESH");
  if (isIstioOnly && name !== "istio") throw new UsageError("--selector and --mesh-config are for --for istio");
}

function labelOf(text: string | undefined): MeshOptions["selector"] {
  if (text === undefined) return null;
  const [, key, value] = LABEL.exec(text) ?? [];
  if (key === undefined || value === undefined)
    throw new InputError("--selector is one label of the gateway's pods, such as istio=ingressgateway");
  return { key, value };
}

/** @param file of the configuration @throws {ConfigError} with all that the mesh's kinds cannot say */
export function manifestsOf(file: string, config: Config, choice: MeshChoice): string {
  const { text, meshConfig, problems, warnings } = meshManifests(config, choice.mesh, choice);
  if (text === null) throw new ConfigError(file, problems);
  for (const { key, message } of warnings) console.error(`warning: ${key}: ${message}`);
  return choice.isMeshConfig && meshConfig !== null ? meshConfig : text;
}
