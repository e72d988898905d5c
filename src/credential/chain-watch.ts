// Notices an entry of a chain that has never found anything while those behind it serve its callers: its path or mount may be
// wrong, and nothing else would say so. Effects through the function that is passed in.
import type { CredentialSource, Lookup } from "./source.ts";

/** Answers of *has none* without a single *found*, until it is said. */
export const SILENT_AFTER = 20;

/** An entry, and its place in the configuration. */
export interface PlacedSource {
  readonly key: string;
  readonly source: CredentialSource;
}

export interface ChainWatch {
  /** The entries of one chain, in order; what they answer is counted. */
  watch(chain: readonly PlacedSource[]): readonly CredentialSource[];
  /** Places of the entries that have found nothing so far, while one behind them has. In the order of the configuration. */
  silent(): readonly string[];
}

class Entry {
  readonly key: string;
  none = 0;
  found = 0;
  isTold = false;

  constructor(key: string) {
    this.key = key;
  }
}

/** @param onSilent called once for each entry, when it has become silent */
export function createChainWatch(onSilent: (key: string) => void): ChainWatch {
  const chains: (readonly Entry[])[] = [];
  return {
    watch(placed) {
      const chain = placed.map(({ key }) => new Entry(key));
      chains.push(chain);
      return placed.map(({ source }, i) => {
        return watched(source, (lookup) => {
          count(chain[i], lookup);
          for (const entry of silentOf(chain)) if (!entry.isTold) tell(entry, onSilent);
        });
      });
    },
    silent: () => chains.flatMap((chain) => silentOf(chain).map(({ key }) => key)),
  };
}

function count(entry: Entry | undefined, lookup: Lookup): void {
  if (entry === undefined) return;
  if ("found" in lookup) entry.found += 1;
  if ("hasNone" in lookup) entry.none += 1;
}

function tell(entry: Entry, onSilent: (key: string) => void): void {
  entry.isTold = true;
  onSilent(entry.key);
}

function silentOf(chain: readonly Entry[]): readonly Entry[] {
  return chain.filter(({ none, found }, i) => {
    return found === 0 && none >= SILENT_AFTER && chain.slice(i + 1).some((next) => next.found > 0);
  });
}

function watched(source: CredentialSource, note: (lookup: Lookup) => void): CredentialSource {
  const noted = (lookup: Lookup): Lookup => {
    note(lookup);
    return lookup;
  };
  return {
    kind: source.kind,
    get(identity, signal, refused) {
      const lookup = source.get(identity, signal, refused);
      return lookup instanceof Promise ? lookup.then(noted) : noted(lookup);
    },
  };
}
