// What a client's session hears from its servers while she listens: requests, and the notifications that are hers. I/O by
// listen-upstream.ts.
import { innerObjectSpan, readObjectSpan, splice } from "../../json/spans.ts";
import { mergedUri } from "../../mcp/merged-names.ts";
import { shortValue } from "../../mcp/upstream-message.ts";
import { changedKindOf, type ChangeKind } from "../change-notices.ts";
import { createNotificationBudget } from "../relay/notification-budget.ts";
import { errorReply, postMessage, resultReply } from "../upstream/reply.ts";
import type { OpenSession } from "../upstream/session.ts";
import type { ReadMessage } from "../upstream/message.ts";
import { askClient, cancellationFor, MAX_SEARCHED_BYTES, type AskedClient } from "./ask-client.ts";
import type { BoundUpstreams } from "./bound-upstreams.ts";
import type { ClientStreams } from "./client-streams.ts";
import type { EventIds, EventRef } from "./event-ids.ts";
import type { SessionHolder } from "./session-id.ts";
import type { Subscriptions } from "./subscriptions.ts";
import { listenUpstream, type HeardMessage } from "./listen-upstream.ts";

export interface Hearing {
  /** Listens to this server, if the client listens. */
  begin(server: string): void;
  beginAll(): void;
  endAll(): void;
  /** The server's stream goes on after this event, the next time that it is asked for. */
  resumeAt(event: EventRef): void;
}

/** The parts of a session that what is heard goes to. */
export interface HearingParts extends AskedClient {
  readonly upstreams: BoundUpstreams;
  readonly streams: ClientStreams;
  readonly subscriptions: Subscriptions;
  readonly onLost: () => void;
}

export interface HearingOptions {
  /** Random, one for each session. */
  readonly key: string;
  readonly holder: SessionHolder;
  readonly events: EventIds;
  readonly readMessage: ReadMessage;
  /** Messages of one server's stream that are passed on. */
  readonly notificationsPerSecond: number;
  /** Receives each list that a server says has changed: clients are told once the broker has listed it anew. */
  readonly onListChanged: (server: string, kinds: readonly ChangeKind[]) => void;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
}

/** Notifications of a server that say nothing but to whom they go: anybody else's are on the streams of their calls. */
const PASSED = new Set(["notifications/message", "notifications/progress", "notifications/elicitation/complete"]);
const METHOD_NOT_FOUND = -32_601;

export function createHearing(options: HearingOptions, parts: HearingParts): Hearing {
  return new ServerStreams(options, parts);
}

class ServerStreams implements Hearing {
  readonly #options: HearingOptions;
  readonly #parts: HearingParts;
  readonly #positions = new Map<string, { lastEventId: string | null }>();
  readonly #listening = new Map<string, AbortController>();

  constructor(options: HearingOptions, parts: HearingParts) {
    this.#options = options;
    this.#parts = parts;
  }

  begin(server: string): void {
    if (this.#parts.streams.size === 0 || this.#listening.has(server)) return;
    const { notificationsPerSecond, monotonic, readMessage } = this.#options;
    const ending = new AbortController();
    this.#listening.set(server, ending);
    const position = this.#positions.get(server) ?? { lastEventId: null };
    this.#positions.set(server, position);
    const listening = listenUpstream({
      ...{ position, signal: ending.signal, readMessage },
      session: () => this.#sessionAt(server),
      isWithin: createNotificationBudget(notificationsPerSecond, monotonic),
      onMessage: (heard) => this.#take(server, heard, ending),
      onLost: this.#parts.onLost,
    });
    void listening.then(() => this.#parts.requests.forget(ending));
  }

  beginAll(): void {
    for (const { upstream } of this.#parts.upstreams.open()) this.begin(upstream.name);
  }

  endAll(): void {
    for (const ending of this.#listening.values()) ending.abort();
    this.#listening.clear();
  }

  resumeAt({ server, id }: EventRef): void {
    this.#positions.set(server, { lastEventId: id });
  }

  #sessionAt(server: string): OpenSession | null {
    return this.#parts.upstreams.open().find(({ upstream }) => upstream.name === server) ?? null;
  }

  #take(server: string, heard: HeardMessage, origin: object): void {
    const session = this.#sessionAt(server);
    if (session === null) return;
    if (heard.message.kind === "request") this.#answer(session, heard, origin);
    const changed = heard.message.kind === "notification" ? changedKindOf(heard.message.method) : null;
    if (changed !== null) this.#options.onListChanged(server, [changed]);
    const passed = heard.message.kind === "notification" ? this.#notificationOf(session, heard) : null;
    if (passed !== null) this.#send(server, heard, passed);
  }

  #send(server: string, { id, source }: HeardMessage, message: Buffer): boolean {
    const { events, key } = this.#options;
    return this.#parts.streams.send(message, id === null ? null : events.seal(key, { server, id, call: null }), source);
  }

  #answer({ dialect, ...to }: OpenSession, heard: HeardMessage, origin: object): void {
    const { data, message } = heard;
    if (message.kind !== "request") return;
    const asking = { ...{ data, message, to, dialect, origin }, onDone: () => {} };
    if (message.method === "ping") void postMessage(to, dialect, resultReply(message.id, {}));
    else if (!askClient(this.#parts, asking, (asked) => this.#send(to.upstream.name, heard, asked)))
      void postMessage(to, dialect, errorReply(message.id, METHOD_NOT_FOUND, "Method not found"));
  }

  /** The notification as the client gets it; null for one that is not hers. */
  #notificationOf({ upstream, dialect }: OpenSession, { data, message }: HeardMessage): Buffer | null {
    if (message.kind !== "notification") return null;
    if (message.method === "notifications/cancelled") return cancellationFor(this.#parts, data, dialect);
    if (message.method === "notifications/resources/updated") return this.#updateOf(upstream.name, data);
    return PASSED.has(message.method) ? data : null;
  }

  /** A change of a resource that she may hear of, under its name at her endpoint. */
  #updateOf(server: string, data: Buffer): Buffer | null {
    if (data.length > MAX_SEARCHED_BYTES) return null;
    const params = innerObjectSpan(data, readObjectSpan(data)?.members.get("params"));
    const place = params?.members.get("uri");
    const uri = shortValue(data, place);
    if (typeof uri !== "string" || place === undefined || !this.#parts.subscriptions.hears(server, uri)) return null;
    if (this.#options.holder.server !== null) return data;
    return splice(data, [{ ...place, text: JSON.stringify(mergedUri(server, uri)) }]);
  }
}
