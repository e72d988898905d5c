// One HTTP/2 connection, the server's side (RFC 9113), for requests with one body: bytes in, requests out, bytes back. Pure.
import { Budget } from "./budget.ts";
import { ConnectionFault, ERROR, StreamFault, type ErrorCode } from "./fault.ts";
import {
  DEFAULT_WINDOW,
  FLAG,
  FRAME,
  goAwayFrame,
  MAX_WINDOW,
  pingAck,
  pingFrame,
  rstStreamFrame,
  SETTING,
  SETTINGS_ACK,
  settingsFrame,
  windowUpdateFrame,
  type Frame,
} from "./frame.ts";
import { checkFrame } from "./frame-rules.ts";
import { FrameReader } from "./frame-reader.ts";
import { dependsOnItself, HeaderBlocks, type HeaderBlock } from "./header-block.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { CONNECTION_WINDOW, IDLE_FRAMES, MAX_STREAMS, RESETS, SETTINGS_FRAMES, STREAM_WINDOW } from "./limits.ts";
import { Receiver, type ReceiverPorts } from "./receiver.ts";
import { HeadReader, HEADER_LIST_BYTES } from "./request-head.ts";
import { ResetStreams } from "./reset-streams.ts";
import { Sender } from "./sender.ts";
import { readSettings } from "./settings.ts";
import { Stream } from "./stream.ts";

export interface ConnectionPorts extends ReceiverPorts {
  /** Nothing more is read or written: the transport ends once what was written has left. */
  readonly end: () => void;
  /** Takes a request when its header fields are here: sets `stream.listener`, or answers at once. */
  readonly onRequest: (stream: Stream) => void;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  readonly maxBodyBytes: number;
}

/** What the server says first: its settings, and the connection's window. */
const GREETING: Buffer = Buffer.concat([
  settingsFrame([
    [SETTING.maxConcurrentStreams, MAX_STREAMS],
    [SETTING.initialWindowSize, STREAM_WINDOW],
    [SETTING.maxHeaderListSize, HEADER_LIST_BYTES],
  ]),
  windowUpdateFrame(0, CONNECTION_WINDOW - DEFAULT_WINDOW),
]);
/** By this PING's acknowledgement the client has seen the first GOAWAY. */
const GOING: Buffer = Buffer.from("goingout");

export class Connection {
  readonly #ports: ConnectionPorts;
  readonly #frames = new FrameReader((frame) => this.#frame(frame));
  readonly #blocks = new HeaderBlocks();
  readonly #hpack = new HpackDecoder();
  readonly #sender: Sender;
  readonly #receiver: Receiver;
  readonly #streams = new Map<number, Stream>();
  readonly #reset = new ResetStreams();
  readonly #resets: Budget;
  readonly #idleFrames: Budget;
  readonly #settingsFrames: Budget;
  /** The highest number of a stream that the client has opened. */
  #lastStream = 0;
  /** Streams above it are refused: what the last GOAWAY said. */
  #lastAccepted = MAX_WINDOW;
  #hasSettings = false;
  #isGoing = false;
  #isOver = false;

  constructor(ports: ConnectionPorts) {
    this.#ports = ports;
    this.#sender = new Sender(ports.write, (stream) => this.#responded(stream));
    this.#receiver = new Receiver(ports);
    this.#resets = new Budget(RESETS, ports.now);
    this.#idleFrames = new Budget(IDLE_FRAMES, ports.now);
    this.#settingsFrames = new Budget(SETTINGS_FRAMES, ports.now);
    ports.write(GREETING);
  }

  /** True where the client has begun something that it must go on with, or does not take an answer. */
  get isWaiting(): boolean {
    const isBegun = this.#frames.isWaiting || this.#blocks.isOpen || !this.#hasSettings;
    return !this.#isOver && (isBegun || this.#sender.isWaiting);
  }

