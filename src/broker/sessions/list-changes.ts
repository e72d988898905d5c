// Tells the client of a session which lists have changed, while she has a stream open. Pure but for what it sends.
// https://modelcontextprotocol.io/specification/2025-11-25/server/tools#list-changed-notification
import type { Audience, ChangeKind, ChangeNotices } from "../change-notices.ts";
import type { ClientStreams } from "./client-streams.ts";

export interface ListChanges {
  /** The client has a stream. */
  begin(): void;
  /** Tells her that these may have changed, if she has a stream. */
  tell(kinds: readonly ChangeKind[]): void;
  /** She has none any more: she lists anew when she comes back. */
  end(): void;
}

export interface ListChangesOptions {
  readonly notices: ChangeNotices;
  readonly audience: Audience;
  readonly send: ClientStreams["send"];
}

/** While she does not read, what changes waits for her, each kind once. */
export function createListChanges({ notices, audience, send }: ListChangesOptions): ListChanges {
  const { offered, concerns } = audience;
  const waiting = new Set<ChangeKind>();
  let unread = 0;
  let leave: (() => void) | null = null;
  const source = {
    hold() {
      let isHeld = true;
      unread += 1;
      return () => {
        if (isHeld) unread -= 1;
        isHeld = false;
        flush();
      };
    },
  };
  const flush = () => {
    for (const kind of waiting) {
      if (unread > 0 || leave === null) return;
      waiting.delete(kind);
      send(Buffer.from(JSON.stringify({ jsonrpc: "2.0", method: `notifications/${kind}/list_changed` })), null, source);
    }
  };
  const tell = (kinds: readonly ChangeKind[]) => {
    for (const kind of kinds) if (offered.has(kind)) waiting.add(kind);
    flush();
  };
  return {
    tell,
    begin() {
      leave ??= notices.listen({ concerns, tell });
    },
    end() {
      leave?.();
      leave = null;
      waiting.clear();
    },
  };
}
