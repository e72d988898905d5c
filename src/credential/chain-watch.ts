// Notices an entry of a chain that has never found anything while the one behind it serves everybody: its path or mount may be
// wrong, and nothing else would say so. Effects through the function that is passed in.
import type { CredentialSource, Lookup } from "./source.ts";

/** Answers of *has none* without a single *found*, until it is said. */
export const SILENT_AFTER = 20;

/** @param onSilent called once, when the entry has never found anything in so many answers */
export function watchEntry(source: CredentialSource, onSilent: () => void): CredentialSource {
  let none = 0;
  const note = (lookup: Lookup): Lookup => {
    if ("found" in lookup) none = Number.NEGATIVE_INFINITY;
    if ("hasNone" in lookup) none += 1;
    if (none === SILENT_AFTER) onSilent();
    return lookup;
  };
  return {
    kind: source.kind,
    get(identity, signal, refused) {
      const lookup = source.get(identity, signal, refused);
      return lookup instanceof Promise ? lookup.then(note) : note(lookup);
    },
  };
}
