// The policy revisions of every serve that reads the catalogue: tells when the policy that callers meet has changed. Pure.
import type { CatalogReader } from "./token.ts";

/** A serve that has not read the catalogue for this time has ended. It reads four times a second. */
const AWAY_MS = 15_000;
/** So long after it was told a revision counts as what callers meet. */
const LIVE_MS = 5000;
const MAX_INSTANCES = 256;

export interface PolicyRevisions {
  /** @returns true if policy is another one since the last call: an instance has changed its revision, brought a new one, or took one away */
  read(reader: CatalogReader): boolean;
  /** True for a revision that a serve has told in the last seconds: one that does not read may have another by now. */
  isLive(policy: string): boolean;
  /** The serves that have read the catalogue lately. */
  instances(): readonly string[];
}

/** @param monotonic milliseconds of a clock that never goes back */
export function createPolicyRevisions(monotonic: () => number): PolicyRevisions {
  const instances = new Map<string, { readonly policy: string; readonly at: number }>();
  let isFirst = true;
  const revisions = () => new Set([...instances.values()].map(({ policy }) => policy));
  return {
    isLive: (policy) =>
      [...instances.values()].some((seen) => seen.policy === policy && monotonic() - seen.at <= LIVE_MS),
    instances: () => [...instances].flatMap(([name, { at }]) => (monotonic() - at > AWAY_MS ? [] : [name])),
    read({ instance, policy }) {
      const at = monotonic();
      const before = revisions();
      const known = instances.get(instance)?.policy;
      for (const [name, seen] of instances) if (at - seen.at > AWAY_MS) instances.delete(name);
      instances.delete(instance);
      instances.set(instance, { policy, at });
      const [oldest] = instances.keys();
      if (instances.size > MAX_INSTANCES && oldest !== undefined) instances.delete(oldest);
      const after = revisions();
      const isOther = before.size !== after.size || [...after].some((each) => !before.has(each));
      const isChanged = !isFirst && (isOther || (known !== undefined && known !== policy));
      isFirst = false;
      return isChanged;
    },
  };
}
