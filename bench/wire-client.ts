// A client for unary gRPC that costs a fraction of any server, so that a server of one core is what is measured: it writes frames
// from prepared messages, and reads of an answer only whether it allows. Obeys windows, limits of streams, and fills HPACK's
// dynamic table as proxies do. I/O.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { FLAG, FRAME, PREFACE, writeHeader } from "../src/http2/frame.ts";
import { frame, settings, window } from "../test/fakes/http2-frames.ts";
import { verdictOf } from "./check-answer.ts";
import { headerBlocks } from "./header-blocks.ts";
import type { Answered, Connection } from "./service.ts";

const WINDOW = 2 ** 31 - 1;
const MAX_CONCURRENT_STREAMS = 3;
const INITIAL_WINDOW_SIZE = 4;
const FIRST_WINDOW = 65_535;
const HEADER = 9;
const DATA_BYTES = 16_384;
/** Bytes that are written at once. */
const OUT_BYTES = 1 << 20;
/** Received bytes after which the connection's window is filled up. */
const REFILL = 1 << 24;
const PREFIX = 5;

interface Call {
  readonly due: number;
  readonly message: Buffer;
  readonly stream: number;
  window: number;
  sent: number;
  answer: Buffer;
}

export interface WireOptions {
  readonly address: string;
  readonly path: string;
  /** Messages with their gRPC prefix, taken in turn. */
  readonly requests: readonly Buffer[];
  readonly answered: Answered;
}

/** One connection. */
export class WireConnection implements Connection {
  last: Buffer = Buffer.alloc(0);
  closed = 0;
  readonly #options: WireOptions;
  readonly #socket: Socket;
  readonly #calls = new Map<number, Call>();
  /** Not yet sent to the end, in order. */
  readonly #waiting: Call[] = [];
  readonly #out = Buffer.allocUnsafe(OUT_BYTES);
  readonly #blocks: readonly [first: Buffer, later: Buffer];
  readonly #ready = Promise.withResolvers<void>();
  #filled = 0;
  #next = 0;
  #stream = -1;
  #window = FIRST_WINDOW;
  #streamWindow = FIRST_WINDOW;
  #maxStreams = Infinity;
  #received = 0;
  #rest: Buffer = Buffer.alloc(0);
  #isClosing = false;

