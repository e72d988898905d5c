import type { IncomingMessage } from "node:http";
import { HttpFault } from "../http/client.ts";
import type { Operation } from "../mcp/operation.ts";
import { readUpstreamMessage } from "../mcp/upstream-message.ts";
import { createEventParser, type StreamEvent } from "./event-stream.ts";
import { relayAnswer, type RelayAnswer } from "./relay-answer.ts";
import type { RelayRequest } from "./relay-request.ts";
import { consume, isEncoded, letGo, MAX_ANSWER_BYTES } from "./upstream-body.ts";

/** A stream of a server, and the call that it answers. */
export interface RelayStream {
  readonly answer: IncomingMessage;
  readonly request: RelayRequest;
  readonly operation: Operation;
  /** Each sign of life. */
  readonly touch: () => void;
}

/**
 * Reads a stream up to the answer of this call. Only that and notifications count; the rest is dropped: requests of the
 * server's, other ids, other types (B50).
 * @param onNotification given each notification as it came; may slow the stream down by pausing its answer
 * @returns the answer; null if it is one that the client cannot handle
 * @throws {HttpFault} when the stream breaks before the answer
 */
export async function readStream(
  stream: RelayStream,
  onNotification: (data: Buffer) => void,
  onDropped: (events: number) => void,
): Promise<RelayAnswer | null> {
  const { answer } = stream;
  const parser = createEventParser(MAX_ANSWER_BYTES);
  let found: RelayAnswer | null | undefined;
  const take = (events: readonly StreamEvent[]) => {
    for (const event of events) {
      const verdict = judge(stream, event);
      if (verdict === "notification") onNotification(event.data);
      else if (verdict === "dropped") onDropped(1);
      else {
        found = verdict;
        return true; // nothing comes after the answer
      }
    }
    return false;
  };
  try {
    if (isEncoded(answer)) throw new HttpFault("encoded");
    const isDone = await consume(answer, (chunk) => {
      stream.touch();
      return take(parser.push(chunk));
    });
    if (!isDone) take(parser.end());
  } catch (error) {
    answer.destroy(); // it may have no end, and would hold its connection as long
    throw error;
  }
  letGo(answer);
  if (found === undefined) throw new HttpFault("no_answer");
  return found;
}

function judge({ request, operation }: RelayStream, { type, data }: StreamEvent) {
  const message = type === "message" ? readUpstreamMessage(data) : null;
  if (message?.kind === "notification") {
    const isForeign = message.method === "notifications/progress" && message.progressToken !== request.progressToken;
    return isForeign ? "dropped" : "notification";
  }
  if (message?.kind !== "answer" || message.id !== request.wireId) return "dropped";
  return relayAnswer({ bytes: data, message, status: 200 }, request, operation);
}
