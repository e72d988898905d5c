// Ids of events on a client's streams: the server's id, which server it is, and the call whose stream it was on, sealed for one
// session. Pure but for the sealer's randomness.
import type { Sealer } from "../../secret/seal.ts";

/** An event of a server. */
export interface EventRef {
  readonly server: string;
  readonly id: string;
  /** The call on whose stream it came; null for the stream of the session. */
  readonly call: number | null;
}

export interface EventIds {
  /** @param session key of the session */
  seal(session: string, event: EventRef): string;
  /** Null for an id of another MCP session. */
  open(session: string, id: string): EventRef | null;
}

export function createEventIds(sealer: Sealer): EventIds {
  const contextOf = (session: string) => ({ purpose: "event", bound: [session] });
  return {
    // No server's name has a space, and no id: event-stream.ts keeps none that has.
    seal: (session, { server, id, call }) =>
      sealer.seal(Buffer.from([server, id, ...(call === null ? [] : [call])].join(" ")), contextOf(session)),
    open(session, sealed) {
      const text = sealer.open(sealed, contextOf(session))?.toString("utf8") ?? "";
      const [server = "", id, call] = text.split(" ");
      return id === undefined ? null : { server, id, call: call === undefined ? null : Number(call) };
    },
  };
}