  private constructor(socket: Socket, options: WireOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#blocks = headerBlocks(options.path, options.address);
    this.#next = Math.floor(Math.random() * options.requests.length);
    socket.on("data", (bytes: Buffer) => this.#read(bytes));
    socket.on("close", () => this.#ended());
    socket.on("error", () => {});
    socket.write(Buffer.concat([PREFACE, settings([INITIAL_WINDOW_SIZE, WINDOW]), window(0, WINDOW - FIRST_WINDOW)]));
  }

  /** Resolves when the server's settings are there. */
  static async open(options: WireOptions): Promise<WireConnection> {
    const { hostname, port } = new URL(`http://${options.address}`);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, "connect");
    const connection = new WireConnection(socket, options);
    await connection.#ready.promise;
    return connection;
  }

  send(due: number): number {
    const { requests } = this.#options;
    const message = requests[this.#next] ?? Buffer.alloc(0);
    this.#next = (this.#next + 1) % requests.length;
    this.#stream += 2;
    const call = { due, message, stream: this.#stream, window: 0, sent: -1, answer: Buffer.alloc(0) };
    if (this.#waiting.length > 0 || !this.#write(call)) this.#waiting.push(call);
    return call.stream;
  }

  reset(stream: number): boolean {
    const call = this.#calls.get(stream);
    if (call === undefined) return false;
    this.#calls.delete(stream);
    this.#put(frame({ type: FRAME.rstStream, stream, payload: Buffer.from([0, 0, 0, 8]) }));
    this.flush();
    return true;
  }

  flush(): void {
    if (this.#filled === 0) return;
    this.#socket.write(Buffer.from(this.#out.subarray(0, this.#filled)));
    this.#filled = 0;
  }

  close(): void {
    this.#isClosing = true;
    this.#socket.destroy();
  }

  /** Writes what the windows allow of a call. @returns true when it is whole */
  #write(call: Call): boolean {
    if (call.sent < 0) {
      if (this.#calls.size >= this.#maxStreams) return false;
      this.#begin(call);
    }
    while (call.sent < call.message.length) {
      const length = Math.min(DATA_BYTES, call.message.length - call.sent, this.#window, call.window);
      if (length <= 0) return false;
      const isEnd = call.sent + length === call.message.length;
      this.#room(HEADER + length);
      const head = { length, type: FRAME.data, flags: isEnd ? FLAG.endStream : 0, stream: call.stream };
      this.#filled = writeHeader(this.#out, this.#filled, head);
      call.message.copy(this.#out, this.#filled, call.sent, call.sent + length);
      this.#filled += length;
      call.sent += length;
      call.window -= length;
      this.#window -= length;
    }
    return true;
  }

  #begin(call: Call): void {
    const block = this.#blocks[this.#calls.size === 0 && call.stream === 1 ? 0 : 1];
    this.#room(HEADER + block.length);
    const head = { length: block.length, type: FRAME.headers, flags: FLAG.endHeaders, stream: call.stream };
    this.#filled = writeHeader(this.#out, this.#filled, head);
    this.#filled += block.copy(this.#out, this.#filled);
    call.sent = 0;
    call.window = this.#streamWindow;
    this.#calls.set(call.stream, call);
  }

  #room(bytes: number): void {
    if (this.#filled + bytes > OUT_BYTES) this.flush();
  }

  #put(bytes: Buffer): void {
    this.#room(bytes.length);
    this.#filled += bytes.copy(this.#out, this.#filled);
  }

  #writeWaiting(): void {
    for (let call = this.#waiting[0]; call !== undefined && this.#write(call); call = this.#waiting[0])
      this.#waiting.shift();
  }

  #read(bytes: Buffer): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    while (all.length - at >= HEADER) {
      const end = at + HEADER + all.readUIntBE(at, 3);
      if (end > all.length) break;
      const stream = all.readUInt32BE(at + 5);
      this.#frame(all[at + 3] ?? 0, { flags: all[at + 4] ?? 0, stream, payload: all.subarray(at + HEADER, end) });
      at = end;
    }
    this.#rest = all.subarray(at);
    this.#writeWaiting();
    this.flush();
  }

  #frame(type: number, { flags, stream, payload }: { flags: number; stream: number; payload: Buffer }): void {
    const isEnd = (flags & FLAG.endStream) !== 0;
    if (type === FRAME.data) this.#data(stream, payload, isEnd);
    else if (type === FRAME.headers && isEnd) this.#done(stream);
    else if (type === FRAME.rstStream) this.#done(stream);
    else if (type === FRAME.windowUpdate) this.#widen(stream, payload.readUInt32BE());
    else if (type === FRAME.settings && (flags & FLAG.ack) === 0) this.#settings(payload);
    else if (type === FRAME.ping && (flags & FLAG.ack) === 0) this.#put(frame({ type, flags: FLAG.ack, payload }));
  }

  #data(stream: number, payload: Buffer, isEnd: boolean): void {
    this.#received += payload.length;
    if (this.#received > REFILL) {
      this.#put(window(0, this.#received));
      this.#received = 0;
    }
    const call = this.#calls.get(stream);
    if (call !== undefined) call.answer = call.answer.length === 0 ? payload : Buffer.concat([call.answer, payload]);
    if (isEnd) this.#done(stream);
  }

  #done(stream: number): void {
    const call = this.#calls.get(stream);
    if (call === undefined) return;
    this.#calls.delete(stream);
    this.last = call.answer.subarray(PREFIX);
    this.#options.answered(call.due, verdictOf(this.last));
  }

  #widen(stream: number, bytes: number): void {
    const call = this.#calls.get(stream);
    if (stream === 0) this.#window += bytes;
    else if (call !== undefined) call.window += bytes;
  }

  #settings(payload: Buffer): void {
    for (let at = 0; at < payload.length; at += 6) {
      const [id, value] = [payload.readUInt16BE(at), payload.readUInt32BE(at + 2)];
      if (id === INITIAL_WINDOW_SIZE) this.#streamWindow = value;
      if (id === MAX_CONCURRENT_STREAMS) this.#maxStreams = value;
    }
    this.#put(frame({ type: FRAME.settings, flags: FLAG.ack }));
    this.#ready.resolve();
  }

  #ended(): void {
    this.#ready.resolve();
    if (this.#isClosing) return;
    this.closed += 1;
    for (const { due } of this.#calls.values()) this.#options.answered(due, "fault");
    this.#calls.clear();
  }
}

/** Several connections as one: calls go to each in turn. */
export async function openWire(options: WireOptions, connections: number): Promise<Connection> {
  const all: WireConnection[] = [];
  for (let i = 0; i < connections; i += 1) all.push(await WireConnection.open(options));
  const [first] = all;
  if (first === undefined) throw new Error("no connection");
  if (all.length === 1) return first;
  let next = 0;
  return {
    send: (due) => (all[(next += 1) % all.length] ?? first).send(due),
    reset: () => false,
    flush: () => all.forEach((one) => one.flush()),
    close: () => all.forEach((one) => one.close()),
    get last() {
      return first.last;
    },
    get closed() {
      return all.reduce((sum, one) => sum + one.closed, 0);
    },
  };
}
