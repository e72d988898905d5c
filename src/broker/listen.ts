// Serves `subscriptions/listen` of the stateless revision: a stream that tells a client which lists have changed. I/O.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/utilities/subscriptions
import type { ResponseSink } from "./sessions/message-response.ts";
import { pass, refuse, type Step } from "../authz/step.ts";
import { createConcurrencyLimit } from "./relay/concurrency-limit.ts";
import type { JsonObject } from "../json/types.ts";
import { isObject } from "../mcp/envelope.ts";
import type { RpcId } from "../mcp/operation.ts";
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
  /** Milliseconds until the caller's token ends: the stream ends then. */
  readonly maxMs: number;
}

export interface Listeners {
  /** Begins the stream. Refuses with `params_invalid` for a malformed filter, with `rate_limited` for too many streams of a caller. */
  open(request: ListenRequest): Step<true>;
  /** Ends every stream in order: each client gets the result of its request. */
  endAll(): void;
  readonly size: number;
}

export interface ListenersOptions {
  readonly notices: ChangeNotices;
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
const SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId";
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
      const asked = kindsIn(request.params);
      if (!asked.ok) return asked;
      const release = limit.tryAcquire(request.caller);
      if (release === null) return refuse("rate_limited", "listening streams");
      const honoured = asked.value.filter((kind) => request.offered.has(kind));
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
    get size() {
      return open.size;
    },
  };
}

/** The kinds that the filter asks for. Resources that are named one by one are not honoured. */
function kindsIn({ notifications }: JsonObject): Step<readonly ChangeKind[]> {
  if (!isObject(notifications)) return refuse("params_invalid", "notifications is not an object");
  for (const name of Object.values(FILTER)) {
    const value = notifications[name];
    if (value !== undefined && typeof value !== "boolean") return refuse("params_invalid", `${name} is not a boolean`);
  }
  const { resourceSubscriptions: uris } = notifications;
  if (uris !== undefined && !(Array.isArray(uris) && uris.every((uri) => typeof uri === "string")))
    return refuse("params_invalid", "resourceSubscriptions is not a list of URIs");
  return pass(KINDS.filter((kind) => notifications[FILTER[kind]] === true));
}

/** One stream. */
class Listener {
  readonly #request: ListenRequest;
  readonly #honoured: readonly ChangeKind[];
  readonly #options: ListenersOptions;
  #stop = () => {};

  constructor(request: ListenRequest, options: ListenersOptions, honoured: readonly ChangeKind[]) {
    this.#request = request;
    this.#options = options;
    this.#honoured = honoured;
  }

  begin(): void {
    const { response, concerns, maxMs } = this.#request;
    const { notices, keepAliveMs } = this.#options;
    response.writeHead(200, HEADERS);
    const filter = Object.fromEntries(this.#honoured.map((kind) => [FILTER[kind], true]));
    this.#notify("notifications/subscriptions/acknowledged", { notifications: filter });
    if (this.#honoured.length === 0) {
      this.end();
      return;
    }
    const leave = notices.listen({ concerns, tell: (kinds) => this.#tell(kinds) });
    const sign = setInterval(() => {
      // A client that has not read what was sent needs no sign of life.
      if (!response.writableNeedDrain) response.write(":\n\n");
    }, keepAliveMs);
    const end = setTimeout(() => this.end(), Math.min(MAX_TIMER_MS, Math.max(0, maxMs)));
    this.#stop = () => {
      leave();
      clearInterval(sign);
      clearTimeout(end);
    };
  }

  /** The result says that the subscription has ended in order; a closed connection would look like a fault. */
  end(): void {
    const { response, id } = this.#request;
    this.close();
    if (response.writableEnded) return;
    const result = { resultType: "complete", _meta: { [SUBSCRIPTION]: id } };
    this.#write({ jsonrpc: "2.0", id, result });
    response.end();
  }

  close(): void {
    this.#stop();
  }

  #tell(kinds: readonly ChangeKind[]): void {
    for (const kind of kinds) if (this.#honoured.includes(kind)) this.#notify(`notifications/${kind}/list_changed`, {});
  }

  #notify(method: string, params: object): void {
    const { id } = this.#request;
    this.#write({ jsonrpc: "2.0", method, params: { ...params, _meta: { [SUBSCRIPTION]: id } } });
  }

  #write(message: object): void {
    const { response } = this.#request;
    response.write(Buffer.concat(eventOf([Buffer.from(JSON.stringify(message))])));
    if (response.writableLength > MAX_UNREAD_BYTES) response.destroy();
  }
}
