// Who is told that a list has changed: changes of servers and of policy, coalesced per listening client. Pure but for timers.
// https://modelcontextprotocol.io/specification/2025-11-25/server/tools#list-changed-notification
import { later as timer, type Later } from "../async/later.ts";

export const CHANGE_KINDS = ["tools", "prompts", "resources"] as const;
export type ChangeKind = (typeof CHANGE_KINDS)[number];

/** A change that callers may see. */
export interface Change {
  /** The server whose lists have changed; null for a change of policy, which may concern all. */
  readonly server: string | null;
  readonly kinds: readonly ChangeKind[];
}

/** A client that listens on one endpoint. */
export interface ChangeListener {
  /** True for a server that the client's endpoint shows. */
  readonly concerns: (server: string) => boolean;
  /** Receives the kinds that have changed, in the order of {@link CHANGE_KINDS}. */
  readonly tell: (kinds: readonly ChangeKind[]) => void;
}

/** The changes that the clients of an endpoint may hear of. */
export interface Audience extends Pick<ChangeListener, "concerns"> {
  /** The lists that the endpoint declares. */
  readonly offered: ReadonlySet<ChangeKind>;
  /** False for a resource that the configuration hides from every caller of the endpoint. */
  readonly offers: (server: string, uri: string) => boolean;
}

export interface ChangeNotices {
  changed(change: Change): void;
  /** @returns the end of the listening */
  listen(listener: ChangeListener): () => void;
  readonly size: number;
}

/** A server that is replaced changes several lists one after the other: one notice tells of all of them. */
const COALESCE_MS = 250;

/** Tells each listener at most once in {@link COALESCE_MS}, and at the latest so long after a change. */
export function createChangeNotices(later: Later = timer): ChangeNotices {
  const listeners = new Set<ChangeListener>();
  let pending: Change[] = [];
  const tellAll = () => {
    const changes = pending;
    pending = [];
    for (const listener of listeners) {
      const seen = new Set(changes.filter((change) => isFor(listener, change)).flatMap(({ kinds }) => kinds));
      if (seen.size > 0) listener.tell(CHANGE_KINDS.filter((kind) => seen.has(kind)));
    }
  };
  return {
    changed(change) {
      if (change.kinds.length === 0) return;
      if (pending.length === 0) later(tellAll, COALESCE_MS);
      // A server that changes without end adds nothing: its kinds are known.
      const isKnown = pending.some(
        ({ server, kinds }) => server === change.server && change.kinds.every((kind) => kinds.includes(kind)),
      );
      if (!isKnown) pending.push(change);
    },
    listen(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    get size() {
      return listeners.size;
    },
  };
}

function isFor({ concerns }: ChangeListener, { server }: Change): boolean {
  return server === null || concerns(server);
}

/** The kind of list that a notification says has changed; null for any other message. */
export function changedKindOf(method: string): ChangeKind | null {
  return CHANGE_KINDS.find((kind) => method === `notifications/${kind}/list_changed`) ?? null;
}
