// A client for Checks over one connection that costs a fraction of any server: the frames of a call are written once, and of an
// answer only the message is looked at. So a server of one core is what is measured. I/O.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { FLAG, FRAME } from "../src/http2/frame.ts";
import { data, frame, headers, HELLO, settings, window } from "../test/fakes/http2-frames.ts";
import type { Call } from "./harness.ts";

const WINDOW = 2 ** 31 - 1;
const INITIAL_WINDOW_SIZE = 4;
const FIRST_WINDOW = 65_535;
/** Received bytes after which the connection's window is filled up. */
const REFILL = 16 * 1024 * 1024;
const PREFIX = 5;

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
}

interface Waiting {
  readonly done: (message: Buffer) => void;
  readonly fail: (error: Error) => void;
  message: Buffer;
}

/** Sends a unary call again and again; resolves with the message of the answer, empty where there is none. */
export class WireClient {
  readonly #socket: Socket;
  readonly #request: readonly [head: Buffer, body: Buffer];
  readonly #waiting = new Map<number, Waiting>();
  readonly #queue: (() => void)[] = [];
  #stream = -1;
  #sendWindow = FIRST_WINDOW;
  #received = 0;
  #rest: Buffer = Buffer.alloc(0);
  #out: Buffer[] = [];

  private constructor(socket: Socket, request: readonly [Buffer, Buffer]) {
    this.#socket = socket;
    this.#request = request;
    socket.on("data", (bytes: Buffer) => this.#read(bytes));
    socket.on("close", () => this.#end(new Error("the connection is closed")));
    socket.on("error", () => {});
    socket.write(Buffer.concat([HELLO, settings([INITIAL_WINDOW_SIZE, WINDOW]), window(0, WINDOW - FIRST_WINDOW)]));
  }

  static async open(address: string, path: string, message: Buffer): Promise<WireClient> {
    const { hostname, port } = new URL(`http://${address}`);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, "connect");
    const fields = [
      ...([
        [":method", "POST"],
        [":scheme", "http"],
        [":path", path],
        [":authority", address],
      ] as const),
      ...([
        ["content-type", "application/grpc"],
        ["te", "trailers"],
        ["grpc-timeout", "5S"],
      ] as const),
    ];
    const prefix = Buffer.alloc(PREFIX);
    prefix.writeUInt32BE(message.length, 1);
    return new WireClient(socket, [headers(1, fields), data(1, Buffer.concat([prefix, message]))]);
  }

  close(): void {
    this.#socket.destroy();
  }

  send(): Promise<Buffer> {
    return new Promise((done, fail) => {
      const start = () => {
        this.#stream += 2;
        this.#waiting.set(this.#stream, { done, fail, message: Buffer.alloc(0) });
        this.#sendWindow -= this.#bodyBytes;
        for (const part of this.#request) this.#write(onStream(part, this.#stream));
      };
      if (this.#sendWindow >= this.#bodyBytes) start();
      else this.#queue.push(start);
    });
  }

  get #bodyBytes(): number {
    return this.#request[1].length - 9;
  }

  /** One write a turn. */
  #write(bytes: Buffer): void {
    if (this.#out.length === 0)
      setImmediate(() => {
        this.#socket.write(Buffer.concat(this.#out));
        this.#out = [];
      });
    this.#out.push(bytes);
  }

  #read(bytes: Buffer): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    while (all.length - at >= 9) {
      const end = at + 9 + all.readUIntBE(at, 3);
      if (end > all.length) break;
      this.#frame(
        { type: all[at + 3] ?? 0, flags: all[at + 4] ?? 0, stream: all.readUInt32BE(at + 5) },
        all.subarray(at + 9, end),
      );
      at = end;
    }
    this.#rest = all.subarray(at);
  }

  #frame({ type, flags, stream }: Frame, payload: Buffer): void {
    const isEnd = (flags & FLAG.endStream) !== 0;
    if (type === FRAME.data) this.#data(stream, payload, isEnd);
    else if (type === FRAME.headers && isEnd) this.#answered(stream);
    else if (type === FRAME.rstStream) this.#waiting.get(stream)?.fail(new Error(`reset ${payload.readUInt32BE()}`));
    else if (stream === 0) this.#ofConnection({ type, flags, stream }, payload);
  }

  #data(stream: number, payload: Buffer, isEnd: boolean): void {
    this.#refill(payload.length);
    const waiting = this.#waiting.get(stream);
    if (waiting !== undefined) waiting.message = Buffer.concat([waiting.message, payload]);
    if (isEnd) this.#answered(stream);
  }

  #answered(stream: number): void {
    const waiting = this.#waiting.get(stream);
    this.#waiting.delete(stream);
    waiting?.done(waiting.message.subarray(PREFIX));
  }

  #ofConnection({ type, flags }: Frame, payload: Buffer): void {
    if (type === FRAME.windowUpdate) this.#widen(payload.readUInt32BE());
    else if ((flags & FLAG.ack) !== 0) return;
    else if (type === FRAME.settings) this.#write(frame({ type, flags: FLAG.ack }));
    else if (type === FRAME.ping) this.#write(frame({ type, flags: FLAG.ack, payload }));
  }

  #widen(bytes: number): void {
    this.#sendWindow += bytes;
    while (this.#queue.length > 0 && this.#sendWindow >= this.#bodyBytes) this.#queue.shift()?.();
  }

  #refill(bytes: number): void {
    this.#received += bytes;
    if (this.#received < REFILL) return;
    this.#write(window(0, this.#received));
    this.#received = 0;
  }

  #end(error: Error): void {
    for (const { fail } of this.#waiting.values()) fail(error);
    this.#waiting.clear();
  }
}

function onStream(frameOfOne: Buffer, stream: number): Buffer {
  const copy = Buffer.from(frameOfOne);
  copy.writeUInt32BE(stream, 5);
  return copy;
}

/** A call whose answers are as long as the first, which the caller looks at. */
export async function wireCall(
  [address, path]: readonly [string, string],
  message: Buffer,
  isExpected: (answer: Buffer) => boolean,
): Promise<Call> {
  const client = await WireClient.open(address, path, message);
  const first = await client.send();
  if (!isExpected(first)) throw new Error(`${address}: the answer is not the one that is to be measured`);
  return async () => {
    const answer = await client.send();
    if (answer.length !== first.length) throw new Error(`${address}: another answer than the first`);
  };
}
