// Serves `subscriptions/listen` of the stateless revision: a stream that tells a client which lists and resources have changed. I/O.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/utilities/subscriptions
import type { ResponseSink } from "./sessions/message-response.ts";
import { pass, refuse, type Step } from "../authz/step.ts";
import type { PoliciesInForce } from "./policies-in-force.ts";
import type { Watched } from "./watch/watched.ts";
import { watchServer, type ServerWatchOptions } from "./watch/server-watch.ts";
import { createUpdates } from "./watch/updates.ts";
import { createConcurrencyLimit } from "./relay/concurrency-limit.ts";
import { isObject } from "../json/object.ts";
import type { JsonObject } from "../json/types.ts";
import type { RpcId } from "../mcp/operation.ts";
import { META_SUBSCRIPTION } from "../mcp/meta.ts";
import type { ChangeKind, ChangeNotices } from "./change-notices.ts";
import { eventOf } from "./upstream/event-stream.ts";

/** A client that wants to listen. */
export interface ListenRequest {
  readonly response: ResponseSink;
  readonly id: RpcId;
  /** The key of the caller: listeners are counted by it. */
  readonly caller: string;
  readonly params: JsonObject;
  /** The lists of the endpoint that may change. */
  readonly offered: ReadonlySet<ChangeKind>;
  /** True for a server that the endpoint shows. */
  readonly concerns: (server: string) => boolean;
  /** False for a resource that the configuration hides from every caller of the endpoint. */
  readonly offers: (server: string, uri: string) => boolean;
  /** The resources that the wristband names; null for a stream that names none. */
  readonly watching: Watching | null;
  /** Milliseconds until the caller's token ends, or for one that names resources the wristband: the stream ends then. */
  readonly maxMs: number;
}

/** The right to hear of resources. */
export interface Watching {
  readonly servers: readonly Watched[];
  /** The policy that gave it: the stream ends when it is in force no more. */
  readonly policy: string | undefined;
}

export interface Listeners {
  /** Begins the stream. Refuses with `rate_limited` for too many of a caller. */
  open(request: ListenRequest): Step<true>;
  /** Ends every stream in order: each client gets the result of its request. */
  endAll(): void;
  /** The same for those that tell of resources: another configuration may name other servers, or show other resources. */
  endWatching(): void;
  readonly size: number;
}

export interface ListenersOptions {
  readonly notices: ChangeNotices;
  readonly policies: PoliciesInForce;
  readonly eras: ServerWatchOptions["eras"];
  /** A silent stream gets a comment at least so often. */
  readonly keepAliveMs: number;
  readonly maxPerCaller: number;
}

/** The member of the filter that asks for each kind. */
const FILTER: Readonly<Record<ChangeKind, string>> = {
  tools: "toolsListChanged",
  prompts: "promptsListChanged",
  resources: "resourcesListChanged",
};
const KINDS = Object.keys(FILTER) as ChangeKind[];
/** Bytes that may wait for a client that does not read; then its stream is closed. */
const MAX_UNREAD_BYTES = 64 * 1024;
/** Node's timers fire at once beyond this many milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;
const HEADERS = { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" };

/** The first event names the part of the filter that is honoured: list changes of what the endpoint offers. */
export function createListeners(options: ListenersOptions): Listeners {
  const limit = createConcurrencyLimit(options.maxPerCaller);
  const open = new Set<Listener>();
  return {
    open(request) {
      const release = limit.tryAcquire(request.caller);
      if (release === null) return refuse("rate_limited", "listening streams");
      const honoured = kindsIn(request.params).filter((kind) => request.offered.has(kind));
      const listener = new Listener(request, options, honoured);
      open.add(listener);
      request.response.once("close", () => {
        open.delete(listener);
        listener.close();
        release();
      });
      listener.begin();
      return pass(true);
    },
    endAll() {
      for (const listener of open) listener.end();
    },
    endWatching() {
      for (const listener of open) if (listener.isWatching) listener.end();
    },
    get size() {
      return open.size;
    },
  };
}

/** The kinds that a filter without a fault asks for. */
function kindsIn({ notifications }: JsonObject): readonly ChangeKind[] {
  const filter = isObject(notifications) ? notifications : {};
  return KINDS.filter((kind) => filter[FILTER[kind]] === true);
}

