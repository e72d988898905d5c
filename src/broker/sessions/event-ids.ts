// Ids of events on a client's streams: the server's id and which server it is, sealed for one session. Pure but for the sealer's
// randomness.
import type { Sealer } from "../../secret/seal.ts";

/** An event of a server. */
export interface EventRef {
  readonly server: string;
  readonly id: string;
}

export interface EventIds {
  /** @param session key of the session */
  seal(session: string, event: EventRef): string;
  /** Null for an id that is not of this session. */
  open(session: string, id: string): EventRef | null;
}

export function createEventIds(sealer: Sealer): EventIds {
  const contextOf = (session: string) => ({ purpose: "event", bound: [session] });
  return {
    // No server's name has a space.
    seal: (session, { server, id }) => sealer.seal(Buffer.from(`${server} ${id}`), contextOf(session)),
    open(session, id) {
      const text = sealer.open(id, contextOf(session))?.toString("utf8") ?? null;
      const space = text?.indexOf(" ") ?? -1;
      return text === null || space < 0 ? null : { server: text.slice(0, space), id: text.slice(space + 1) };
    },
  };
}
