// One stream: a request with its body, and the response (RFC 9113 §5.1). State only; the connection reads and writes.
import { createByteCollector, type ByteCollector } from "../http/byte-collector.ts";
import { STREAM_WINDOW } from "./limits.ts";
import type { RequestHead } from "./request-head.ts";

/** Who is told how a request goes on. */
export interface StreamListener {
  /** Called once, with the whole body, or with null for one that is too long. */
  onBody(body: Buffer | null): void;
  /** Called in its place where the body was discarded before its end: the request is whole. */
  onEnd?(): void;
  /** The stream ended before its response did: the client reset it, broke a rule, or is gone. */
  onGone(): void;
}

export class Stream {
  readonly id: number;
  readonly head: RequestHead;
  listener: StreamListener | null = null;
  /** False from END_STREAM of the client on. */
  isReading = true;
  /** False from our END_STREAM on. */
  isWriting = true;
  isClosed = false;
  /** Bytes that the client may still send. */
  receiveWindow = STREAM_WINDOW;
  /** Bytes that we may still send; below 0 after a SETTINGS that took them back. */
  sendWindow: number;
  /** The body as far as it came; null once it was handed over or is not wanted. */
  body: ByteCollector | null;
  /** Bytes above which the body is too long. */
  maxBodyBytes: number;
  /** Bytes of header fields that count as held. */
  headBytes = 0;
  /** Bytes of the body that came, against `content-length`. */
  bodyBytes = 0;
  /** DATA that waits for a window, and the trailers behind it. */
  readonly waiting: Buffer[] = [];
  trailers: Buffer | null = null;

  constructor(
    id: number,
    head: RequestHead,
    { sendWindow, maxBodyBytes }: { sendWindow: number; maxBodyBytes: number },
  ) {
    this.id = id;
    this.head = head;
    this.sendWindow = sendWindow;
    this.maxBodyBytes = maxBodyBytes;
    this.body = createByteCollector(maxBodyBytes);
  }
}
