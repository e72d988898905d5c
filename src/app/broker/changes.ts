// Who is told of what, and when: changes of the servers' lists, and of the policy of each serve, become notices to clients.
import { later as timer, type Later } from "../../async/later.ts";
import { CHANGE_KINDS, createChangeNotices, type Change, type ChangeNotices } from "../../broker/change-notices.ts";
import type { CatalogOptions } from "../../broker/catalog/snapshot.ts";
import type { PoliciesInForce } from "../../broker/policies-in-force.ts";
import { createPolicyRevisions } from "../../catalog/policy-revisions.ts";
import type { CatalogReader } from "../../catalog/token.ts";

export interface Changes {
  readonly notices: ChangeNotices;
  readonly policies: PoliciesInForce;
  /** Receives what has changed in a server's lists. */
  readonly onChanged: Required<CatalogOptions>["onChanged"];
  /** Receives each serve that reads the catalogue. */
  readonly onRead: (reader: CatalogReader) => void;
  /** Other servers, or another choice of what they show, are in force. */
  readonly onApplied: () => void;
}

/** Serve reads four times a second. One that does not has ended, or is in trouble that a notice cannot mend. */
const MAX_WAIT_MS = 1500;

/** A change, and the serves that have not read the catalogue since. */
interface Pending {
  readonly change: Change;
  readonly unaware: Set<string>;
}

/**
 * A client who is told lists at once, and serve decides what she sees: so a change is told when every serve has read it.
 * @param monotonic milliseconds of a clock that never goes back
 */
export function createChanges(monotonic: () => number, later: Later = timer): Changes {
  const notices = createChangeNotices(later);
  const revisions = createPolicyRevisions(monotonic);
  const pending = new Set<Pending>();
  const listeners = new Set<() => void>();
  const tellOther = () => {
    for (const listener of listeners) listener();
  };
  const tell = (each: Pending) => {
    if (pending.delete(each)) notices.changed(each.change);
  };
  const changed = (change: Change) => {
    const each = { change, unaware: new Set(revisions.instances()) };
    pending.add(each);
    if (each.unaware.size === 0) tell(each);
    else later(() => tell(each), MAX_WAIT_MS);
  };
  return {
    notices,
    policies: {
      has: revisions.isLive,
      onChange(listener) {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    },
    onChanged: (server, kinds) => changed({ server, kinds }),
    onApplied() {
      tellOther();
      changed({ server: null, kinds: CHANGE_KINDS });
    },
    onRead(reader) {
      // Another policy may show or hide anything. The serve that says so has it live.
      if (revisions.read(reader)) {
        tellOther();
        notices.changed({ server: null, kinds: CHANGE_KINDS });
      }
      for (const each of pending) {
        each.unaware.delete(reader.instance);
        if (each.unaware.size === 0) tell(each);
      }
    },
  };
}
