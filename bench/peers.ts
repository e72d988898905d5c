// Programs of others that do the same work, by `--peer NAME=PATH`.
import type { Asked } from "./requests.ts";
import type { Variant } from "./service.ts";
import { opaEnvoyPlugin, type OpaRow } from "./peers/opa-envoy-plugin.ts";

export interface Peers {
  /** The peers that can do this work. */
  of(rule: OpaRow["rule"], asked?: Asked, shows?: (answer: Buffer) => boolean): readonly Variant[];
}

const NAMES = ["opa-envoy-plugin"] as const;
type PeerName = (typeof NAMES)[number];

/** @throws {Error} for a name that is none */
export function peersOf(texts: readonly string[]): Peers {
  const paths = new Map<PeerName, string>();
  for (const text of texts) {
    const [name, path] = text.split("=");
    const known = NAMES.find((one) => one === name);
    if (known === undefined || path === undefined)
      throw new Error(`--peer takes NAME=PATH; there are: ${NAMES.join(", ")}`);
    paths.set(known, path);
  }
  const opa = paths.get("opa-envoy-plugin");
  return {
    of: (rule, asked = {}, shows) =>
      opa === undefined ? [] : [opaEnvoyPlugin(opa, { rule, asked, ...(shows !== undefined && { shows }) })],
  };
}