  /** Takes bytes of the client. A fault of the connection ends it with GOAWAY. */
  receive(part: Buffer): void {
    if (this.#isOver) return;
    try {
      this.#frames.push(part);
    } catch (error) {
      if (!(error instanceof ConnectionFault)) throw error;
      this.fail(error.code);
    }
  }

  /** The transport is gone. */
  gone(): void {
    this.#isOver = true;
    this.#receiver.close();
    for (const stream of this.#streams.values()) this.#close(stream);
  }

  /** Ends the connection with GOAWAY, and every stream on it. */
  fail(code: ErrorCode): void {
    if (this.#isOver) return;
    this.#ports.write(goAwayFrame(this.#lastStream, code));
    this.gone();
    this.#ports.end();
  }

  /** Says that no new streams are taken, in two steps (RFC 9113 §6.8); ends once the open ones are done. */
  shutdown(): void {
    if (this.#isGoing || this.#isOver) return;
    this.#isGoing = true;
    this.#ports.write(Buffer.concat([goAwayFrame(MAX_WINDOW, ERROR.none), pingFrame(GOING)]));
  }

  /** The second step: by the PING's acknowledgement, or without it when the transport has waited long enough. */
  refuseNew(): void {
    if (!this.#isGoing || this.#isOver || this.#lastAccepted !== MAX_WINDOW) return;
    this.#lastAccepted = this.#lastStream;
    this.#ports.write(goAwayFrame(this.#lastStream, ERROR.none));
    this.#endIfDone();
  }

  /** Sends header fields as the whole response. Does nothing on a closed stream, as all that sends. */
  respondHead(stream: Stream, block: Buffer): void {
    if (isWritable(stream)) this.#sender.headers(stream, block, true);
  }

  /** Sends header fields, one message and trailers. */
  respond(stream: Stream, response: { head: Buffer; message: Buffer; trailers: Buffer }): void {
    if (isWritable(stream)) this.#sender.whole(stream, response);
  }

  /** Begins a response of several messages. */
  open(stream: Stream, block: Buffer): void {
    if (isWritable(stream)) this.#sender.headers(stream, block, false);
  }

  /** Sends one message of a response that `open` began. */
  send(stream: Stream, message: Buffer): void {
    if (isWritable(stream)) this.#sender.data(stream, message);
  }

  /** Ends a response that `open` began. */
  close(stream: Stream, trailers: Buffer): void {
    if (isWritable(stream)) this.#sender.trailers(stream, trailers);
  }

  /** The rest of the request is not wanted. */
  discardBody(stream: Stream): void {
    this.#receiver.drop(stream);
  }

  #frame(frame: Frame): void {
    if (this.#isOver) return;
    if (!this.#hasSettings && (frame.type !== FRAME.settings || (frame.flags & FLAG.ack) !== 0)) {
      throw new ConnectionFault(ERROR.protocol, "no SETTINGS behind the preface");
    }
    if (this.#blocks.isOpen && frame.type !== FRAME.continuation) {
      throw new ConnectionFault(ERROR.protocol, "a frame in the midst of a header block");
    }
    checkFrame(frame);
    switch (frame.type) {
      case FRAME.data:
        this.#data(frame);
        return;
      case FRAME.headers:
        this.#headers(this.#blocks.headers(frame));
        return;
      case FRAME.continuation:
        this.#headers(this.#blocks.continuation(frame));
        return;
      case FRAME.rstStream:
        this.#rstStream(frame);
        return;
      default:
        this.#idle(frame);
    }
  }

  /** Frames that carry no request further. */
  #idle(frame: Frame): void {
    this.#charge(this.#idleFrames);
    if (frame.type === FRAME.windowUpdate) this.#windowUpdate(frame);
    else if (frame.type === FRAME.settings) this.#settings(frame);
    else if (frame.type === FRAME.ping) this.#ping(frame);
    else if (frame.type === FRAME.priority && dependsOnItself(frame, frame.start)) {
      this.#abort(frame.stream, new StreamFault(ERROR.protocol, "a stream that depends on itself"));
    }
  }

  #charge(budget: Budget): void {
    if (!budget.take()) throw new ConnectionFault(ERROR.enhanceYourCalm, "too many frames that lead nowhere");
  }

  #data(frame: Frame): void {
    this.#receiver.count(frame);
    const isLast = (frame.flags & FLAG.endStream) !== 0;
    if (frame.end === frame.start && !isLast) this.#charge(this.#idleFrames);
    const stream = this.#streams.get(frame.stream);
    if (stream === undefined && this.#reset.has(frame.stream)) {
      this.#charge(this.#idleFrames);
      return;
    }
    this.#onStream(frame.stream, () => {
      if (stream === undefined) throw this.#notOpen(frame.stream);
      if (!stream.isReading) throw behindItsEnd();
      this.#receiver.data(stream, frame, isLast);
      if (isLast) this.#requested(stream);
    });
  }

