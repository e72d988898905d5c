// The targets of `npm run bench`. A new one is a file and a row here.
import { decisionByGrpcJsTarget, decisionTarget } from "./decision.ts";
import { listTargets } from "./lists.ts";
import { noopTarget } from "./noop.ts";
import { opaEnvoyPlugin } from "./peers/opa-envoy-plugin.ts";
import { proxyTarget, relayTarget } from "./relay.ts";
import type { Target } from "./target.ts";
import { vaultTarget } from "./vault.ts";

const TARGETS: readonly Target[] = [
  noopTarget,
  decisionTarget,
  decisionByGrpcJsTarget,
  vaultTarget,
  proxyTarget,
  relayTarget,
  ...listTargets,
];

/** Those that were named, or all, with what they are compared with: the decision with the first peer, where there is one. @throws {Error} for a name that is none */
export function chosen(names: readonly string[], peers: readonly Target[]): readonly Target[] {
  const unknown = names.find((name) => !TARGETS.some((target) => target.name === name));
  if (unknown !== undefined) {
    throw new Error(`no target ${unknown}; there are: ${TARGETS.map(({ name }) => name).join(", ")}`);
  }
  const asked = TARGETS.filter(({ name }) => names.length === 0 || names.includes(name));
  const needed = new Set(asked.flatMap(({ name, against }) => [name, against]));
  const [peer] = peers;
  const ours = TARGETS.filter(({ name }) => needed.has(name));
  if (peer === undefined) return ours;
  return [...peers, ...ours.map((target) => (target.name === "decision" ? { ...target, against: peer.name } : target))];
}

const PEERS: Readonly<Record<string, (path: string) => Target>> = { "opa-envoy-plugin": opaEnvoyPlugin };

/** A peer that does the work of `decision`, as `NAME=PATH` of its program. @throws {Error} for a name that is none */
export function peerOf(text: string): Target {
  const [name = "", path] = text.split("=");
  const make = PEERS[name];
  if (make === undefined || path === undefined)
    throw new Error(`--peer takes NAME=PATH; there are: ${Object.keys(PEERS).join(", ")}`);
  return make(path);
}
