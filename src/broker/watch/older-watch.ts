// Listens at one server of an older revision for changes of resources, in an MCP session of its own: subscribes to each, and hears of
// them on the stream of GET, or of HTTP+SSE. I/O by upstream/ and sessions/listen-upstream.ts.
// https://modelcontextprotocol.io/specification/2025-11-25/server/resources#subscriptions
import { innerObjectSpan, readObjectSpan } from "../../json/spans.ts";
import { isObject } from "../../json/object.ts";
import { shortValue } from "../../mcp/upstream-message.ts";
import { createNotificationBudget } from "../relay/notification-budget.ts";
import { listenUpstream, type HeardMessage } from "../sessions/listen-upstream.ts";
import { createPacer } from "../upstream/brake.ts";
import { createBudget, endSession, sendOwn } from "../upstream/client.ts";
import { handshake, type LegacyDialect, type SendOwn } from "../upstream/era.ts";
import { createReadMessage } from "../upstream/message.ts";
import { answerForNobody } from "../upstream/reply.ts";
import type { Watched } from "./watched.ts";

export interface OlderWatchOptions extends Watched {
  /** Receives the own URI of each of the resources that the server says has changed. */
  readonly onUpdate: (uri: string) => void;
}

/** A stream of a server's that has begun. */
export interface WatchedStream {
  /** The own URIs that the server tells of; pending while it has not said. */
  readonly acknowledged: Promise<readonly string[]>;
  /** Reads it to its end. @throws {HttpFault} */
  read(): Promise<void>;
}

const readMessage = createReadMessage(createPacer());
/** Of one stream, as of one call. */
const EVENTS_PER_SECOND = 100;
/** Requests to the server at a time. */
const AT_ONCE = 8;
const MAX_UPDATE_BYTES = 16 * 1024;

/** Begins the MCP session, which ends with the signal or with the server's stream. @throws {HttpFault} */
export async function beginOlderWatch(options: OlderWatchOptions, signal: AbortSignal): Promise<WatchedStream> {
  const { upstream, credential } = options;
  const ask = sendOwn(upstream, credential, createBudget(signal));
  const dialect = await handshake(ask, (begun) => endSession(upstream, credential, begun));
  return olderStream(options, { ask, dialect, signal });
}

interface Begun {
  readonly ask: SendOwn;
  readonly dialect: LegacyDialect;
  readonly signal: AbortSignal;
}

function olderStream(options: OlderWatchOptions, begun: Begun): WatchedStream {
  const { dialect, signal } = begun;
  const { upstream, credential, uris, onUpdate } = options;
  const opened = Promise.withResolvers<null>();
  const position = { lastEventId: null };
  let isFirst = true;
  const onOpen = () => {
    opened.resolve(null);
    // A stream that does not go on where it was says nothing of what changed meanwhile.
    if (!isFirst && position.lastEventId === null) for (const uri of uris.keys()) onUpdate(uri);
    isFirst = false;
  };
  return {
    // Only behind the stream: a server tells of a change on the streams that it has then.
    acknowledged: opened.promise.then(() => subscribe(begun, [...uris.keys()])),
    read: () =>
      listenUpstream({
        ...{ position, signal, readMessage, onOpen, onLost: () => {} },
        session: () => ({ upstream, credential, dialect }),
        isWithin: createNotificationBudget(EVENTS_PER_SECOND, () => performance.now()),
        onMessage: (heard) => take(options, dialect, heard),
      }).finally(() => endSession(upstream, credential, dialect)),
  };
}

/** Those that the server takes, each by a request of its own. */
async function subscribe({ ask, dialect }: Begun, uris: readonly string[]): Promise<readonly string[]> {
  const taken: string[] = [];
  for (let at = 0; at < uris.length; at += AT_ONCE) {
    const some = uris.slice(at, at + AT_ONCE);
    const answers = await Promise.all(some.map((uri) => ask(dialect, "resources/subscribe", { uri }).catch(none)));
    taken.push(...some.filter((_, i) => answers[i]?.status === 200 && isObject(answers[i].message?.["result"])));
  }
  return taken;
}

/** A request that fails costs its resource alone. */
function none(): null {
  return null;
}

function take(options: OlderWatchOptions, dialect: LegacyDialect, { data, message }: HeardMessage): void {
  if (message.kind === "request") answerForNobody(options, dialect, message);
  if (message.kind !== "notification" || message.method !== "notifications/resources/updated") return;
  const uri = data.length > MAX_UPDATE_BYTES ? null : uriIn(data);
  if (typeof uri === "string" && options.uris.has(uri)) options.onUpdate(uri);
}

function uriIn(data: Buffer): unknown {
  const params = innerObjectSpan(data, readObjectSpan(data)?.members.get("params"));
  return shortValue(data, params?.members.get("uri"));
}
