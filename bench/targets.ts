// The targets of `npm run bench`. A new one is a file and a row here.
import { decisionByGrpcJsTarget, decisionTarget } from "./decision.ts";
import { listTargets } from "./lists.ts";
import { noopTarget } from "./noop.ts";
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

/** Those that were named, or all, with what they are compared with. @throws {Error} for a name that is none */
export function chosen(names: readonly string[]): readonly Target[] {
  const unknown = names.find((name) => !TARGETS.some((target) => target.name === name));
  if (unknown !== undefined) {
    throw new Error(`no target ${unknown}; there are: ${TARGETS.map(({ name }) => name).join(", ")}`);
  }
  const asked = TARGETS.filter(({ name }) => names.length === 0 || names.includes(name));
  const needed = new Set(asked.flatMap(({ name, against }) => [name, against]));
  return TARGETS.filter(({ name }) => needed.has(name));
}
