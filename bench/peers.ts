// Programs of others that do the same work, by `--peer NAME=PATH`.
import type { Asked } from "./requests.ts";
import type { Variant } from "./service.ts";
import { authorino } from "./peers/authorino.ts";
import type { PeerRow } from "./peers/peer-row.ts";
import { kuadrantBroker } from "./peers/kuadrant-broker.ts";
import { opaEnvoyPlugin } from "./peers/opa-envoy-plugin.ts";

export interface Peers {
  /** The peers that can do this work. */
  of(rule: PeerRow["rule"], asked?: Asked, shows?: (answer: Buffer) => boolean): readonly Variant[];
  /** The peers of the broker. */
  broker(): readonly Variant[];
}

const NAMES = ["opa-envoy-plugin", "authorino", "kuadrant-broker"] as const;
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
  const other = paths.get("authorino");
  const kuadrant = paths.get("kuadrant-broker");
  const opa = paths.get("opa-envoy-plugin");
  return {
    broker: () => (kuadrant === undefined ? [] : [kuadrantBroker(kuadrant)]),
    of(rule, asked = {}, shows) {
      const row = { rule, asked, ...(shows !== undefined && { shows }) };
      return [
        ...(opa === undefined ? [] : [opaEnvoyPlugin(opa, row)]),
        ...(other === undefined ? [] : [authorino(other, row, false), authorino(other, row, true)]),
      ];
    },
  };
}
