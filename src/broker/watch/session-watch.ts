// What a client of an older revision subscribes to at servers of the stateless revision: one stream of `subscriptions/listen` for each
// server, opened anew with each resource that comes to it. I/O by server-watch.ts.
import type { SessionTarget } from "../upstream/session.ts";
import { watchServer, type ServerWatchOptions } from "./server-watch.ts";

/** A resource that a client wants to hear of, by its own URI at a server. */
export interface Subscription extends SessionTarget {
  readonly uri: string;
  readonly eras: ServerWatchOptions["eras"];
}

/** `unsupported`: the server does not tell of it; `full`: too many of one server. */
export type Subscribed = "subscribed" | "unsupported" | "full" | "unavailable";

export interface SessionWatch {
  add(subscription: Subscription): Promise<Subscribed>;
  delete(server: string, uri: string): void;
  /** Streams that are opened from now on are opened like this: a credential may be another than before. */
  renew(target: SessionTarget): void;
  end(): void;
}

/** As many as a stream of the stateless revision may name. */
const MAX_OF_SERVER = 64;

/** @param onUpdate receives each change that a server tells of; whether its client may hear of it is not asked here */
export function createSessionWatch(onUpdate: (server: string, uri: string) => void): SessionWatch {
  const servers = new Map<string, WatchedServer>();
  return {
    add({ uri, eras, ...target }) {
      const { name } = target.upstream;
      const server = servers.get(name) ?? new WatchedServer(target, (changed) => onUpdate(name, changed));
      servers.set(name, server);
      server.target = target;
      return server.add(uri, eras);
    },
    delete(name, uri) {
      servers.get(name)?.delete(uri);
    },
    renew(target) {
      const server = servers.get(target.upstream.name);
      if (server !== undefined) server.target = target;
    },
    end() {
      for (const server of servers.values()) server.end();
      servers.clear();
    },
  };
}

class WatchedServer {
  target: SessionTarget;
  readonly #onUpdate: (uri: string) => void;
  readonly #uris = new Set<string>();
  #stream: AbortController | null = null;
  /** Settles with the change of the stream that is under way: one at a time. */
  #turn: Promise<unknown> = Promise.resolve();
  #isEnded = false;

  constructor(target: SessionTarget, onUpdate: (uri: string) => void) {
    this.target = target;
    this.#onUpdate = onUpdate;
  }

  add(uri: string, eras: Subscription["eras"]): Promise<Subscribed> {
    const added = this.#turn.then(() => this.#add(uri, eras));
    this.#turn = added;
    return added;
  }

  delete(uri: string): void {
    this.#uris.delete(uri);
    if (this.#uris.size === 0) this.#close();
  }

  end(): void {
    this.#isEnded = true;
    this.#close();
  }

  /** Never rejects. */
  async #add(uri: string, eras: Subscription["eras"]): Promise<Subscribed> {
    if (this.#uris.has(uri) && this.#stream !== null) return "subscribed";
    if (this.#uris.size >= MAX_OF_SERVER) return "full";
    const stream = new AbortController();
    const uris = [...this.#uris, uri];
    const honoured = await watchServer(this.#optionsOf(stream, uris, eras));
    if (this.#isEnded || honoured === null || uris.some((each) => !honoured.includes(each))) {
      stream.abort();
      return honoured === null || this.#isEnded ? "unavailable" : "unsupported";
    }
    this.#close();
    this.#stream = stream;
    this.#uris.add(uri);
    return "subscribed";
  }

  #optionsOf(stream: AbortController, uris: readonly string[], eras: Subscription["eras"]): ServerWatchOptions {
    const current = () => this.target;
    return {
      get upstream() {
        return current().upstream;
      },
      get credential() {
        return current().credential;
      },
      uris: new Map(uris.map((uri) => [uri, uri])),
      ...{ eras, signal: stream.signal, onUpdate: this.#onUpdate },
      // What it would have told from now on is not known: she reads it once more, and subscribes anew if she wants to.
      onGone: () => {
        if (this.#stream !== stream) return;
        for (const uri of this.#uris) this.#onUpdate(uri);
        this.#uris.clear();
        this.#close();
      },
    };
  }

  #close(): void {
    this.#stream?.abort();
    this.#stream = null;
  }
}
