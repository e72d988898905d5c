import type { ServerResponse } from "node:http";
import type { Refused } from "../authz/outcome.ts";
import type { Accepts } from "./accepts.ts";
import type { Brake } from "./brake.ts";
import { eventOf } from "./event-stream.ts";
import type { Hold } from "./held-bytes.ts";
import type { RelayAnswer } from "./relay-answer.ts";

/** Who waits for the answer of a call. */
export interface RelayClient {
  readonly response: ServerResponse;
  readonly accepts: Accepts;
  readonly requestId: string;
  /** What is held for this request: until the client has read its answer. */
  readonly hold: Hold;
  /** A refusal as a JSON-RPC error with the request's id. */
  readonly errorBody: (refused: Refused) => string;
}

/** All that a client is told of an answer besides its body (design 4.5). */
const HEADERS = { "cache-control": "no-store" };

/** A stream to a client. */
export interface EventWriter {
  event(data: Buffer): void;
  /** The server said something that the client needs not know: she is told that the call goes on, now and then. */
  alive(): void;
}

const ALIVE_EVERY_MS = 10_000;
const ALIVE = ":\n\n";

/**
 * Begins a stream, which is written no faster than its client reads.
 * @param monotonic milliseconds of a clock that never goes back
 */
export function beginStream({ response }: RelayClient, source: Brake, monotonic: () => number): EventWriter {
  writeStreamHead(response);
  let goOn: (() => void) | null = null;
  response.on("drain", () => {
    goOn?.();
    goOn = null;
  });
  let writtenAt = monotonic();
  const write = (bytes: Buffer | string) => {
    writtenAt = monotonic();
    if (!response.write(bytes)) goOn ??= source.hold();
  };
  return {
    event: (data) => write(eventOf(data)),
    alive() {
      if (monotonic() - writtenAt >= ALIVE_EVERY_MS) write(ALIVE);
    },
  };
}

function writeStreamHead(response: ServerResponse): void {
  response.writeHead(200, { ...HEADERS, "content-type": "text/event-stream" });
  response.flushHeaders();
}

/** The whole answer, in the form that the client takes. */
export function sendAnswer(client: RelayClient, { status, body }: RelayAnswer): void {
  const { response, accepts } = client;
  if (!accepts.json && status === 200) {
    writeStreamHead(response);
    response.end(eventOf(body));
    return;
  }
  response.writeHead(status, { ...HEADERS, "content-type": "application/json", "content-length": body.length });
  response.end(body);
}

/** The last event of a stream. A client that does not read has had her time: her connection is closed. */
export function endStream({ response }: RelayClient, message: Buffer): void {
  if (response.writableNeedDrain) response.destroy();
  else response.end(eventOf(message));
}