/** One stream. */
class Listener {
  readonly #request: ListenRequest;
  readonly #honoured: readonly ChangeKind[];
  readonly #options: ListenersOptions;
  readonly #stops: (() => void)[] = [];
  #isClosed = false;

  constructor(request: ListenRequest, options: ListenersOptions, honoured: readonly ChangeKind[]) {
    this.#request = request;
    this.#options = options;
    this.#honoured = honoured;
  }

  get isWatching(): boolean {
    return this.#request.watching !== null;
  }

  begin(): void {
    const { response, maxMs, watching } = this.#request;
    response.writeHead(200, HEADERS);
    const sign = setInterval(() => {
      // A client that has not read what was sent needs no sign of life.
      if (!response.writableNeedDrain) response.write(":\n\n");
    }, this.#options.keepAliveMs);
    const end = setTimeout(() => this.end(), Math.min(MAX_TIMER_MS, Math.max(0, maxMs)));
    this.#stops.push(
      () => clearInterval(sign),
      () => clearTimeout(end),
    );
    if (watching === null) this.#acknowledge([]);
    else void this.#watch(watching).then((uris) => this.#acknowledge(uris));
  }

  /** The resources that their servers tell of, by their names at the endpoint. */
  async #watch({ servers, policy }: Watching): Promise<readonly string[]> {
    const { eras, policies } = this.#options;
    const honoured = new Set<string>();
    const updates = createUpdates({
      isInForce: () => policy !== undefined && policies.has(policy),
      offers: this.#request.offers,
      // What a server says of a resource that it did not take is not for her: she was not told that she would hear of it.
      send: (uri) => honoured.has(uri) && this.#notify("notifications/resources/updated", { uri }),
      onOver: () => this.end(),
    });
    const ending = new AbortController();
    this.#stops.push(policies.onChange(updates.check), updates.close, () => ending.abort());
    await updates.inForce(ending.signal);
    if (this.#isClosed) return [];
    const watch = ({ uris, ...to }: Watched) => {
      const onUpdate = (uri: string) => updates.add(to.upstream.name, uri, uris.get(uri) ?? uri);
      const ended = { signal: ending.signal, onGone: () => this.end() };
      return watchServer({ ...to, ...ended, uris, eras, onUpdate }).then((own) =>
        (own ?? []).map((uri) => uris.get(uri) ?? uri),
      );
    };
    for (const uri of (await Promise.all(servers.map(watch))).flat()) honoured.add(uri);
    updates.begin();
    return [...honoured];
  }

  #acknowledge(uris: readonly string[]): void {
    if (this.#isClosed) return;
    const filter = Object.fromEntries(this.#honoured.map((kind) => [FILTER[kind], true]));
    const watched = uris.length === 0 ? {} : { resourceSubscriptions: uris };
    this.#notify("notifications/subscriptions/acknowledged", { notifications: { ...filter, ...watched } });
    if (this.#honoured.length + uris.length === 0) {
      this.end();
      return;
    }
    const { concerns } = this.#request;
    this.#stops.push(this.#options.notices.listen({ concerns, tell: (kinds) => this.#tell(kinds) }));
  }

  /** The result says that the subscription has ended in order; a closed connection would look like a fault. */
  end(): void {
    const { response, id } = this.#request;
    this.close();
    if (response.writableEnded) return;
    const result = { resultType: "complete", _meta: { [META_SUBSCRIPTION]: id } };
    this.#write({ jsonrpc: "2.0", id, result });
    response.end();
  }

  close(): void {
    this.#isClosed = true;
    for (const stop of this.#stops.splice(0)) stop();
  }

  #tell(kinds: readonly ChangeKind[]): void {
    for (const kind of kinds) if (this.#honoured.includes(kind)) this.#notify(`notifications/${kind}/list_changed`, {});
  }

  #notify(method: string, params: object): void {
    const { id } = this.#request;
    this.#write({ jsonrpc: "2.0", method, params: { ...params, _meta: { [META_SUBSCRIPTION]: id } } });
  }

  #write(message: object): void {
    const { response } = this.#request;
    response.write(Buffer.concat(eventOf([Buffer.from(JSON.stringify(message))])));
    if (response.writableLength > MAX_UNREAD_BYTES) response.destroy();
  }
}
