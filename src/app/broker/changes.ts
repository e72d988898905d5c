// Who is told of what: changes of the servers' lists, and of the policy of each serve, become notices to listening clients.
import { CHANGE_KINDS, createChangeNotices, type ChangeKind, type ChangeNotices } from "../../broker/change-notices.ts";
import { createPolicyRevisions } from "../../catalog/policy-revisions.ts";
import type { CatalogReader } from "../../catalog/token.ts";

export interface Changes {
  readonly notices: ChangeNotices;
  /** Receives what has changed in a server's lists. */
  readonly onChanged: (server: string, kinds: readonly ChangeKind[]) => void;
  /** Receives each serve that reads the catalogue. */
  readonly onRead: (reader: CatalogReader) => void;
}

/** @param monotonic milliseconds of a clock that never goes back */
export function createChanges(monotonic: () => number): Changes {
  const notices = createChangeNotices();
  const revisions = createPolicyRevisions(monotonic);
  return {
    notices,
    onChanged: (server, kinds) => notices.changed({ server, kinds }),
    // Another policy may show or hide anything.
    onRead(reader) {
      if (revisions.read(reader)) notices.changed({ server: null, kinds: CHANGE_KINDS });
    },
  };
}