  /** Faults of one stream end it alone. */
  #onStream(id: number, step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof StreamFault)) throw error;
      this.#abort(id, error);
    }
  }

  /** The fault of DATA on an idle or closed stream. */
  #notOpen(id: number): ConnectionFault | StreamFault {
    if (id > this.#lastStream || id % 2 === 0) return new ConnectionFault(ERROR.protocol, "a stream that is not open");
    return new StreamFault(ERROR.streamClosed, "a stream that is closed");
  }

  #headers(block: HeaderBlock | null): void {
    if (block === null) return;
    const reader = new HeadReader();
    this.#hpack.decode(block.bytes, block, reader.add);
    const stream = this.#streams.get(block.stream);
    this.#onStream(block.stream, () => {
      if (stream !== undefined) this.#trailers(stream, block, reader);
      else this.#newStream(block, reader);
    });
  }

  #trailers(stream: Stream, block: HeaderBlock, reader: HeadReader): void {
    if (!stream.isReading) throw behindItsEnd();
    const fault = block.isLast ? reader.trailers() : "trailers without END_STREAM";
    if (fault !== null) throw new StreamFault(ERROR.protocol, fault);
    this.#requested(stream);
  }

  #newStream(block: HeaderBlock, reader: HeadReader): void {
    const id = block.stream;
    if (id <= this.#lastStream || id % 2 === 0) this.#usedNumber(id);
    else this.#lastStream = id;
    if (id > this.#lastAccepted || this.#streams.size >= MAX_STREAMS) {
      throw new StreamFault(ERROR.refusedStream, "more streams than are taken");
    }
    const head = reader.request();
    if (typeof head === "string") throw new StreamFault(ERROR.protocol, head);
    const { maxBodyBytes, onRequest } = this.#ports;
    const stream = new Stream(id, head, { sendWindow: this.#sender.initialWindow, maxBodyBytes });
    this.#receiver.open(stream);
    this.#streams.set(id, stream);
    onRequest(stream);
    if (block.isLast) this.#requested(stream);
  }

  /** HEADERS on a stream that is over (RFC 9113 §5.1.1). @throws always */
  #usedNumber(id: number): never {
    if (this.#reset.has(id)) throw new StreamFault(ERROR.streamClosed, "a stream that we have reset");
    const isClosed = id === this.#lastStream;
    throw new ConnectionFault(isClosed ? ERROR.streamClosed : ERROR.protocol, "a number of a stream that was used");
  }

  /** The whole request is here. */
  #requested(stream: Stream): void {
    this.#receiver.end(stream);
    if (!stream.isWriting) this.#close(stream);
  }

  /** The whole response has left. A client that still sends is told to stop (RFC 9113 §8.1). */
  #responded(stream: Stream): void {
    if (stream.isClosed) return;
    if (stream.isReading) {
      this.#ports.write(rstStreamFrame(stream.id, ERROR.none));
      this.#reset.add(stream.id);
    }
    this.#close(stream);
  }

  #rstStream({ stream: id }: Frame): void {
    if (id > this.#lastStream || id % 2 === 0) throw new ConnectionFault(ERROR.protocol, "RST_STREAM of no stream");
    this.#charge(this.#resets);
    const stream = this.#streams.get(id);
    if (stream !== undefined) this.#close(stream);
  }

  #abort(id: number, { code }: StreamFault): void {
    this.#charge(this.#resets);
    this.#ports.write(rstStreamFrame(id, code));
    this.#reset.add(id);
    const stream = this.#streams.get(id);
    if (stream !== undefined) this.#close(stream);
  }

  #close(stream: Stream): void {
    if (stream.isClosed) return;
    stream.isClosed = true;
    this.#streams.delete(stream.id);
    this.#receiver.forget(stream);
    this.#sender.drop(stream);
    if (stream.isWriting) stream.listener?.onGone();
    this.#endIfDone();
  }

  #endIfDone(): void {
    if (this.#isOver || this.#lastAccepted === MAX_WINDOW || this.#streams.size > 0) return;
    this.#isOver = true;
    this.#receiver.close();
    this.#ports.end();
  }

  #windowUpdate({ stream: id, bytes, start }: Frame): void {
    const increment = bytes.readUInt32BE(start) & MAX_WINDOW;
    if (id === 0) {
      this.#sender.openConnection(increment);
      return;
    }
    if (id > this.#lastStream || id % 2 === 0) throw new ConnectionFault(ERROR.protocol, "a window of no stream");
    const stream = this.#streams.get(id);
    if (stream !== undefined) this.#onStream(id, () => this.#sender.openStream(stream, increment));
  }

  #settings(frame: Frame): void {
    if ((frame.flags & FLAG.ack) !== 0) {
      if (frame.end > frame.start) throw new ConnectionFault(ERROR.frameSize, "an acknowledgement with settings");
      return;
    }
    this.#charge(this.#settingsFrames);
    this.#hasSettings = true;
    const { initialWindow, frameBytes } = readSettings(frame);
    this.#ports.write(SETTINGS_ACK);
    if (frameBytes !== undefined) this.#sender.frameBytes = frameBytes;
    if (initialWindow !== undefined) this.#sender.setInitialWindow(initialWindow, this.#streams.values());
  }

  #ping({ flags, bytes, start, end }: Frame): void {
    const opaque = bytes.subarray(start, end);
    if ((flags & FLAG.ack) === 0) this.#ports.write(pingAck(opaque));
    else if (opaque.equals(GOING)) this.refuseNew();
  }
}

/** A frame of a request behind its END_STREAM (RFC 9113 §5.1: half-closed). A client that does it has lost count of its streams. */
function behindItsEnd(): ConnectionFault {
  return new ConnectionFault(ERROR.streamClosed, "a frame behind END_STREAM");
}

function isWritable(stream: Stream): boolean {
  return !stream.isClosed && stream.isWriting;
}
