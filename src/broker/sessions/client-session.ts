// One session of a client of an older revision: whose it is, and everything that belongs to it. I/O by its parts.
import { createBoundUpstreams, type BoundUpstreams } from "./bound-upstreams.ts";
import { createClientAnswers, type ClientAnswers } from "./client-answers.ts";
import type { ClientCapabilities } from "./client-capabilities.ts";
import { createServerRequests, type ServerRequests } from "./server-requests.ts";
import type { SessionHolder } from "./session-id.ts";
import { createClientStreams, type ClientStreams } from "./client-streams.ts";
import { createHearing, type Hearing, type HearingOptions } from "./hearing.ts";
import { mergedUri } from "../../mcp/merged-names.ts";
import type { EventRef } from "./event-ids.ts";
import { createLeftCalls, type LeftCalls, type ReturnedClient } from "./left-calls.ts";
import { createListChanges, type ListChanges, type ListChangesOptions } from "./list-changes.ts";
import { createSettings, type SessionSettings } from "./session-settings.ts";
import { createUpdates } from "../watch/updates.ts";
import { createWaitingNotices } from "./waiting-notices.ts";
import { createSessionWatch, type SessionWatch } from "../watch/session-watch.ts";
import { createSubscriptions, type Subscriptions, type SubscriptionsOptions } from "./subscriptions.ts";

export interface ClientSession {
  /** Random, one for each session: the ids of its calls count together. */
  readonly key: string;
  readonly holder: SessionHolder;
  readonly capabilities: ClientCapabilities;
  /** Takes the capabilities of a client whose handshake comes in a session that is open already (HTTP+SSE). */
  readonly declare: (capabilities: ClientCapabilities) => void;
  readonly upstreams: BoundUpstreams;
  readonly requests: ServerRequests;
  /** What calls of hers ask her. */
  readonly answers: ClientAnswers;
  readonly settings: SessionSettings;
  /** The streams that the client has opened. */
  readonly streams: ClientStreams;
  /** The resources whose changes she wants to hear of. */
  readonly subscriptions: Subscriptions;
  /** Those of servers of the stateless revision. */
  readonly watch: SessionWatch;
  /** Takes a slot for a message of hers to servers, and returns its release; null if too many of hers are under way. */
  readonly tryMessage: () => (() => void) | null;
  /** The same for a stream that she opens, which takes a connection of the broker. */
  readonly tryStream: () => (() => void) | null;
  /** Calls whose client is to come back for the answer. */
  readonly left: LeftCalls;
  /** An event's id as the client gets it. */
  eventId(event: EventRef): string;
  /**
   * Goes on after this event. True for one of a call, which takes the response; else the server's stream goes on there the next
   * time that it is asked for. Nothing for an id of another MCP session.
   */
  resumeAt(eventId: string, client: Omit<ReturnedClient, "lastEventId">): boolean;
  /** Counts one request or stream under way; the returned function ends it. */
  use(): () => void;
  /** Milliseconds since the last use ended; 0 while there is one. */
  idleFor(): number;
  /** Ends it and all that belongs to it. */
  end(): void;
  /** Aborted with its end. */
  readonly ended: AbortSignal;
}

export interface ClientSessionOptions
  extends
    HearingOptions,
    Pick<ListChangesOptions, "notices" | "audience">,
    Pick<SubscriptionsOptions, "policies" | "now"> {
  readonly capabilities: ClientCapabilities;
  /** As {@link ClientSession.tryMessage}. */
  readonly tryMessage: ClientSession["tryMessage"];
  readonly tryStream: ClientSession["tryStream"];
  /** Called once, with its end. */
  readonly onEnd: () => void;
  /** Receives each deletion of a session at a server, which resolves soon. */
  readonly onDelete: (deletion: Promise<void>) => void;
}

