// HTTP/2 connections: the same outcome however the bytes are cut, frames that are whole, one answer a call, nothing behind the end.
import { Connection } from "../../../src/http2/connection.ts";
import { HeldBytes } from "../../../src/http2/held-bytes.ts";
import { FRAME } from "../../../src/http2/frame.ts";
import { headerBlock } from "../../../src/http2/hpack-literal.ts";
import { data, headers, HELLO, reset, settings, window } from "../../fakes/http2-frames.ts";
import { createRandom } from "../random.ts";
import { must, type Target } from "./target.ts";

const MAX_BODY = 4096;
const RESPONSE = {
  head: headerBlock([[":status", "200"]]),
  message: Buffer.from("hello"),
  trailers: headerBlock([["grpc-status", "0"]]),
};

export const http2: Target = {
  seeds: [
    Buffer.concat([Buffer.from("aa"), headers(1), data(1, "hello")]),
    Buffer.concat([Buffer.from("ab"), settings([4, 1]), headers(1), data(1, "x"), window(1, 9), window(0, 9)]),
    Buffer.concat([Buffer.from("ac"), headers(1), reset(1), headers(3), data(3, "x", 0), data(3)]),
  ],
  tokens: Object.values(FRAME).map((type) => String.fromCodePoint(0, 0, 1, type, 5, 0, 0, 0, 1)),
  run(bytes) {
    const session = Buffer.concat([HELLO, bytes.subarray(2)]);
    const whole = outcomeOf([session]);
    for (const parts of cuts(bytes, session))
      must(whole.equals(outcomeOf(parts)), "another outcome when cut otherwise");
  },
};

/** What was written, and the bodies that were handed over. */
function outcomeOf(parts: readonly Buffer[]): Buffer {
  const written: Buffer[] = [];
  const bodies: Buffer[] = [];
  let isEnded = false;
  let open = 0;
  const connection = new Connection({
    write: (bytes) => {
      must(!isEnded, "bytes behind the end");
      written.push(Buffer.from(bytes));
    },
    end: () => {
      must(!isEnded, "an end behind the end");
      isEnded = true;
    },
    now: () => 0,
    maxBodyBytes: MAX_BODY,
    held: new HeldBytes(),
    onRequest: (stream) => {
      open += 1;
      let isOver = false;
      const over = () => {
        must(!isOver, "a call that ends twice");
        isOver = true;
        open -= 1;
      };
      stream.listener = {
        onBody: (body) => {
          must(body === null || body.length <= MAX_BODY, "a body above the limit");
          bodies.push(Buffer.from(`${stream.id}:`), body ?? Buffer.from("too long"));
          if (!isOver) over();
          connection.respond(stream, RESPONSE);
        },
        onGone: () => {
          if (!isOver) over();
        },
      };
    },
  });
  for (const part of parts) connection.receive(Buffer.from(part));
  connection.gone();
  must(open === 0, "a call that nobody ended");
  const out = Buffer.concat(written);
  framesAreWhole(out);
  return Buffer.concat([out, ...bodies]);
}

function framesAreWhole(bytes: Buffer): void {
  let at = 0;
  while (at < bytes.length) {
    must(bytes.length - at >= 9, "half a frame header");
    at += 9 + bytes.readUIntBE(at, 3);
  }
  must(at === bytes.length, "half a frame");
}

/** Byte by byte where it is short, and at random places. */
function* cuts(bytes: Buffer, session: Buffer): Iterable<Buffer[]> {
  if (session.length <= 300) yield Array.from(session, (_, i) => session.subarray(i, i + 1));
  const random = createRandom((bytes[0] ?? 0) * 256 + (bytes[1] ?? 0));
  const parts: Buffer[] = [];
  for (let at = 0; at < session.length;) {
    const end = at + 1 + random.below(random.oneIn(3) ? 200 : 12);
    parts.push(session.subarray(at, end));
    at = end;
  }
  yield parts;
}
