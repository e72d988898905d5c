// The changes of resources that one client is to be told: together, each once, and only while the right to them lasts. Pure but for a timer.
import { setTimeout as delay } from "node:timers/promises";
import { later as timer, type Later } from "../../async/later.ts";

export interface Updates {
  /** A resource of a server has changed. @param shown its URI at the endpoint */
  add(server: string, uri: string, shown: string): void;
  /** What has changed is told from now on. */
  begin(): void;
  /** Waits a little for the policy to be in force: the serve that has it may not have told yet. Else it ends the stream. */
  inForce(signal: AbortSignal): Promise<void>;
  /** Ends the stream if the right is over. */
  check(): void;
  close(): void;
}

export interface UpdatesOptions {
  /** True while the policy that allowed the stream is in force. */
  readonly isInForce: () => boolean;
  /** False for a resource that the configuration hides. */
  readonly offers: (server: string, uri: string) => boolean;
  /** Tells of one resource, by its URI at the endpoint. */
  readonly send: (shown: string) => unknown;
  /** Called when the right is over. */
  readonly onOver: () => void;
  readonly later?: Later;
}

/** A server that changes a resource again and again has it told four times a second. */
const COALESCE_MS = 250;
/** Serve tells its policy four times a second. */
const WAIT_MS = 1000;
const LOOK_MS = 100;

export function createUpdates(options: UpdatesOptions): Updates {
  const { isInForce, offers, send, onOver, later = timer } = options;
  const changed = new Map<string, { readonly server: string; readonly uri: string }>();
  let state: "waiting" | "begun" | "closed" = "waiting";
  const isOver = () => {
    if (state !== "closed" && !isInForce()) onOver();
    return state === "closed";
  };
  const tell = () => {
    if (isOver()) return;
    for (const [shown, { server, uri }] of changed) if (offers(server, uri)) send(shown);
    changed.clear();
  };
  return {
    add(server, uri, shown) {
      if (state === "begun" && changed.size === 0) later(tell, COALESCE_MS);
      changed.set(shown, { server, uri });
    },
    begin() {
      if (isOver()) return;
      state = "begun";
      if (changed.size > 0) later(tell, COALESCE_MS);
    },
    async inForce(signal) {
      for (let left = WAIT_MS; left > 0 && !isInForce() && !signal.aborted; left -= LOOK_MS)
        await delay(LOOK_MS, null, { signal }).catch(() => null);
      isOver();
    },
    check: () => void isOver(),
    close() {
      state = "closed";
      changed.clear();
    },
  };
}