export function createClientSession(options: ClientSessionOptions): ClientSession {
  const { key, holder, monotonic, tryMessage, tryStream, onEnd, onDelete } = options;
  const [capabilities, ending] = [{ ...options.capabilities }, new AbortController()];
  const requests = createServerRequests();
  const answers = createClientAnswers();
  const settings = createSettings();
  const left = createLeftCalls();
  const subscriptions = subscriptionsOf(options, (message) => void streams.send(message, null, null));
  const watch = watchOf(options, { subscriptions, send: (...message) => streams.send(...message) });
  const upstreams = createBoundUpstreams({
    ...{ monotonic, capabilities, onDelete, onLost: end },
    async onOpen(open) {
      await settings.applyTo(open);
      hearing.begin(open.upstream.name);
    },
  });
  const streams = createClientStreams({
    onFirst() {
      hearing.beginAll();
      changes.begin();
    },
    onOpen: () => remind(subscriptions, changes),
    onNone() {
      hearing.endAll();
      changes.end();
    },
  });
  const changes = createListChanges({ ...options, send: (...message) => streams.send(...message) });
  const hearing = createHearing(options, {
    ...{ upstreams, streams, requests, subscriptions, capabilities },
    onLost: end,
  });

  function end(): void {
    if (ending.signal.aborted) return;
    ending.abort();
    for (const part of [requests, answers, streams]) part.close();
    hearing.endAll();
    for (const part of [changes, watch, upstreams]) part.end();
    onEnd();
  }

  return {
    ...{ key, holder, capabilities, upstreams, requests, answers, settings, streams, subscriptions, watch },
    ...{ tryMessage, tryStream, end, ended: ending.signal, left },
    declare: (declared) => void Object.assign(capabilities, declared),
    ...createResumption(options, { left, hearing }),
    ...createUsage(monotonic),
  };
}

/** Has her list anew what is suspended: with her list comes the proof. */
function remind(subscriptions: Subscriptions, changes: ListChanges): void {
  if (subscriptions.isAnySuspended()) changes.tell(["resources"]);
}

function subscriptionsOf(
  { policies, now, audience: { offers }, holder }: ClientSessionOptions,
  send: (message: Buffer) => void,
): Subscriptions {
  const onMissed = (server: string, uri: string) => send(Buffer.from(updateOf(holder, server, uri)));
  return createSubscriptions({ policies, now, offers, onMissed });
}

/** Tells of each resource a few times a second at most, and no faster than she reads. */
function watchOf(
  { holder }: ClientSessionOptions,
  { subscriptions, send }: { readonly subscriptions: Subscriptions } & Pick<ClientStreams, "send">,
): SessionWatch {
  const waiting = createWaitingNotices((message, source) => void send(message, null, source));
  const updates = createUpdates({
    ...{ isInForce: () => true, onOver: () => {}, send: waiting.add },
    offers: (server, uri) => subscriptions.hears(server, uri),
  });
  updates.begin();
  const watch = createSessionWatch((server, uri) => updates.add(server, uri, updateOf(holder, server, uri)));
  const end = () => {
    for (const part of [watch, { end: updates.close }, { end: waiting.clear }]) part.end();
  };
  return { ...watch, end };
}

/** Tells her that a resource has changed, under its name at her endpoint. */
function updateOf({ server: own }: SessionHolder, server: string, uri: string): string {
  const params = { uri: own === null ? mergedUri(server, uri) : uri };
  return JSON.stringify({ jsonrpc: "2.0", method: "notifications/resources/updated", params });
}

/** What came last on a stream, in ids that say nothing to anybody else. */
function createResumption(
  { events, key }: ClientSessionOptions,
  { left, hearing }: { readonly left: LeftCalls; readonly hearing: Hearing },
): Pick<ClientSession, "eventId" | "resumeAt"> {
  return {
    eventId: (event) => events.seal(key, event),
    resumeAt(eventId, client) {
      const event = events.open(key, eventId);
      if (event === null) return false;
      if (event.call !== null) return left.resume(event.call, { ...client, lastEventId: event.id });
      hearing.resumeAt(event);
      return false;
    },
  };
}

/** Counts what is under way. */
function createUsage(monotonic: () => number): Pick<ClientSession, "use" | "idleFor"> {
  let users = 0;
  let usedAt = monotonic();
  return {
    use() {
      users += 1;
      let isCounted = true;
      return () => {
        if (!isCounted) return;
        isCounted = false;
        users -= 1;
        usedAt = monotonic();
      };
    },
    idleFor: () => (users > 0 ? 0 : monotonic() - usedAt),
  };
}
