// Tells the client of a session which lists have changed, while she has a stream open. Pure but for what it sends.
// https://modelcontextprotocol.io/specification/2025-11-25/server/tools#list-changed-notification
import type { Audience, ChangeKind, ChangeNotices } from "../change-notices.ts";
import type { ClientStreams } from "./client-streams.ts";
import { createWaitingNotices } from "./waiting-notices.ts";

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
  const waiting = createWaitingNotices((message, source) => void send(message, null, source));
  let leave: (() => void) | null = null;
  const tell = (kinds: readonly ChangeKind[]) => {
    if (leave === null) return;
    for (const kind of kinds)
      if (offered.has(kind))
        waiting.add(JSON.stringify({ jsonrpc: "2.0", method: `notifications/${kind}/list_changed` }));
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
