// What became of a session: of the connection, and of each stream. Read from the bytes that a server wrote. Pure.
import { createHash } from "node:crypto";
import { FLAG, FRAME } from "../../../src/http2/frame.ts";
import { HpackDecoder } from "../../../src/http2/hpack-decoder.ts";

export interface Outcome {
  /** The error code of GOAWAY, -1 for an end without one, null while the connection is alive. */
  readonly fault: number | null;
  /** By stream: `reset CODE`, or what was answered, once the server has ended it. */
  readonly streams: ReadonlyMap<number, string>;
}

interface Answer {
  readonly fields: string[];
  readonly data: Buffer[];
}

/** @param isClosed true where the server has ended the connection */
export function outcomeOf(bytes: Buffer, isClosed: boolean): Outcome {
  const { fault, streams } = new OutcomeReader(bytes);
  return { fault: isClosed ? (fault ?? -1) : fault, streams };
}

class OutcomeReader {
  readonly streams = new Map<number, string>();
  fault: number | null = null;
  readonly #answers = new Map<number, Answer>();
  readonly #hpack = new HpackDecoder();

  constructor(bytes: Buffer) {
    let at = 0;
    while (at + 9 <= bytes.length) {
      const end = at + 9 + bytes.readUIntBE(at, 3);
      if (end <= bytes.length) this.#frame(bytes.subarray(at, end));
      at = end;
    }
  }

  #frame(frame: Buffer): void {
    const [type, stream] = [frame[3], frame.readUInt32BE(5)];
    if (type === FRAME.goAway) this.fault = frame.readUInt32BE(13);
    else if (type === FRAME.rstStream) this.#end(stream, `reset ${frame.readUInt32BE(9)}`);
    else if (type === FRAME.headers || type === FRAME.data) this.#answer(frame, stream);
  }

  #answer(frame: Buffer, stream: number): void {
    const answer = this.#answers.get(stream) ?? { fields: [], data: [] };
    this.#answers.set(stream, answer);
    if (frame[3] === FRAME.data) answer.data.push(frame.subarray(9));
    else {
      const block = { start: 9, end: frame.length };
      this.#hpack.decode(frame, block, ({ name, value }) => answer.fields.push(...said(name, value)));
    }
    if (((frame[4] ?? 0) & FLAG.endStream) !== 0) this.#end(stream, text(answer));
  }

  #end(stream: number, what: string): void {
    if (!this.streams.has(stream)) this.streams.set(stream, what);
  }
}

/** The fields that both servers mean the same by. */
function said(name: string, value: string): string[] {
  return [":status", "grpc-status"].includes(name) ? [`${name}=${value}`] : [];
}

function text({ fields, data }: Answer): string {
  const hash = createHash("sha256").update(Buffer.concat(data)).digest("hex").slice(0, 8);
  return [...new Set(fields), hash].join(" ");
}
